"""Rows of the comparison of a study: a cell's score, its difference from the reference, and the verdict on it.

A cell is a task under a grouping at a scale and of a variant; it has a row for each metric of its task. Numbers that
are not defined are NaN, counts that are not known are None.
"""

import math
from dataclasses import dataclass

from usaggr.analysis.cell_scores import Cell
from usaggr.tasks import TaskType

CELL = ["variant", "scale", "grouping", "task", "metric"]
"""Columns by which observations are put together to cells."""
CellKey = tuple[str, float | int, str, str, str]
"""Values of CELL."""


@dataclass(frozen=True)
class CellMetric:
    """One metric of a cell, and what is known of it before any result is read."""

    variant: str
    scale: float | int
    """Training data of each task: a fraction (float) or a number of samples (int)."""
    grouping: str
    task: str
    metric: str
    task_type: TaskType
    clinical_group: str
    n_train: int | None
    """Training samples of the task at the scale; None if no finished run has counted them."""
    n_test: int
    """Test samples of the task."""
    n_subjects: int
    """Test subjects of the task."""
    main: bool
    """Whether the metric is the main one of the task's type, on which verdicts are given."""
    planned: int
    """Seeds that the study asks for."""
    seeds: int
    """Seeds that the row's numbers are means over; of a difference: those finished on both sides."""

    @property
    def key(self) -> CellKey:
        """What tells the row from all others of its table."""
        return (self.variant, self.scale, self.grouping, self.task, self.metric)

    @property
    def cell(self) -> Cell:
        """The cell, whatever its metric."""
        return (self.task, self.grouping, self.scale, self.variant)


@dataclass(frozen=True)
class CellScore(CellMetric):
    """The score of a cell, averaged over its seeds."""

    mean: float
    """In the metric's units."""
    low: float
    """Lower bound of the mean's interval, over seeds and test subjects (subjects alone, with one seed)."""
    high: float
    """Upper bound."""
    trivial: float
    """Mean score of the predictor that ignores the image, in the metric's units."""
    skill: float
    """Mean skill, in [-1, 1]: 0 is as good as the trivial predictor, 1 is perfect."""
    beats_trivial: bool | None
    """Whether the mean is better than the trivial predictor's; None without one of them."""


@dataclass(frozen=True)
class CellDifference(CellMetric):
    """The difference of a cell from the reference's, paired by seed, positive where the cell is better."""

    same: bool
    """Whether the cell's runs are the reference's own, so that there is nothing to compare."""
    mean: float
    """Score in the metric's units, over the seeds of both sides; over those that there are, if they share none."""
    reference_mean: float
    """The reference's, likewise."""
    trivial: float
    """Mean score of the predictor that ignores the image, in the metric's units."""
    delta: float
    """Mean difference in the metric's units; NaN without a seed on both sides, and for the reference's own runs."""
    delta_low: float
    """Lower bound of delta's interval; NaN where no seed and no subject differs."""
    delta_high: float
    """Upper bound."""
    df: float
    """Degrees of freedom of the interval."""
    se: float
    """Standard error of delta, in the metric's units."""
    relative: float
    """delta over the size of the reference's mean; NaN if that is 0."""
    delta_skill: float
    """Mean difference in skill, the unit that all task types share."""

    @property
    def is_missing(self) -> bool:
        """Whether there should be a difference, and the runs for it are not there."""
        return math.isnan(self.delta) and not self.same


@dataclass(frozen=True)
class CellVerdict(CellDifference):
    """A difference with what it proves. Of metrics that are not the main one, only the interval is told."""

    margin: float
    """Largest loss that still counts as no loss, in the metric's units, above 0."""
    p: float
    """Two-sided, of no difference; NaN for a cell that is not judged."""
    p_adjusted: float
    """By Holm, over the tasks of one grouping, scale and variant."""
    p_ni: float
    """One-sided, of a loss of the margin or more (non-inferiority)."""
    p_ni_adjusted: float
    """By Holm, likewise."""
    seeds_needed: int | None
    """Seeds that would decide an undecided cell if its difference stays; None if decided, or if no number would."""
    verdict: str
    """gain, no_loss, loss or undecided; empty for a cell that is not judged, for the reason in `note`."""
    note: str
    """What is to be known of the cell, joined by `; `."""
    collapsed: bool
    """Whether the cell's models are no better than the trivial predictor in most seeds."""
    collapsed_reference: bool
    """Whether the reference's are."""
    unconverged: bool
    """Whether the cell's models had not converged in most seeds."""
    unconverged_reference: bool
    """Whether the reference's had not."""
    diverged: bool
    """Whether the cell's training diverged in most seeds."""

    @property
    def valid(self) -> bool:
        """Whether neither side is collapsed or unconverged."""
        return not (self.collapsed or self.collapsed_reference or self.unconverged or self.unconverged_reference)
