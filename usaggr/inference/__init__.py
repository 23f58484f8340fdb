"""Models that leave the sweep: loaded, used for predictions, exported."""
