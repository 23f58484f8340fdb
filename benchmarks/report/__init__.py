"""Time and memory of reports."""
