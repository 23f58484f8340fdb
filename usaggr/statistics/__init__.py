"""What the scores of seeds and subjects bear: intervals, verdicts, power. Arrays in, small records out; no files."""
