"""Time and memory of building reports."""
