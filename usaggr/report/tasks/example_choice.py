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
    """Name in captions."""
    short: str
    """Name where only a few letters fit."""
    unit: str
    """Unit with a leading space; empty for scores without a unit."""
    higher_is_better: bool

    def format(self, value: float | None, label: str) -> str:
        """Return a value after a label, with its unit; a dash for a missing one."""
        return f"{label} {numbers.score(value, self.name)}{self.unit}"


@dataclass(frozen=True)
class Side:
    """Groupings with the same predictions for a task, because they share the runs that contain it."""

    groupings: tuple[str, ...]
    runs: dict[int, CollectedRun]
    """Finished runs that have predictions, by seed."""

    @property
    def label(self) -> str:
        """Labels of the groupings, as in tables."""
        return " = ".join(map(grouping_label, self.groupings))


@dataclass(frozen=True)
class Contest:
    """Two sides of a task to choose samples from; a single side if there is nothing to compare it with."""

    task: Task
    scale: float | int
    base: Side
    """Side of the reference; if that has no finished run, the first side that has one."""
    other: Side | None
    """The side with the largest difference from the base in the task's main metric."""
    seeds: tuple[int, ...]
    """Seeds that a sample's score is averaged over: those of both the base and the other side."""
    drawable: tuple[int, ...]
    """Seeds whose predictions may be drawn: those that all sides have; if there are none, `seeds`."""
    sides: tuple[Side, ...]
    """All sides to show, the base first."""

    def shown(self, seed: int) -> tuple[Side, ...]:
        """Return the sides that have a seed, the base first."""
        return tuple(side for side in self.sides if seed in side.runs)


@dataclass(frozen=True)
class Choice:
    """A sample and its rank among all test samples of its task."""

    kind: Kind
    sample_id: str
    seed: int
    """Seed of the drawn predictions.

    Seeds whose difference has the sign of the mean over seeds come first. Among them, it is the seed closest to that
    mean; among equally close seeds, the lowest one.
    """
    base: float
    """Score of the base: mean over seeds."""
    other: float
    """Score of the other side: mean over seeds; NaN without another side."""
    difference: float
    """Other side minus base, positive if the other side is better; NaN without another side."""
    samples: int
    """Number of test samples that have a score on each side."""
    median: float
    """Median difference over all samples; without another side, their median score."""
    better: int
    """Number of samples on which the other side is better than the base; 0 without another side."""
    worse: int
    """Number of samples on which the other side is worse than the base; 0 without another side."""
    rank: int
    """1 plus the number of samples with a worse score of the base: 1 is the worst sample."""


class SampleScores:
    """Per-sample scores of runs; each file of predictions is read once."""

    def __init__(self, collection: Collection) -> None:
        self._tasks = {task_id: facts.task for task_id, facts in collection.data.tasks.items()}
        self._read: dict[str, dict[str, pd.Series[float]]] = {}

    def mean(self, side: Side, seeds: Sequence[int], task: str) -> "pd.Series[float]":
        """Return the mean score over seeds of each test sample, sorted by sample id.

        Args:
            side: Side with the runs.
            seeds: Seeds to average over; the side has a run of each.
            task: Id of the task.

        Raises:
            RunError: Predictions cannot be read.
        """
        tables = [self._read_run(side.runs[seed])[task] for seed in seeds]
        return pd.concat(tables, axis=1, join="inner").mean(axis=1, skipna=False).dropna().sort_index()

    def _read_run(self, run: CollectedRun) -> "dict[str, pd.Series[float]]":
        """Return the score of each sample by task; the file is read on the first call."""
        if run.row.fingerprint not in self._read:
            assert run.path is not None
            tasks = [self._tasks[task_id] for task_id in run.row.tasks]
            types = {task.type for task in tasks}
            names = {sample_score(task_type).name for task_type in types if not has_class_label(task_type)}
            classes = ["label", "probs"] if any(map(has_class_label, types)) else []
            table = read_predictions(
                run.path / contract.PREDICTIONS, ["task_id", "sample_id", *sorted(names), *classes]
            )
            task_tables = dict(list(table.groupby("task_id")))
            try:
                # A task without predictions has an empty table, so that its scores are empty.
                self._read[run.row.fingerprint] = {
                    task.id: _compute_scores(task_tables.get(task.id, table.iloc[:0]), task.type) for task in tasks
                }
            except (ValueError, TypeError, IndexError) as error:
                raise RunError(f"{run.path}: a prediction is incomplete ({error})") from error
        return self._read[run.row.fingerprint]


def sample_score(task_type: TaskType) -> SampleScore:
    """Return the main metric if single samples have a value of it, otherwise the probability of the true class."""
    if has_class_label(task_type):
        return SampleScore("probability", "probability of the true class", "p(true)", "", True)
    metric = main_metric(task_type)
    label = metric_label(metric.name)
    unit = metric_label(metric.name, unit=True).removeprefix(label)
    return SampleScore(metric.name, label, label, unit.replace("(", "").replace(")", ""), metric.higher_is_better)


def find_contest(collection: Collection, comparison: pd.DataFrame, task_id: str) -> Contest | None:
    """Return the sides of a task at the largest scale where the reference and another grouping share a finished seed.

    Without such a scale, only one side is returned: the first one at the largest scale with a finished run.

    Args:
        collection: Runs of the study.
        comparison: Table of verdicts; the largest `delta` decides which grouping is compared with the reference.
        task_id: Id of the task.

    Returns:
        The sides, or None if no run of the task has finished.
    """
    study, task = collection.study, collection.data.tasks[task_id].task
    scales = {scale: _list_sides(collection, task_id, scale) for scale in sorted(study.scales, reverse=True)}
    for scale, sides in scales.items():
        base = next((side for side in sides if study.reference in side.groupings), None)
        if base is None:
            continue
        candidates = [side for side in sides if side is not base and side.runs.keys() & base.runs]
        if candidates:
            deltas = _read_deltas(comparison, task_id, scale, base_variant(collection))
            # A grouping without a difference (-1) is compared only if no grouping has one.
            other = max(candidates, key=lambda side: max(deltas.get(name, -1.0) for name in side.groupings))
            return _make_contest(task, scale, base, other, sides)
    for scale, sides in scales.items():
        if sides:
            return _make_contest(task, scale, sides[0], None, sides[:1])
    return None


def choose_extremes(contest: Contest, scores: SampleScores) -> tuple[Choice, ...]:
    """Return the samples with the largest and the smallest difference, or with the best and the worst score.

    Among equal samples, the first by id is chosen; if all samples are equal, only that sample is returned.

    Raises:
        RunError: Predictions cannot be read.
    """
    sign = 1.0 if sample_score(contest.task.type).higher_is_better else -1.0
    base, other = _align_scores(contest, contest.seeds, scores)
    if base.empty:
        return ()
    values = np.array(sign * _subtract_base(base, other), dtype=np.float64)
    kinds: tuple[Kind, Kind] = ("best", "worst") if other is None else ("gain", "loss")
    # Sums in another order differ in their last digits, so differences of that size count as zero.
    values[np.abs(values) < 1e-9] = 0.0
    # The dictionary removes the second position if all samples are equal, and keeps the order.
    positions = dict.fromkeys((int(values.argmax()), int(values.argmin())))
    choices = []
    for kind, position in zip(kinds, positions, strict=False):
        seed = _find_typical_seed(contest, str(base.index[position]), scores)
        choices.append(_make_choice(kind, position, seed, values, base, other, sign))
    return tuple(choices)


def base_variant(collection: Collection) -> str:
    """Return the variant `base`, which has no overrides, if the study has it; otherwise its first variant."""
    variants = collection.study.variants
    return "base" if "base" in variants else next(iter(variants))


def _list_sides(collection: Collection, task_id: str, scale: float | int) -> list[Side]:
    """Return the sides with finished runs at a scale: the reference's first, then in the order of the study.

    Args:
        collection: Runs of the study.
        task_id: Id of the task.
        scale: Scale of the runs.
    """
    variant = base_variant(collection)
    runs_by_grouping: dict[str, dict[int, CollectedRun]] = {}
    for run in collection.runs:
        if run.row.variant == variant and run.row.scale == scale and task_id in run.row.tasks:
            for grouping in run.row.groupings:
                runs_by_grouping.setdefault(grouping, {})[run.row.seed] = run
    # Groupings with the same fingerprints share their runs, and therefore make one side.
    merged: dict[tuple[tuple[int, str], ...], list[str]] = {}
    study = collection.study
    for grouping in sorted(study.groupings, key=lambda name: name != study.reference):
        if grouping in runs_by_grouping:
            runs = runs_by_grouping[grouping]
            key = tuple(sorted((seed, run.row.fingerprint) for seed, run in runs.items()))
            merged.setdefault(key, []).append(grouping)
    sides = [
        Side(
            tuple(names),
            {seed: run for seed, run in sorted(runs_by_grouping[names[0]].items()) if _has_predictions(run)},
        )
        for names in merged.values()
    ]
    return [side for side in sides if side.runs]


def _has_predictions(run: CollectedRun) -> bool:
    """Return true if a run is finished and its file of predictions exists."""
    return run.state == "done" and run.path is not None and (run.path / contract.PREDICTIONS).is_file()


def _read_deltas(comparison: pd.DataFrame, task_id: str, scale: float | int, variant: str) -> dict[str, float]:
    """Return the size of each grouping's difference from the reference in the main metric, if it is available.

    Args:
        comparison: Table of verdicts.
        task_id: Id of the task.
        scale: Scale of the runs.
        variant: Variant of the runs.

    Returns:
        Absolute difference by grouping, in the metric's unit.
    """
    verdicts = comparison[comparison["main"] & (comparison["task"] == task_id) & (comparison["variant"] == variant)]
    verdicts = verdicts[(verdicts["scale"] == scale) & verdicts["delta"].notna()]
    return {str(name): abs(float(delta)) for name, delta in zip(verdicts["grouping"], verdicts["delta"], strict=True)}


def _make_contest(task: Task, scale: float | int, base: Side, other: Side | None, sides: Sequence[Side]) -> Contest:
    """Return a contest with the seeds that its sides have in common.

    Args:
        task: The task.
        scale: Scale of the runs.
        base: Side that the other one is compared with.
        other: Side that is compared, if there is one.
        sides: All sides to show, the base first.
    """
    seeds = set(base.runs) if other is None else base.runs.keys() & other.runs.keys()
    common_seeds = set.intersection(*(set(side.runs) for side in sides))
    return Contest(task, scale, base, other, tuple(sorted(seeds)), tuple(sorted(common_seeds or seeds)), tuple(sides))


def _align_scores(
    contest: Contest, seeds: Sequence[int], scores: SampleScores
) -> "tuple[pd.Series[float], pd.Series[float] | None]":
    """Return the scores of the base and of the other side on the samples that both have.

    Args:
        contest: The sides.
        seeds: Seeds to average over.
        scores: Scores of single samples.
    """
    base = scores.mean(contest.base, seeds, contest.task.id)
    if contest.other is None:
        return base, None
    other = scores.mean(contest.other, seeds, contest.task.id)
    return base.align(other, join="inner")


def _subtract_base(base: "pd.Series[float]", other: "pd.Series[float] | None") -> "pd.Series[float]":
    """Return the other side's scores minus the base's; without another side, the scores themselves."""
    return base if other is None else other - base


def _find_typical_seed(contest: Contest, sample_id: str, scores: SampleScores) -> int:
    """Return the seed that represents the mean of a sample best, since a single seed may have the opposite sign.

    Args:
        contest: The sides and their seeds.
        sample_id: Id of the sample.
        scores: Scores of single samples.
    """

    def compute_value(seeds: Sequence[int]) -> float:
        return float(_subtract_base(*_align_scores(contest, seeds, scores))[sample_id])

    mean = compute_value(contest.seeds)
    values = {seed: compute_value([seed]) for seed in contest.drawable}
    # A wrong sign outweighs any distance. Without rounding, tiny errors would decide between equal distances.
    return min(values, key=lambda seed: (values[seed] * mean < 0, round(abs(values[seed] - mean), 9), seed))


def _compute_scores(predictions: pd.DataFrame, task_type: TaskType) -> "pd.Series[float]":
    """Return the score of each sample by its id."""
    score = sample_score(task_type)
    if has_class_label(task_type):
        labels = predictions["label"].to_numpy(dtype=np.int64)
        values = np.array(
            [probs[label] for probs, label in zip(predictions["probs"], labels, strict=True)], dtype=float
        )
    else:
        values = predictions[score.name].to_numpy(dtype=float)
    return pd.Series(values, index=predictions["sample_id"].to_numpy(dtype=object))


def _make_choice(
    kind: Kind,
    position: int,
    seed: int,
    values: NDArray[np.float64],
    base: "pd.Series[float]",
    other: "pd.Series[float] | None",
    sign: float,
) -> Choice:
    """Return a sample with its rank among all samples.

    Args:
        kind: Reason for the choice.
        position: Position of the sample in `values`, `base` and `other`.
        seed: Seed whose predictions are drawn.
        values: (N,) differences, or scores without another side; higher is better.
        base: Score of the base for each sample.
        other: Score of the other side for each sample, if there is one.
        sign: 1 if a higher score is better, otherwise -1.
    """
    oriented = sign * base.to_numpy()  # higher is better
    return Choice(
        kind=kind,
        sample_id=str(base.index[position]),
        seed=seed,
        base=float(base.iloc[position]),
        other=math.nan if other is None else float(other.iloc[position]),
        difference=math.nan if other is None else float(values[position]),
        samples=len(values),
        median=float(np.median(values)) * (sign if other is None else 1.0),
        better=0 if other is None else int((values > 0).sum()),
        worse=0 if other is None else int((values < 0).sum()),
        rank=int((oriented < oriented[position]).sum()) + 1,
    )
