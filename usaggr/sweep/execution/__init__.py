"""The loop that trains the unfinished runs of a sweep: its order, signals, messages, and preparation of each run."""
