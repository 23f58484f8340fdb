"""The report's figures, a file each: tables in, a matplotlib figure out; what all share is in looks.py."""
