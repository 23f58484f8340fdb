"""What people look at: the plan, the status of a sweep, what its size can decide, what can be removed."""
