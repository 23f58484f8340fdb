"""Topic: what was requested, and what was run on which data with which networks."""
