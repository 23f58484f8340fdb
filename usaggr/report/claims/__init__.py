"""Topic: the published claims, tested on this study's data."""
