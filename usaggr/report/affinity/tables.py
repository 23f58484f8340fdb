"""Did affinity predict? What estimated affinities say of each trained block, beside what was measured of its tasks.

Predicted is the mean affinity that the other tasks of a task's block have on it, measured its relative change from the
reference on the main metric; where the reference is itself a shared model, what is predicted for that is taken off.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from usaggr.analysis.collect import Collection
from usaggr.analysis.compare_study import StudyComparison
from usaggr.analysis.comparison import pairs_of
from usaggr.analysis.observations import observe
from usaggr.data.seeds import generator
from usaggr.errors import RunError
from usaggr.results.affinity import FOLDER, TABLE, Array, Head, Measure, read_head, read_values

AFFINITY_COLUMNS = (
    "measure", "scale", "variant", "grouping", "block", "block_tasks", "task", "predicted", "relative", "seeds",
)  # fmt: skip
"""Of affinity.csv: a row a measure and task of a trained block of several tasks."""
RANK_COLUMNS = ("measure", "scale", "points", "tasks", "rho", "low", "high")
DRAWS = 2000
"""Of the bootstrap over tasks."""
_FEWEST = 4
"""Tasks, under which ranks say nothing."""

Values = Mapping[tuple[str, str], float]
"""Source and target: affinity."""


@dataclass(frozen=True)
class AffinityTables:
    """All that figures and text say of affinities."""

    head: Head | None = None
    """None: there is no affinity.csv, or it is refused."""
    refused: str = ""
    """Why the file that is there is not used."""
    points: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(AFFINITY_COLUMNS)))
    ranks: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(RANK_COLUMNS)))
    """A row a measure and scale: Spearman's rank correlation with its interval; missing where it is not defined."""

    def shown(self) -> pd.DataFrame:
        """The points that are drawn: of the scale that affinities were estimated at, else of the largest one."""
        if self.points.empty or self.head is None:
            return self.points
        scales = set(self.points["scale"])
        return self.points[self.points["scale"] == (self.head.scale if self.head.scale in scales else max(scales))]


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
    rows = [row for measure, of in means.items() for row in _points(measure, of, measured)]
    points = pd.DataFrame(rows, columns=list(AFFINITY_COLUMNS)).astype({"predicted": float, "relative": float})
    confidence = collection.study.confidence
    ranked = [
        (measure, scale, len(of), of["task"].nunique(), *rank_correlation(of, confidence))
        for (measure, scale), of in points.groupby(["measure", "scale"], sort=False)
    ]
    return AffinityTables(head, "", points, pd.DataFrame(ranked, columns=list(RANK_COLUMNS)))


def rank_correlation(points: pd.DataFrame, confidence: float) -> tuple[float, float, float]:
    """Spearman's rho of predicted and measured, with a percentile interval by bootstrap over tasks.

    The points of one task are drawn together: they share its reference. NaN where there are fewer than 4 tasks, or one
    of both does not vary.
    """
    x, y = (points[name].to_numpy(dtype=float) for name in ("predicted", "relative"))
    names, task_of = np.unique(points["task"].to_numpy(dtype=str), return_inverse=True)
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


def _measured(collection: Collection, variant: str) -> list[dict[str, Any]]:
    """A row a scale, grouping and task of a trained block of several tasks, each block once, of one stage.

    Relative change over the seeds that block and reference both have.
    """
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for of in (collection, collection.controls):
        if of is None:
            continue
        plain = [run for run in of.runs if not run.row.parent]
        members = {run.row.fingerprint: run.row.tasks for run in plain}
        pairs = pairs_of(observe(replace(of, runs=tuple(plain))), of.study.reference)
        chosen = pairs[pairs["main"] & (pairs["variant"] == variant) & ~pairs["same"] & pairs["delta"].notna()]
        for key, rows in chosen.groupby(["scale", "grouping", "task"], sort=False):
            scale, grouping, task = key
            first = rows.iloc[0]
            block, reference = members[first["fingerprint"]], members[first["fingerprint_reference"]]
            size = abs(rows["value_reference"].mean())
            if len(block) > 1 and size > 0:
                row = {"scale": scale, "variant": variant, "grouping": grouping, "block": first["block"], "task": task}
                row |= {"tasks": block, "reference": reference, "seeds": len(rows)}
                found.setdefault((scale, task, block), row | {"relative": rows["delta"].mean() / size})
    return list(found.values())


def _points(measure: Measure, values: Values, measured: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Any, ...]]:
    for row in measured:
        predicted = _predicted(values, row["task"], row["tasks"]) - _predicted(values, row["task"], row["reference"])
        if not np.isnan(predicted):
            yield (
                measure, row["scale"], row["variant"], row["grouping"], row["block"], ";".join(row["tasks"]),
                row["task"], predicted, row["relative"], row["seeds"],
            )  # fmt: skip


def _predicted(values: Values, task: str, block: Sequence[str]) -> float:
    """0 for a task alone; NaN where no pair has an estimate."""
    others = [source for source in block if source != task]
    known = [values[source, task] for source in others if (source, task) in values]
    if not others:
        return 0.0
    return float(np.mean(known)) if known else np.nan
