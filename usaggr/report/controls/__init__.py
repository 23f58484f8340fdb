"""Topic: comparison of each grouping with random groupings of the same sizes."""
