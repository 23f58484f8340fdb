"""Records of a sweep in trackers: Lightning loggers of runs, and one record for the whole sweep."""
