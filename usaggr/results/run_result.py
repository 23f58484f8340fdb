"""The content of result.json and status.json: the result and the status of a run."""

from dataclasses import dataclass, field
from typing import Literal

from usaggr.results.integrity import SCHEMA_VERSION
from usaggr.results.pixel_normalization import PixelNormalization

State = Literal["pending", "queued", "running", "stale", "failed", "done"]


Scores = dict[str, dict[str, float]]
"""Scores by task id and metric; a metric that is not defined on the subset is left out."""


@dataclass(frozen=True)
class Cost:
    """Time, memory and size of a run."""

    seconds: float
    """Seconds of the complete run."""
    train_seconds: float
    """Seconds of training alone."""
    samples_per_second: float
    """Training examples per second of training."""
    peak_mib: float
    """Peak resident memory of the process in MiB."""
    parameters: int
    """Number of the network's parameters."""
    trained_parameters: int | None = None
    """Number of parameters that the optimizer may change; None in results of versions that did not count them."""
    active_parameters: int | None = None
    """Number of parameters that are used for one task, the largest over the run's tasks.

    Heads and embeddings of other tasks do not count; of the experts, those that process a token count.
    """


@dataclass(frozen=True)
class RunResult:
    """Result of a finished run; content of `result.json`."""

    scores: Scores
    """Scores on the test set."""
    trivial: Scores
    """Scores of the predictor that ignores the image, on the test set."""
    validation: Scores
    """Scores of the scored weights on the validation set."""
    trivial_validation: Scores
    """Scores of the predictor that ignores the image, on the validation set."""
    n_train: dict[str, int]
    """Number of training samples by task."""
    n_test: dict[str, int]
    """Number of test samples by task."""
    n_subjects: dict[str, int]
    """Number of test subjects by task."""
    examples: dict[str, int]
    """Number of training examples by task: the length of its stream."""
    cost: Cost
    notes: dict[str, list[str]] = field(default_factory=dict)
    """Notes for the tables by task, such as the classes over which an AUC is averaged."""
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds of each step of the run."""
    input_scale: PixelNormalization | None = None
    """Normalization of images for pretrained weights; None without such weights, or in results of older versions."""
    trivial_by_subject: Scores = field(default_factory=dict)
    """`trivial` with each test subject counted once, for reports of means over subjects.

    It is empty in results of versions that did not compute it.
    """
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Status:
    """Status of a run; content of `status.json`."""

    state: State
    pid: int
    host: str
    heartbeat: float
    """Time of the last sign of life, in seconds since the epoch."""
    attempt: int
    error: str | None = None
    started: float | None = None
    job: str | None = None
    """Job of a cluster that has or had the run, such as `slurm 1234_5`."""
