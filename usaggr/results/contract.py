"""Names of the files and folders under outputs/<name>/, which are public: docs/results.md describes each.

Each kind of file has one module that reads and writes it. No other module contains its name.
"""

from pathlib import Path

# Of a study.
STUDY = "study.yaml"
GROUPINGS = "groupings.yaml"
DATA = "data.json"
SPLIT = "split.csv"
PLAN = "plan.csv"
SWEEPS = "sweeps.csv"
REPORTED_SEEDS = "reported_seeds.csv"
SUMS = "contract.sha256"
"""File with the SHA-256 of every version of the five files above, one a line."""
TAKEN_WEIGHTS = "weights.json"
RETRAINED = "retrained"
"""Folder of the finished runs that `usaggr sweep --weights` is training again for their weights."""
AFFINITY = "affinity"
"""Folder of the estimates of `usaggr affinity`."""
AFFINITY_POINTS = "affinity.csv"
AFFINITY_DESCRIPTION = "affinity.json"

# Of a run.
RUN_SETTINGS = "run.yaml"
STATUS = "status.json"
RESULT = "result.json"
PREDICTIONS = "predictions.parquet"
CURVE = "curve.csv"
ROUTING = "routing.csv"
LOG = "log.txt"
TRACKING = "tracking.json"
"""File that records where a tracker has the run."""
LOGS = "logs"
"""Folder of trackers; it is kept for an attempt that continues from a checkpoint."""
CHECKPOINT = "checkpoint"
"""Folder of an unfinished run's checkpoint, from which the next attempt continues."""
PARENT = "parent"
"""Folder of an unfinished run with its parent's scored weights, from which the run starts."""
WEIGHTS = Path("weights", "scored.safetensors")
"""File of the scored weights, if `training.keep_weights` keeps them."""
