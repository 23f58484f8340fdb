"""Topic: the groupings over all tasks together."""
