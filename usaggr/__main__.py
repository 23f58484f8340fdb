"""Command line of `python -m usaggr`, the same as that of `usaggr`."""

from usaggr.cli.main import main

if __name__ == "__main__":
    main()
