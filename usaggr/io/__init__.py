"""Files on shared disks: atomic writes, checksums, locks, SQLite stores, and heartbeats of processes."""
