"""Where runs are executed; this machine, for now."""
