"""Predicted and measured changes of the tasks of each trained block, and their rank correlation.

The predicted change is the mean affinity of the block's other tasks to a task. The measured change is the relative
change of its main metric from the reference. If the reference is itself a shared model, the prediction for the
reference is subtracted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from usaggr.analysis.collect import Collection
from usaggr.analysis.compare_study import Scale, StudyComparison
from usaggr.analysis.observations import observe
from usaggr.analysis.reference_pairs import pair_with_reference
from usaggr.analysis.row_tables import group_rows
from usaggr.data.seeds import make_generator
from usaggr.errors import RunError
from usaggr.results.affinity import FOLDER, TABLE, AffinityDescription, Array, Measure, read_description, read_values

AFFINITY_COLUMNS = (
    "measure", "scale", "variant", "grouping", "block", "block_tasks", "task", "predicted", "relative", "seeds",
)  # fmt: skip
"""Columns of affinity.csv, one for each field of `AffinityPoint`."""
DRAWS = 2000
"""Number of bootstrap samples over tasks."""
_FEWEST_TASKS = 4
"""Smallest number of tasks for a rank correlation."""

Values = Mapping[tuple[str, str], float]
"""Affinities by source and target task."""


class AffinityPoint(NamedTuple):
    """Predicted and measured change of one task of a trained block of several tasks, by one measure of affinity."""

    measure: Measure
    """Measure of affinity that predicts."""
    scale: Scale
    """Fraction of each task's training samples, or their maximum number, that the block was trained on."""
    variant: str
    """Variant that affinities were estimated under."""
    grouping: str
    """Grouping that the block is part of; the first one, if several have it."""
    block: str
    """Name of the block."""
    block_tasks: str
    """Tasks of the block, joined by semicolons."""
    task: str
    """The task of the block that the point is about."""
    predicted: float
    """Mean affinity of the block's other tasks to it, minus the same for its block in the reference."""
    relative: float
    """Change of its main metric, divided by the absolute value of the reference's mean."""
    seeds: int
    """Number of seeds that block and reference both have."""


class RankRow(NamedTuple):
    """Spearman's rank correlation of predicted and measured changes, for one measure at one scale."""

    measure: Measure
    """Measure of affinity that predicts."""
    scale: Scale
    """Scale of the blocks."""
    points: int
    """Number of points."""
    tasks: int
    """Number of different tasks among the points."""
    rho: float
    """The correlation; NaN if it is not defined."""
    low: float
    """Lower end of its interval by bootstrap over tasks; NaN without one."""
    high: float
    """Upper end of the interval."""


@dataclass(frozen=True)
class _MeasuredChange:
    """Measured change of one task of a trained block of several tasks."""

    scale: Scale
    grouping: str
    block: str
    """Name of the block."""
    tasks: tuple[str, ...]
    """Tasks of the block."""
    reference: tuple[str, ...]
    """Tasks of its block in the reference."""
    task: str
    relative: float
    """Change of the main metric, divided by the absolute value of the reference's mean."""
    seeds: int
    """Number of seeds that both have."""


@dataclass(frozen=True)
class AffinityTables:
    """Affinities of a study with their predictions, for figures and text."""

    head: AffinityDescription | None = None
    """Facts about the estimates; None without an affinity.csv, or if it is not usable."""
    refused: str = ""
    """Reason why an existing file is not used; empty otherwise."""
    points: tuple[AffinityPoint, ...] = ()
    """A row for each measure and task of a trained block of several tasks."""
    ranks: tuple[RankRow, ...] = ()
    """A row for each measure and scale."""

    def shown_points(self) -> tuple[AffinityPoint, ...]:
        """Return the points of the scale that affinities were estimated at; without one, of the largest scale."""
        if not self.points or self.head is None:
            return self.points
        scales = {point.scale for point in self.points}
        scale = self.head.scale if self.head.scale in scales else max(scales)
        return tuple(point for point in self.points if point.scale == scale)


def make_affinity(comparison: StudyComparison) -> AffinityTables:
    """Return predictions of the first folder that has an affinity.csv; empty tables without such a folder."""
    collection = comparison.collection
    folder = next((d / FOLDER for d in collection.directories if (d / FOLDER / TABLE).is_file()), None)
    if folder is None:
        return AffinityTables()
    try:
        head, values = read_description(folder), read_values(folder)
        _check_fit(head, folder, collection)
    except RunError as error:
        return AffinityTables(refused=str(error))
    means = {measure: _average_seeds(by_seed) for measure, by_seed in values.items()}
    measured = _measure_changes(collection, head.variant)
    points = tuple(
        point for measure, mean in means.items() for point in _predict_changes(measure, mean, measured, head.variant)
    )
    return AffinityTables(head, "", points, _correlate_ranks(points, collection.study.confidence))


def make_affinity_table(points: Sequence[AffinityPoint]) -> pd.DataFrame:
    """Return the table that affinity.csv is written from."""
    return pd.DataFrame(points, columns=list(AFFINITY_COLUMNS))


def _correlate_ranks(points: Sequence[AffinityPoint], confidence: float) -> tuple[RankRow, ...]:
    """Return the rank correlation of the points of each measure and scale."""
    families: dict[tuple[Measure, Scale], list[AffinityPoint]] = {}
    for point in points:
        families.setdefault((point.measure, point.scale), []).append(point)
    ranks = []
    for (measure, scale), members in families.items():
        tasks = [point.task for point in members]
        predicted, relative = [point.predicted for point in members], [point.relative for point in members]
        rho, low, high = rank_correlation(tasks, predicted, relative, confidence)
        ranks.append(RankRow(measure, scale, len(members), len(set(tasks)), rho, low, high))
    return tuple(ranks)


def rank_correlation(
    tasks: ArrayLike, predicted: ArrayLike, measured: ArrayLike, confidence: float
) -> tuple[float, float, float]:
    """Return Spearman's rho with a percentile interval by bootstrap over tasks.

    The points of one task are drawn together, because they share its reference.

    Args:
        tasks: (n,) name of each point's task.
        predicted: (n,) predicted changes.
        measured: (n,) measured changes.
        confidence: Level of the interval, such as .95.

    Returns:
        rho and the ends of its interval; NaN with fewer than 4 tasks, or if predicted or measured do not vary.
    """
    x, y = np.asarray(predicted, dtype=float), np.asarray(measured, dtype=float)
    names, task_indices = np.unique(np.asarray(tasks, dtype=str), return_inverse=True)
    rho = _compute_spearman(x, y, np.ones((1, len(x))))[0]
    if len(names) < _FEWEST_TASKS or np.isnan(rho):
        return np.nan, np.nan, np.nan
    rng = make_generator("affinity bootstrap", len(names))
    # (D, T) how many times each task is in each bootstrap sample
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=DRAWS)
    correlations = _compute_spearman(x, y, times[:, task_indices].astype(float))
    low, high = np.nanquantile(correlations, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(rho), float(low), float(high)


def _compute_spearman(x: Array, y: Array, times: Array) -> Array:
    """Return the rank correlation of points in each of D samples.

    Args:
        x: (n,) first values.
        y: (n,) second values.
        times: (D, n) how many times each point is in each sample.

    Returns:
        (D,) correlations; NaN for samples in which x or y does not vary.
    """
    first, second = _rank_points(x, times), _rank_points(y, times)
    count = times.sum(axis=1, keepdims=True)
    first, second = (ranks - (times * ranks).sum(axis=1, keepdims=True) / count for ranks in (first, second))
    size = np.sqrt((times * first**2).sum(axis=1) * (times * second**2).sum(axis=1))
    products = (times * first * second).sum(axis=1)
    rho: Array = np.divide(products, size, out=np.full(len(times), np.nan), where=size > 1e-9)
    return rho


def _rank_points(values: Array, times: Array) -> Array:
    """Return the (D, n) ranks of points in each sample; equal values have their mean rank."""
    levels, level_indices = np.unique(values, return_inverse=True)
    counts = times @ (level_indices[:, None] == np.arange(len(levels))).astype(float)
    # Ranks start at 1/2 instead of 1, which no correlation depends on.
    ranks: Array = (np.cumsum(counts, axis=1) - counts / 2)[:, level_indices]
    return ranks


def _check_fit(head: AffinityDescription, folder: Path, collection: Collection) -> None:
    """Refuse affinities of other data, another study or an unknown variant, and those that lack tasks.

    Args:
        head: Facts about the estimates.
        folder: Folder of affinity.csv.
        collection: Runs of the study of the report.

    Raises:
        RunError: The affinities do not fit the report; the message names the difference.
    """
    study, data = collection.study, collection.data
    path = folder / TABLE
    remedy = "run usaggr affinity to estimate them again"
    if head.content_hash != data.content_hash:
        raise RunError(f"{path} was estimated on other data than the report ({head.content_hash[:8]}); {remedy}")
    if head.split_hash != data.split_hash:
        raise RunError(f"{path} was estimated with another split than the report ({head.split_hash[:8]}); {remedy}")
    if head.study != study.name:
        raise RunError(f"{path} belongs to the study {head.study}, the report to {study.name}; {remedy}")
    if head.variant not in study.variants:
        raise RunError(f"{path} was estimated for the variant {head.variant}, which {study.name} lacks; {remedy}")
    if missing := sorted(set(collection.tasks) - set(head.tasks)):
        raise RunError(f"{path} lacks the tasks {', '.join(missing)}; {remedy}")


def _average_seeds(by_seed: Mapping[int, Values]) -> dict[tuple[str, str], float]:
    by_pair: dict[tuple[str, str], list[float]] = {}
    for values in by_seed.values():
        for pair, value in values.items():
            by_pair.setdefault(pair, []).append(value)
    return {pair: float(np.mean(values)) for pair, values in by_pair.items()}


def _measure_changes(collection: Collection, variant: str) -> tuple[_MeasuredChange, ...]:
    """Return the measured change of each task of each trained block of several tasks.

    Changes are relative, over the seeds that block and reference both have. A block that several groupings have counts
    once, and only blocks that were trained in one stage count.
    """
    measured: dict[tuple[Scale, str, tuple[str, ...]], _MeasuredChange] = {}
    for runs in (collection, collection.controls):
        if runs is None:
            continue
        plain = [run for run in runs.runs if not run.row.parent]
        members = {run.row.fingerprint: run.row.tasks for run in plain}
        pairs = pair_with_reference(observe(replace(runs, runs=tuple(plain))), runs.study.reference)
        chosen = [
            pair
            for pair in pairs
            if pair.compared.main and pair.compared.variant == variant and pair.has_delta and not pair.is_same_run
        ]
        for seeds in group_rows(chosen, lambda pair: pair.compared.cell).values():
            first, reference = seeds[0].compared, seeds[0].reference
            assert reference is not None  # because the pair has a delta
            block = members[first.fingerprint]
            size = abs(float(np.mean([pair.reference_value for pair in seeds])))
            if len(block) > 1 and size > 0:
                change = _MeasuredChange(
                    scale=first.scale,
                    grouping=first.grouping,
                    block=first.block,
                    tasks=block,
                    reference=members[reference.fingerprint],
                    task=first.task,
                    relative=float(np.mean([pair.delta for pair in seeds])) / size,
                    seeds=len(seeds),
                )
                measured.setdefault((first.scale, first.task, block), change)
    return tuple(measured.values())


def _predict_changes(
    measure: Measure, values: Values, measured: Sequence[_MeasuredChange], variant: str
) -> Iterator[AffinityPoint]:
    """Yield the prediction of a measure for each measured change, if it has an estimate.

    Args:
        measure: Measure of affinity.
        values: Affinities of this measure, mean over seeds.
        measured: Changes of the tasks of trained blocks.
        variant: Variant that affinities and changes belong to.
    """
    for row in measured:
        predicted = _predict_change(values, row.task, row.tasks) - _predict_change(values, row.task, row.reference)
        if not np.isnan(predicted):
            yield AffinityPoint(
                measure=measure,
                scale=row.scale,
                variant=variant,
                grouping=row.grouping,
                block=row.block,
                block_tasks=";".join(row.tasks),
                task=row.task,
                predicted=predicted,
                relative=row.relative,
                seeds=row.seeds,
            )


def _predict_change(values: Values, task: str, block: Sequence[str]) -> float:
    """Return the mean affinity of a block's other tasks to a task; 0 without others, NaN without an estimate."""
    sources = [source for source in block if source != task]
    estimates = [values[source, task] for source in sources if (source, task) in values]
    if not sources:
        return 0.0
    return float(np.mean(estimates)) if estimates else np.nan
