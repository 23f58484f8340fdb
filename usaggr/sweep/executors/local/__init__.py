"""The executor of this machine: runs in worker processes."""
