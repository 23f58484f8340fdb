"""Topic: differences from the reference grouping, per task."""
