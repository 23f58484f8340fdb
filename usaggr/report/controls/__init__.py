"""Topic: the grouping against random groupings of the same sizes."""
