"""Names of the files and folders under outputs/<name>/, which are public: docs/results.md describes each.

The module of each kind of file reads and writes it; no other module spells its name.
"""

from pathlib import Path

# Of a study.
STUDY = "study.yaml"
GROUPINGS = "groupings.yaml"
DATA = "data.json"
SPLIT = "split.csv"
PLAN = "plan.csv"
SWEEPS = "sweeps.csv"
TAKEN_WEIGHTS = "weights.json"
AFFINITY = "affinity"
"""Folder of what `usaggr affinity` has estimated."""
AFFINITY_POINTS = "affinity.csv"
AFFINITY_HEAD = "affinity.json"

# Of a run.
RUN_SETTINGS = "run.yaml"
STATUS = "status.json"
RESULT = "result.json"
PREDICTIONS = "predictions.parquet"
CURVE = "curve.csv"
ROUTING = "routing.csv"
LOG = "log.txt"
TRACKING = "tracking.json"
"""Where a tracker has a run."""
LOGS = "logs"
"""Folder for trackers; what an attempt has written is kept for one that goes on from its checkpoint."""
CHECKPOINT = "checkpoint"
"""Folder of a run that has begun and is not done: what it goes on from."""
PARENT = "parent"
"""Folder of a run that is not done and has a parent: the parent's scored weights, which it starts from."""
WEIGHTS = Path("weights", "scored.safetensors")
"""The scored weights, where they are kept."""
