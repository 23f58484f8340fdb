"""Files on shared disks: atomic writes, bounded readers, checksums, locks, SQLite stores, heartbeats of processes."""
