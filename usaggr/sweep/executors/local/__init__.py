"""The executor of this machine, which trains runs in worker processes."""
