"""`python -m usaggr`: the command line, as `usaggr` is."""

from usaggr.cli.main import main

if __name__ == "__main__":
    main()
