"""Topic: the grouping to use for each task, the evidence for it, and its cost."""
