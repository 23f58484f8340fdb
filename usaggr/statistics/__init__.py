"""Intervals, tests, verdicts and power from scores of seeds and subjects: arrays in, small records out; no files."""
