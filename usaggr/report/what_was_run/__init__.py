"""Topic: the study's settings, its data, and its runs with their networks."""
