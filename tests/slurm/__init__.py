"""Runs as jobs of Slurm: against a fake queue, and against a real one."""

from pathlib import Path

HERE = Path(__file__).parent
NEEDED = ("slurmctld", "slurmd", "slurmdbd", "sbatch", "munged", "mariadbd")
"""Programs that start-slurm starts."""
