"""Files on shared disks: written whole, hashed, locked; heartbeats of processes."""
