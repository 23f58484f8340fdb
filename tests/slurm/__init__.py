"""Runs as jobs of Slurm, tested with a fake queue and with a real cluster of one node."""

from pathlib import Path

FOLDER = Path(__file__).parent
NEEDED = ("slurmctld", "slurmd", "slurmdbd", "sbatch", "munged", "mariadbd")
"""Programs that the script start-slurm starts."""
