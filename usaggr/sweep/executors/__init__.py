"""Executors of runs: this machine, a Slurm cluster, or a Ray cluster."""
