"""Measurements of how readable a Python project is: `python -m benchmarks.readability usaggr OTHER`."""
