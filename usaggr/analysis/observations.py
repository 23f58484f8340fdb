"""The long table from which all others are computed: one row per planned run, task, grouping and metric.

A run that several groupings share has rows in each of them. Unfinished runs have rows without values, so that missing
results stay visible.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from usaggr.analysis.cell_pseudovalues import Cell
from usaggr.analysis.cell_rows import CellKey
from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.metrics.missing_metrics import parse_noted_metric
from usaggr.metrics.names import METRICS, Metric, compute_skill, get_main_metric
from usaggr.results.data_description import TaskFacts
from usaggr.results.run_result import State
from usaggr.tasks import TaskType

SCORE_COLUMNS = (
    "run_id", "grouping", "block", "task", "task_type", "clinical_group", "scale", "n_train", "seed", "variant",
    "metric", "value", "higher_is_better", "n_test", "n_subjects", "status",
)  # fmt: skip
"""Columns of scores.csv, the first fields of `Observation`."""


class Observation(NamedTuple):
    """Score of one run on one task in one metric, as a member of one grouping."""

    run_id: str
    grouping: str
    block: str
    """Name of the block of tasks that the run's model serves."""
    task: str
    task_type: TaskType
    clinical_group: str
    scale: float | int
    """Training data per task: a fraction (float) or a number of samples (int)."""
    n_train: int | None
    """Training samples of the task at this scale; None until a finished run has counted them."""
    seed: int
    variant: str
    metric: str
    value: float
    """Score in the metric's units, over the task's subjects or samples (`Collection.weighted`).

    It is NaN if the run is not finished or the metric is not defined.
    """
    higher_is_better: bool
    n_test: int
    """Test samples of the task."""
    n_subjects: int
    """Test subjects of the task."""
    status: State
    fingerprint: str
    """Fingerprint of the run; equal for the observations of one run in several groupings."""
    main: bool
    """True for the main metric of the task's type."""
    trivial: float
    """Score of the predictor that ignores the image; NaN if not available."""
    skill: float
    """Skill in [-1, 1]; NaN if the value or `trivial` is NaN."""
    remarks: tuple[str, ...]
    """The run's notes that concern the metric."""

    @property
    def cell(self) -> Cell:
        """Cell of the observation, without its metric."""
        return (self.task, self.grouping, self.scale, self.variant)

    @property
    def key(self) -> CellKey:
        """Cell and metric; observations with the same key differ only in their seed."""
        return (self.variant, self.scale, self.grouping, self.task, self.metric)

    @property
    def has_value(self) -> bool:
        """True if the run is finished and the metric is defined."""
        return not math.isnan(self.value)

    def compute_improvement_on(self, score: float) -> float:
        """Return the difference from another score in the metric's units, positive if the value is better."""
        return self.value - score if self.higher_is_better else score - self.value


def observe(collection: Collection) -> tuple[Observation, ...]:
    """Return the long table, sorted by variant, scale, grouping, task, seed and metric.

    The order does not depend on that of folders and files.
    """
    observations = [row for run in collection.runs for row in _observe_run(run, collection)]
    observations.sort(key=_make_sort_key(collection))
    # A scale selects the same samples under every grouping, so one finished run gives the count of unfinished ones.
    counts: dict[tuple[str, float | int], int] = {}
    for row in observations:
        if row.n_train is not None:
            counts.setdefault((row.task, row.scale), row.n_train)
    return tuple(
        row if row.n_train is not None else row._replace(n_train=counts.get((row.task, row.scale)))
        for row in observations
    )


def _observe_run(run: CollectedRun, collection: Collection) -> Iterator[Observation]:
    row = run.row
    for task_id in row.tasks:
        facts = collection.data.tasks[task_id]
        task = facts.task
        n_train, n_test, n_subjects = _count_samples(run, facts)
        for metric in METRICS[task.type]:
            value, trivial = _get_scores(run, task_id, metric, task_id in collection.weighted)
            has_skill = not math.isnan(value) and not math.isnan(trivial)
            for grouping in row.groupings:
                yield Observation(
                    run_id=row.run_id,
                    grouping=grouping,
                    block=row.block,
                    task=task_id,
                    task_type=task.type,
                    clinical_group=task.clinical_group,
                    scale=row.scale,
                    n_train=n_train,
                    seed=row.seed,
                    variant=row.variant,
                    metric=metric.name,
                    value=value,
                    higher_is_better=metric.higher_is_better,
                    n_test=n_test,
                    n_subjects=n_subjects,
                    status=run.state,
                    fingerprint=row.fingerprint,
                    main=metric == get_main_metric(task.type),
                    trivial=trivial,
                    skill=compute_skill(value, trivial, metric) if has_skill else math.nan,
                    remarks=_select_notes(run, task_id, metric),
                )


def _count_samples(run: CollectedRun, facts: TaskFacts) -> tuple[int | None, int, int]:
    """Return the training samples (None if not counted yet), test samples and test subjects of a task."""
    if run.result is not None:
        task = facts.task.id
        return run.result.n_train[task], run.result.n_test[task], run.result.n_subjects[task]
    scale = run.row.scale
    # Only the full training set has a size that is known before training; smaller scales keep classes in proportion.
    is_full = scale >= facts.n_train if isinstance(scale, int) else scale == 1.0
    return facts.n_train if is_full else None, facts.n_test, facts.n_subjects


def _get_scores(run: CollectedRun, task_id: str, metric: Metric, is_weighted: bool) -> tuple[float, float]:
    """Return a run's score and the trivial predictor's, both NaN if missing.

    Args:
        run: The run.
        task_id: One of its tasks.
        metric: Metric of the task.
        is_weighted: True if the task's scores are means over subjects, which are computed from predictions.
    """
    if run.result is None:
        return math.nan, math.nan
    scores, trivial = run.result.scores[task_id], run.result.trivial[task_id]
    if is_weighted:
        assert run.pseudovalues is not None  # or the task would not be weighted
        values = run.pseudovalues[task_id].metrics
        scores = {name: float(value.mean()) for name, value in values.items() if name == metric.name}
        # Runs of older versions have only the mean over samples; the methods of the report say so.
        trivial = run.result.trivial_by_subject.get(task_id, trivial)
    return float(scores.get(metric.name, math.nan)), float(trivial.get(metric.name, math.nan))


def _select_notes(run: CollectedRun, task_id: str, metric: Metric) -> tuple[str, ...]:
    """Return the notes of a run on a task that concern a metric.

    A note that starts with the name of a metric concerns only that metric.
    """
    if run.result is None:
        return ()
    notes = run.result.notes.get(task_id, [])
    return tuple(note for note in notes if parse_noted_metric(note) in (None, metric.name))


def _make_sort_key(collection: Collection) -> Callable[[Observation], tuple[float, ...]]:
    variants, groupings = _rank(collection.study.variants), _rank(collection.study.groupings)
    tasks = _rank(collection.tasks)
    metrics = _rank(metric.name for metrics_of_type in METRICS.values() for metric in metrics_of_type)

    def sort_key(row: Observation) -> tuple[float, ...]:
        grouping = groupings.get(row.grouping, len(groupings))  # groupings outside the study come last
        return (variants[row.variant], row.scale, grouping, tasks[row.task], row.seed, metrics[row.metric])

    return sort_key


def _rank(names: Iterable[str]) -> dict[str, int]:
    return {name: i for i, name in enumerate(names)}
