"""Speed of training in whole runs."""
