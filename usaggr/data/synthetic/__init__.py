"""B-mode phantoms for the 27 tasks of the catalogue, on disk in the benchmark's layout."""
