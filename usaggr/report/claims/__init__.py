"""Topic: the published claims, on this sweep's data."""
