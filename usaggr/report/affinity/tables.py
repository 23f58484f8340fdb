"""Did affinity predict? What estimated affinities say of each trained block, beside what was measured of its tasks.

Predicted is the mean affinity that the other tasks of a task's block have on it, measured its relative change from the
reference on the main metric; where the reference is itself a shared model, what is predicted for that is taken off.
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
from usaggr.analysis.comparison import pair_with_reference
from usaggr.analysis.observations import observe
from usaggr.data.seeds import generator
from usaggr.errors import RunError
from usaggr.results.affinity import FOLDER, TABLE, Array, Head, Measure, read_head, read_values

AFFINITY_COLUMNS = (
    "measure", "scale", "variant", "grouping", "block", "block_tasks", "task", "predicted", "relative", "seeds",
)  # fmt: skip
"""Columns of affinity.csv, one for each field of `AffinityPoint`."""
DRAWS = 2000
"""Of the bootstrap over tasks."""
_FEWEST = 4
"""Tasks, under which ranks say nothing."""

Values = Mapping[tuple[str, str], float]
"""Source and target: affinity."""


class AffinityPoint(NamedTuple):
    """Predicted and measured change of one task of a trained block of several tasks, by one measure of affinity."""

    measure: Measure
    """Measure of affinity that predicts."""
    scale: Scale
    """Fraction of each task's training samples, or most of them, that the block was trained on."""
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
    """Mean affinity of the block's other tasks on it, less the same of its block in the reference."""
    relative: float
    """Change of its main metric, over the size of the reference's mean."""
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
    """Upper end of it."""


@dataclass(frozen=True)
class _Measured:
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
    """Change of the main metric, over the size of the reference's mean."""
    seeds: int
    """Number of seeds that both have."""


@dataclass(frozen=True)
class AffinityTables:
    """All that figures and text say of affinities."""

    head: Head | None = None
    """None: there is no affinity.csv, or it is refused."""
    refused: str = ""
    """Why the file that is there is not used."""
    points: tuple[AffinityPoint, ...] = ()
    """A row for each measure and task of a trained block of several tasks."""
    ranks: tuple[RankRow, ...] = ()
    """A row for each measure and scale."""

    def shown(self) -> tuple[AffinityPoint, ...]:
        """Return the points that are drawn: of the scale that affinities were estimated at, else of the largest one."""
        if not self.points or self.head is None:
            return self.points
        scales = {point.scale for point in self.points}
        scale = self.head.scale if self.head.scale in scales else max(scales)
        return tuple(point for point in self.points if point.scale == scale)


def make_affinity(comparison: StudyComparison) -> AffinityTables:
    """Return what affinities predicted; nothing without an affinity.csv. The first folder that has one counts."""
    collection = comparison.collection
    folder = next((d / FOLDER for d in collection.directories if (d / FOLDER / TABLE).is_file()), None)
    if folder is None:
        return AffinityTables()
    try:
        head, values = read_head(folder), read_values(folder)
        _check(head, folder, collection)
    except RunError as error:
        return AffinityTables(refused=str(error))
    means = {measure: _mean(of_seeds) for measure, of_seeds in values.items()}
    measured = _measured(collection, head.variant)
    points = tuple(point for measure, of in means.items() for point in _points(measure, of, measured, head.variant))
    return AffinityTables(head, "", points, _ranked(points, collection.study.confidence))


def make_affinity_table(points: Sequence[AffinityPoint]) -> pd.DataFrame:
    """Return the table that affinity.csv is written from."""
    return pd.DataFrame(points, columns=list(AFFINITY_COLUMNS))


def _ranked(points: Sequence[AffinityPoint], confidence: float) -> tuple[RankRow, ...]:
    """Correlate the points of each measure and scale."""
    families: dict[tuple[Measure, Scale], list[AffinityPoint]] = {}
    for point in points:
        families.setdefault((point.measure, point.scale), []).append(point)
    rows = []
    for (measure, scale), members in families.items():
        tasks = [point.task for point in members]
        predicted, relative = [point.predicted for point in members], [point.relative for point in members]
        rho, low, high = rank_correlation(tasks, predicted, relative, confidence)
        rows.append(RankRow(measure, scale, len(members), len(set(tasks)), rho, low, high))
    return tuple(rows)


def rank_correlation(
    tasks: ArrayLike, predicted: ArrayLike, measured: ArrayLike, confidence: float
) -> tuple[float, float, float]:
    """Return Spearman's rho with a percentile interval by bootstrap over tasks.

    The points of one task are drawn together: they share its reference.

    Args:
        tasks: (n,) name of each point's task.
        predicted: (n,) predicted changes.
        measured: (n,) measured changes.
        confidence: level of the interval, such as .95.

    Returns:
        rho and the ends of its interval; NaN if there are fewer than 4 tasks, or predicted or measured do not vary.
    """
    x, y = np.asarray(predicted, dtype=float), np.asarray(measured, dtype=float)
    names, task_of = np.unique(np.asarray(tasks, dtype=str), return_inverse=True)
    rho = _spearman(x, y, np.ones((1, len(x))))[0]
    if len(names) < _FEWEST or np.isnan(rho):
        return np.nan, np.nan, np.nan
    rng = generator("affinity bootstrap", len(names))
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=DRAWS)  # each task is drawn
    drawn = _spearman(x, y, times[:, task_of].astype(float))
    low, high = np.nanquantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(rho), float(low), float(high)


def _spearman(x: Array, y: Array, times: Array) -> Array:
    """(D,) rank correlations of points that stand so many times (D, n) in D samples; NaN where one does not vary."""
    first, second = _ranks(x, times), _ranks(y, times)
    count = times.sum(axis=1, keepdims=True)
    first, second = (of - (times * of).sum(axis=1, keepdims=True) / count for of in (first, second))
    size = np.sqrt((times * first**2).sum(axis=1) * (times * second**2).sum(axis=1))
    both = (times * first * second).sum(axis=1)
    rho: Array = np.divide(both, size, out=np.full(len(times), np.nan), where=size > 1e-9)
    return rho


def _ranks(values: Array, times: Array) -> Array:
    """(D, n) rank of each point in each sample; equal values have their mean rank."""
    levels, level_of = np.unique(values, return_inverse=True)
    of_level = times @ (level_of[:, None] == np.arange(len(levels))).astype(float)
    ranks: Array = (np.cumsum(of_level, axis=1) - of_level / 2)[:, level_of]
    return ranks


def _check(head: Head, folder: Path, collection: Collection) -> None:
    """Refuse affinities of other data, of another study, or of a variant or tasks that this one has not.

    Raises:
        RunError: what differs.
    """
    study, data = collection.study, collection.data
    again = "estimate again: usaggr affinity"
    if head.content_hash != data.content_hash:
        raise RunError(f"{folder / TABLE}: is of other data than the report ({head.content_hash[:8]}); {again}")
    if head.split_hash != data.split_hash:
        raise RunError(f"{folder / TABLE}: is of another split than the report's ({head.split_hash[:8]}); {again}")
    if head.study != study.name:
        raise RunError(f"{folder / TABLE}: is of the study {head.study}, the report of {study.name}; {again}")
    if head.variant not in study.variants:
        raise RunError(f"{folder / TABLE}: is of the variant {head.variant}, which {study.name} has not; {again}")
    if missing := sorted(set(collection.tasks) - set(head.tasks)):
        raise RunError(f"{folder / TABLE}: has not the tasks {', '.join(missing)}; {again}")


def _mean(of_seeds: Mapping[int, Values]) -> dict[tuple[str, str], float]:
    known: dict[tuple[str, str], list[float]] = {}
    for values in of_seeds.values():
        for pair, value in values.items():
            known.setdefault(pair, []).append(value)
    return {pair: float(np.mean(values)) for pair, values in known.items()}


def _measured(collection: Collection, variant: str) -> tuple[_Measured, ...]:
    """Return the measured change of every task of a trained block of several tasks, each block of one stage once.

    Relative change over the seeds that block and reference both have.
    """
    measured: dict[tuple[Scale, str, tuple[str, ...]], _Measured] = {}
    for of in (collection, collection.controls):
        if of is None:
            continue
        plain = [run for run in of.runs if not run.row.parent]
        members = {run.row.fingerprint: run.row.tasks for run in plain}
        pairs = pair_with_reference(observe(replace(of, runs=tuple(plain))), of.study.reference)
        chosen = pairs[pairs["main"] & (pairs["variant"] == variant) & ~pairs["same"] & pairs["delta"].notna()]
        for _, rows in chosen.groupby(["scale", "grouping", "task"], sort=False):
            first = rows.iloc[0]
            scale, task = first["scale"], first["task"]
            block, reference = members[first["fingerprint"]], members[first["fingerprint_reference"]]
            size = abs(rows["value_reference"].mean())
            if len(block) > 1 and size > 0:
                relative = rows["delta"].mean() / size
                row = _Measured(scale, first["grouping"], first["block"], block, reference, task, relative, len(rows))
                measured.setdefault((scale, task, block), row)
    return tuple(measured.values())


def _points(measure: Measure, values: Values, measured: Sequence[_Measured], variant: str) -> Iterator[AffinityPoint]:
    """Yield what a measure predicts for each measured change, where it has an estimate.

    Args:
        measure: of affinity.
        values: its affinities.
        measured: changes of tasks of trained blocks.
        variant: that all of it is about.
    """
    for row in measured:
        predicted = _predicted(values, row.task, row.tasks) - _predicted(values, row.task, row.reference)
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


def _predicted(values: Values, task: str, block: Sequence[str]) -> float:
    """0 for a task alone; NaN where no pair has an estimate."""
    others = [source for source in block if source != task]
    known = [values[source, task] for source in others if (source, task) in values]
    if not others:
        return 0.0
    return float(np.mean(known)) if known else np.nan
