"""Runs in experiment trackers: Lightning's loggers, guarded, and the record of where a run is tracked."""
