"""From index files to batches: reading, validation, split, ranking, cache, streams, and synthetic phantoms."""
