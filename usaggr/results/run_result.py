"""The result of a run, as result.json holds it."""

from dataclasses import dataclass, field
from typing import Literal

from usaggr.results.input_scale import InputScale
from usaggr.results.integrity import SCHEMA_VERSION

State = Literal["pending", "queued", "running", "stale", "failed", "done"]


Scores = dict[str, dict[str, float]]
"""task id: metric: value. A metric that is not defined on the fold is left out."""


@dataclass(frozen=True)
class Cost:
    """What a run took."""

    seconds: float
    train_seconds: float
    samples_per_second: float
    """Training examples a second, while training."""
    peak_mib: float
    """Resident memory of the process at its highest."""
    parameters: int
    """All of the network's."""
    trained_parameters: int | None = None
    """Those that the optimiser may change; None in results of versions that did not count them."""
    active_parameters: int | None = None
    """Those that serve one task: without other tasks' heads and embeddings, and with the experts that serve a token;
    the most over the run's tasks."""


@dataclass(frozen=True)
class RunResult:
    """What a finished run says; `result.json`."""

    scores: Scores
    """On the test fold."""
    trivial: Scores
    """Of the predictor that ignores the image, on the test fold."""
    validation: Scores
    """Of the scored weights, on the validation fold."""
    trivial_validation: Scores
    n_train: dict[str, int]
    n_test: dict[str, int]
    n_subjects: dict[str, int]
    """Test subjects a task."""
    examples: dict[str, int]
    """Training examples seen, a task: the stream's length."""
    cost: Cost
    notes: dict[str, list[str]] = field(default_factory=dict)
    """Task: remarks for the tables, such as the classes over which an AUC was taken."""
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds by part of the run."""
    input_scale: InputScale | None = None
    """Of images for pretrained weights; None without such weights, and in results of versions that did not note it."""
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Status:
    """`status.json`."""

    state: State
    pid: int
    host: str
    heartbeat: float
    """Seconds since the epoch."""
    attempt: int
    error: str | None = None
    started: float | None = None
    job: str | None = None
    """Of a cluster, which has or had the run, as `slurm 1234_5`."""
