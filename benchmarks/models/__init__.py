"""Size and speed of networks."""
