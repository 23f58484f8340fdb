"""Rows of a study's comparison: a cell's score, its difference from the reference, and the verdict on it.

A cell is one combination of task, grouping, scale and variant. It has one row per metric of its task. Undefined numbers
are NaN; unavailable counts are None.
"""

import math
from dataclasses import dataclass

from usaggr.analysis.cell_pseudovalues import Cell
from usaggr.document.display_names import describe_rarer_failures
from usaggr.metrics.names import get_metric
from usaggr.tasks import TaskType

CELL = ["variant", "scale", "grouping", "task", "metric"]
"""Columns that identify a row; observations that agree in them differ only in their seed."""
CellKey = tuple[str, float | int, str, str, str]
"""Values of the columns in `CELL`."""


@dataclass(frozen=True)
class CellMetric:
    """One metric of a cell, with its facts that do not depend on any score."""

    variant: str
    scale: float | int
    """Training data per task: a fraction (float) or a number of samples (int)."""
    grouping: str
    task: str
    metric: str
    task_type: TaskType
    clinical_group: str
    n_train: int | None
    """Training samples of the task at this scale; None until a finished run has counted them."""
    n_test: int
    """Test samples of the task."""
    n_subjects: int
    """Test subjects of the task."""
    main: bool
    """True for the main metric of the task's type, the only one that gets a verdict."""
    planned: int
    """Number of seeds in the study."""
    seeds: int
    """Number of seeds in the row's means; for a difference, those that are finished on both sides."""

    @property
    def key(self) -> CellKey:
        """Values of `CELL`, which identify the row in its table."""
        return (self.variant, self.scale, self.grouping, self.task, self.metric)

    @property
    def cell(self) -> Cell:
        """Cell of the row, without its metric."""
        return (self.task, self.grouping, self.scale, self.variant)


@dataclass(frozen=True)
class CellScore(CellMetric):
    """Score of a cell, averaged over its seeds."""

    mean: float
    """Mean score in the metric's units."""
    low: float
    """Lower bound of the mean's interval over seeds and test subjects; over subjects only if there is one seed."""
    high: float
    """Upper bound of the mean's interval."""
    trivial: float
    """Mean score of the predictor that ignores the image, in the metric's units."""
    skill: float
    """Mean skill in [-1, 1]: 0 equals the trivial predictor, 1 is perfect."""
    beats_trivial: bool | None
    """True if the mean is better than the trivial predictor's; None if either is missing."""


@dataclass(frozen=True)
class CellDifference(CellMetric):
    """Difference of a cell from the reference, paired by seed; positive if the cell is better."""

    same: bool
    """True if the cell uses the same runs as the reference, so that there is nothing to compare."""
    mean: float
    """Mean score over the seeds of both sides, in the metric's units; over all seeds if no seed is common."""
    reference_mean: float
    """Mean score of the reference over the same seeds."""
    trivial: float
    """Mean score of the predictor that ignores the image, in the metric's units."""
    delta: float
    """Mean difference in the metric's units; NaN without a common seed, and if `same`."""
    delta_low: float
    """Lower bound of delta's interval; NaN if neither seeds nor subjects differ."""
    delta_high: float
    """Upper bound of delta's interval."""
    df: float
    """Degrees of freedom of the interval."""
    se: float
    """Standard error of delta, in the metric's units."""
    relative: float
    """delta divided by the absolute mean of the reference; NaN if that mean is 0."""
    delta_skill: float
    """Mean difference in skill, the unit that is comparable between task types."""

    @property
    def is_missing(self) -> bool:
        """True if a difference is expected but its runs are missing."""
        return math.isnan(self.delta) and not self.same


@dataclass(frozen=True)
class CellVerdict(CellDifference):
    """A difference with its tests and its verdict; metrics other than the main one have only the interval."""

    margin: float
    """Largest loss that still counts as no loss, in the metric's units; above 0."""
    p: float
    """Two-sided p value of no difference; NaN for a cell that is not tested."""
    p_adjusted: float
    """`p` after Holm's adjustment over the cell's family: by default the tasks of one grouping, scale and variant."""
    p_ni: float
    """One-sided p value of a loss of at least the margin (non-inferiority)."""
    p_ni_adjusted: float
    """`p_ni` after Holm's adjustment over the same family."""
    seeds_needed: int | None
    """Seeds with which a true difference of 0, or of the margin's size, would probably be decided.

    The estimated difference is not used. None for a decided cell, with one seed, or if no number of seeds is enough.
    """
    verdict: str
    """gain, no_loss, loss or undecided; empty for a cell that is not tested, with the reason in `note`."""
    note: str
    """Remarks on the cell, joined by `; `."""
    collapsed: bool
    """True if the cell's models are no better than the trivial predictor in most seeds."""
    collapsed_reference: bool
    """True if the reference's models are no better than the trivial predictor in most seeds."""
    unconverged: bool
    """True if the cell's models had not converged in most seeds."""
    unconverged_reference: bool
    """True if the reference's models had not converged in most seeds."""
    diverged: bool
    """True if the cell's training diverged in most seeds."""
    rarer_than: int | None = None
    """N of a no loss that does not exclude failures rarer than 1 in N; None for all other verdicts."""
    failure_subjects: int = 0
    """Independent test subjects among whom failures would be seen; for AUC, those in the rarer class."""
    scarce: bool = False
    """True if the cell is not tested and its interval cannot be trusted: the difference depends on too few subjects."""
    collapsed_seeds: int = 0
    """Number of seeds in which the cell's model collapsed, of those finished on both sides."""
    collapsed_seeds_reference: int = 0
    """Number of seeds in which the reference's model collapsed, of the same seeds."""

    @property
    def rarer_failures(self) -> str:
        """Text on the failures that a no loss does not exclude; empty without `rarer_than`."""
        if self.rarer_than is None:
            return ""
        return describe_rarer_failures(self.rarer_than, not get_metric(self.metric).is_per_sample)

    @property
    def has_collapsed_seeds(self) -> bool:
        """True if a seed collapsed on either side, so that only a loss can be concluded and no answer rests on it."""
        return self.collapsed_seeds + self.collapsed_seeds_reference > 0

    @property
    def valid(self) -> bool:
        """True if neither side has a collapsed seed, or is collapsed or unconverged."""
        is_failed = self.collapsed or self.collapsed_reference or self.unconverged or self.unconverged_reference
        return not (is_failed or self.has_collapsed_seeds)
