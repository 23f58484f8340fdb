"""The loop that trains what is not done yet, and what it needs around each run."""
