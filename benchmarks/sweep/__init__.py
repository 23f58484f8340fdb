"""What whole sweeps cost, and how that grows."""
