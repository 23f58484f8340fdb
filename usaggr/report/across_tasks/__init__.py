"""Topic: comparison of groupings over all tasks together."""
