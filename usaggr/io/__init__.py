"""Files on shared disks: written whole, hashed, locked; SQLite stores; heartbeats of processes."""
