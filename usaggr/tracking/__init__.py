"""Runs in experiment trackers: Lightning's loggers, isolated from the training, and the record of each tracked run."""
