"""Choice of the test samples to draw: those with the largest effect of sharing, or the best and the worst ones.

The choice follows from the scores of saved predictions; no sample is chosen by eye or at random.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.document import numbers
from usaggr.document.display_names import grouping_label
from usaggr.errors import RunError
from usaggr.metrics.names import main_metric, metric_label
from usaggr.results import contract
from usaggr.results.predictions import read_predictions
from usaggr.tasks import Task, TaskType, has_class_label

Kind = Literal["gain", "loss", "best", "worst"]


@dataclass(frozen=True)
class SampleScore:
    """Score that ranks the samples of a task."""

    name: str
    """A metric of single samples, or `probability`: that of the true class, in [0, 1]."""
    label: str
    short: str
    """For a place of a few letters."""
    unit: str
    higher_is_better: bool

    def words(self, value: float | None, label: str) -> str:
        """Return a value after a label, with its unit; a dash for a missing one."""
        return f"{label} {numbers.score(value, self.name)}{self.unit}"


@dataclass(frozen=True)
class Side:
    """Groupings whose runs of a task are the same ones: they make the same predictions."""

    groupings: tuple[str, ...]
    runs: dict[int, CollectedRun]
    """Finished ones that have predictions, by seed."""

    @property
    def label(self) -> str:
        """As tables call its groupings."""
        return " = ".join(map(grouping_label, self.groupings))


@dataclass(frozen=True)
class Contest:
    """What samples of a task are chosen from: two sides, or one where there is nothing to set against it."""

    task: Task
    scale: float | int
    base: Side
    """The reference's; where that has no finished run, the first that has one."""
    other: Side | None
    """The side with the largest difference from the base in the task's main metric."""
    seeds: tuple[int, ...]
    """Over which a sample's score is averaged: those that both sides have."""
    drawable: tuple[int, ...]
    """Seeds of these whose predictions may be drawn: those that all sides have, if there is one."""
    sides: tuple[Side, ...]
    """All that have finished runs, the base first."""

    def shown(self, seed: int) -> tuple[Side, ...]:
        """Sides that have a seed, the base first."""
        return tuple(side for side in self.sides if seed in side.runs)


@dataclass(frozen=True)
class Choice:
    """A sample and its standing among all test samples of its task."""

    kind: Kind
    sample_id: str
    seed: int
    """Whose predictions are drawn: of those whose difference has the sign of the mean over seeds, the one that comes
    nearest to that mean; of equals, the lowest."""
    base: float
    """Score of the base, mean over seeds."""
    other: float
    """Score of the other side, mean over seeds; NaN without one."""
    difference: float
    """Of the other side from the base, positive where better; NaN without one."""
    samples: int
    median: float
    """Of the differences of all samples; without another side, of their scores."""
    better: int
    """Samples on which the other side is better than the base; 0 without one."""
    worse: int
    rank: int
    """How many samples the base does worse on, plus 1."""


class SampleScores:
    """Per-sample scores of runs; each file of predictions is read once."""

    def __init__(self, collection: Collection) -> None:
        self._tasks = {task_id: facts.task for task_id, facts in collection.data.tasks.items()}
        self._read: dict[str, dict[str, pd.Series[float]]] = {}

    def mean(self, side: Side, seeds: Sequence[int], task: str) -> "pd.Series[float]":
        """Score of each test sample, mean over seeds, by sample id in order.

        Raises:
            RunError: predictions cannot be read.
        """
        tables = [self._of_run(side.runs[seed])[task] for seed in seeds]
        return pd.concat(tables, axis=1, join="inner").mean(axis=1, skipna=False).dropna().sort_index()

    def _of_run(self, run: CollectedRun) -> "dict[str, pd.Series[float]]":
        if run.row.fingerprint not in self._read:
            assert run.path is not None
            tasks = [self._tasks[task_id] for task_id in run.row.tasks]
            types = {task.type for task in tasks}
            names = {sample_score(task_type).name for task_type in types if not has_class_label(task_type)}
            classes = ["label", "probs"] if any(map(has_class_label, types)) else []
            table = read_predictions(
                run.path / contract.PREDICTIONS, ["task_id", "sample_id", *sorted(names), *classes]
            )
            rows = dict(list(table.groupby("task_id")))
            try:
                self._read[run.row.fingerprint] = {
                    task.id: _scores(rows.get(task.id, table.iloc[:0]), task.type) for task in tasks
                }
            except (ValueError, TypeError, IndexError) as error:
                raise RunError(f"{run.path}: a prediction is not whole ({error})") from error
        return self._read[run.row.fingerprint]


def sample_score(task_type: TaskType) -> SampleScore:
    """The main metric where single samples have it, else the probability of the true class."""
    if has_class_label(task_type):
        return SampleScore("probability", "probability of the true class", "p(true)", "", True)
    metric = main_metric(task_type)
    label = metric_label(metric.name)
    unit = metric_label(metric.name, unit=True).removeprefix(label)
    return SampleScore(metric.name, label, label, unit.replace("(", "").replace(")", ""), metric.higher_is_better)


def find_contest(collection: Collection, comparison: pd.DataFrame, task_id: str) -> Contest | None:
    """The largest scale at which the reference and another grouping have finished a seed in common.

    Without such a scale, the largest at which any grouping has finished a run; None if there is none. `comparison` is
    the table of that name, whose `delta` decides which grouping is set against the reference.
    """
    study, task = collection.study, collection.data.tasks[task_id].task
    scales = {scale: _sides(collection, task_id, scale) for scale in sorted(study.scales, reverse=True)}
    for scale, sides in scales.items():
        base = next((side for side in sides if study.reference in side.groupings), None)
        others = [] if base is None else [side for side in sides if side is not base and side.runs.keys() & base.runs]
        if base is not None and others:
            deltas = _deltas(comparison, task_id, scale, base_variant(collection))
            other = max(others, key=lambda side: max(deltas.get(name, -1.0) for name in side.groupings))
            return _contest(task, scale, base, other, sides)
    for scale, sides in scales.items():
        if sides:
            return _contest(task, scale, sides[0], None, sides[:1])
    return None


def choose(contest: Contest, scores: SampleScores) -> tuple[Choice, ...]:
    """Return the samples with the largest and the smallest difference, or with the best and the worst score.

    Of equal samples, the first by id is taken; if all are equal, only that one.

    Raises:
        RunError: Predictions cannot be read.
    """
    sign = 1.0 if sample_score(contest.task.type).higher_is_better else -1.0
    base, other = _both(contest, contest.seeds, scores)
    if base.empty:
        return ()
    values = np.array(sign * _ranked(base, other), dtype=np.float64)
    kinds: tuple[Kind, Kind] = ("best", "worst") if other is None else ("gain", "loss")
    # Sums in another order differ in their last digits: what is that small is no difference.
    values[np.abs(values) < 1e-9] = 0.0
    places = dict.fromkeys((int(values.argmax()), int(values.argmin())))
    choices = []
    for kind, place in zip(kinds, places, strict=False):
        seed = _nearest_seed(contest, str(base.index[place]), scores)
        choices.append(_choice(kind, place, seed, values, base, other, sign))
    return tuple(choices)


def base_variant(collection: Collection) -> str:
    """The variant without overrides, where the study has it; else its first."""
    variants = collection.study.variants
    return "base" if "base" in variants else next(iter(variants))


def _sides(collection: Collection, task_id: str, scale: float | int) -> list[Side]:
    """Sides with finished runs at a scale, the reference's first, then as the study names them."""
    variant = base_variant(collection)
    found: dict[str, dict[int, CollectedRun]] = {}
    for run in collection.runs:
        if run.row.variant == variant and run.row.scale == scale and task_id in run.row.tasks:
            for grouping in run.row.groupings:
                found.setdefault(grouping, {})[run.row.seed] = run
    merged: dict[tuple[tuple[int, str], ...], list[str]] = {}
    study = collection.study
    for grouping in sorted(study.groupings, key=lambda name: name != study.reference):
        if grouping in found:
            key = tuple(sorted((seed, run.row.fingerprint) for seed, run in found[grouping].items()))
            merged.setdefault(key, []).append(grouping)
    sides = [
        Side(tuple(names), {seed: run for seed, run in sorted(found[names[0]].items()) if _has_predictions(run)})
        for names in merged.values()
    ]
    return [side for side in sides if side.runs]


def _has_predictions(run: CollectedRun) -> bool:
    return run.state == "done" and run.path is not None and (run.path / contract.PREDICTIONS).is_file()


def _deltas(comparison: pd.DataFrame, task_id: str, scale: float | int, variant: str) -> dict[str, float]:
    """Grouping: size of its difference from the reference in the main metric, where it is known."""
    rows = comparison[comparison["main"] & (comparison["task"] == task_id) & (comparison["variant"] == variant)]
    rows = rows[(rows["scale"] == scale) & rows["delta"].notna()]
    return {str(name): abs(float(delta)) for name, delta in zip(rows["grouping"], rows["delta"], strict=True)}


def _contest(task: Task, scale: float | int, base: Side, other: Side | None, sides: Sequence[Side]) -> Contest:
    both = set(base.runs) if other is None else base.runs.keys() & other.runs.keys()
    everywhere = set.intersection(*(set(side.runs) for side in sides))
    return Contest(task, scale, base, other, tuple(sorted(both)), tuple(sorted(everywhere or both)), tuple(sides))


def _both(
    contest: Contest, seeds: Sequence[int], scores: SampleScores
) -> "tuple[pd.Series[float], pd.Series[float] | None]":
    """Scores of the base and of the other side on the samples that both have."""
    base = scores.mean(contest.base, seeds, contest.task.id)
    if contest.other is None:
        return base, None
    other = scores.mean(contest.other, seeds, contest.task.id)
    return base.align(other, join="inner")


def _ranked(base: "pd.Series[float]", other: "pd.Series[float] | None") -> "pd.Series[float]":
    """What samples are ranked by, before its sign is set."""
    return base if other is None else other - base


def _nearest_seed(contest: Contest, sample_id: str, scores: SampleScores) -> int:
    """The seed that shows best what the mean says, since another one may show the contrary."""

    def value(seeds: Sequence[int]) -> float:
        return float(_ranked(*_both(contest, seeds, scores))[sample_id])

    mean = value(contest.seeds)
    values = {seed: value([seed]) for seed in contest.drawable}
    return min(values, key=lambda seed: (values[seed] * mean < 0, round(abs(values[seed] - mean), 9), seed))


def _scores(rows: pd.DataFrame, task_type: TaskType) -> "pd.Series[float]":
    score = sample_score(task_type)
    if has_class_label(task_type):
        labels = rows["label"].to_numpy(dtype=np.int64)
        values = np.array([probs[label] for probs, label in zip(rows["probs"], labels, strict=True)], dtype=float)
    else:
        values = rows[score.name].to_numpy(dtype=float)
    return pd.Series(values, index=rows["sample_id"].to_numpy(dtype=object))


def _choice(
    kind: Kind,
    place: int,
    seed: int,
    values: NDArray[np.float64],
    base: "pd.Series[float]",
    other: "pd.Series[float] | None",
    sign: float,
) -> Choice:
    of_base = sign * base.to_numpy()
    return Choice(
        kind=kind,
        sample_id=str(base.index[place]),
        seed=seed,
        base=float(base.iloc[place]),
        other=math.nan if other is None else float(other.iloc[place]),
        difference=math.nan if other is None else float(values[place]),
        samples=len(values),
        median=float(np.median(values)) * (sign if other is None else 1.0),
        better=0 if other is None else int((values > 0).sum()),
        worse=0 if other is None else int((values < 0).sum()),
        rank=int((of_base < of_base[place]).sum()) + 1,
    )
