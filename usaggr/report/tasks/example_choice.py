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
from usaggr.document.display_names import grouping_label
from usaggr.report.tasks.sample_scores import SampleScoreReader, make_sample_score
from usaggr.results import contract
from usaggr.tasks import Task

Kind = Literal["gain", "loss", "best", "worst"]
"""Reason for a choice: largest gain or loss by sharing; with a single predictor, its best or worst score."""
_DECIMALS = 9
"""Decimals of a difference in scores that count; smaller differences are rounding errors."""


@dataclass(frozen=True)
class Predictor:
    """Groupings with the same predictions for a task, because they share the runs that contain it."""

    groupings: tuple[str, ...]
    runs: dict[int, CollectedRun]
    """Finished runs that have predictions, by seed."""

    @property
    def label(self) -> str:
        """Labels of the groupings, as in tables."""
        return " = ".join(map(grouping_label, self.groupings))


@dataclass(frozen=True)
class TaskComparison:
    """Predictors of one task, by whose scores samples are chosen."""

    task: Task
    scale: float | int
    base: Predictor
    """Predictor of the reference; if that has no finished run, the first predictor that has one."""
    other: Predictor | None
    """Predictor that differs most from the base in the task's main metric; None if the base is the only one."""
    seeds: tuple[int, ...]
    """Seeds that a sample's score is averaged over: those of both the base and the other predictor."""
    drawable_seeds: tuple[int, ...]
    """Seeds whose predictions may be drawn: those that all predictors have; if there are none, `seeds`."""
    predictors: tuple[Predictor, ...]
    """All predictors to draw, the base first."""

    def list_predictors(self, seed: int) -> tuple[Predictor, ...]:
        """Return the predictors that have a run with this seed, the base first."""
        return tuple(predictor for predictor in self.predictors if seed in predictor.runs)


@dataclass(frozen=True)
class ChosenSample:
    """A sample to draw, and its rank among all test samples of its task."""

    kind: Kind
    sample_id: str
    seed: int
    """Seed of the drawn predictions, see `_find_typical_seed`."""
    base_score: float
    """Score of the base: mean over seeds."""
    other_score: float
    """Score of the other predictor: mean over seeds; NaN without another predictor."""
    difference: float
    """Other score minus base score, positive if the other predictor is better; NaN without another predictor."""
    n_samples: int
    """Number of test samples that have a score of each predictor."""
    median: float
    """Median difference over all samples; without another predictor, their median score."""
    n_better: int
    """Number of samples on which the other predictor is better than the base; 0 without another predictor."""
    n_worse: int
    """Number of samples on which the other predictor is worse than the base; 0 without another predictor."""
    rank: int
    """1 plus the number of samples with a worse score of the base: 1 is the worst sample."""


def find_comparison(collection: Collection, verdicts: pd.DataFrame, task_id: str) -> TaskComparison | None:
    """Return the predictors of a task at the largest scale at which the reference can be compared.

    The reference can be compared if it shares a finished seed with another predictor. Without such a scale, a single
    predictor is returned: the first one at the largest scale with a finished run.

    Args:
        collection: Runs of the study.
        verdicts: Table of verdicts; the largest `delta` decides which predictor is compared with the reference.
        task_id: Id of the task.

    Returns:
        The predictors, or None if no run of the task has finished.
    """
    study, task = collection.study, collection.data.tasks[task_id].task
    scales = {scale: _list_predictors(collection, task_id, scale) for scale in sorted(study.scales, reverse=True)}
    for scale, predictors in scales.items():
        base = next((predictor for predictor in predictors if study.reference in predictor.groupings), None)
        if base is None:
            continue
        candidates = [
            predictor for predictor in predictors if predictor is not base and predictor.runs.keys() & base.runs
        ]
        if candidates:
            deltas = _read_deltas(verdicts, task_id, scale, find_base_variant(collection))
            # A grouping without a difference (-1) is compared only if no grouping has one.
            other = max(candidates, key=lambda predictor: max(deltas.get(name, -1.0) for name in predictor.groupings))
            return _make_comparison(task, scale, base, other, predictors)
    for scale, predictors in scales.items():
        if predictors:
            return _make_comparison(task, scale, predictors[0], None, predictors[:1])
    return None


def choose_samples(comparison: TaskComparison, scores: SampleScoreReader) -> tuple[ChosenSample, ...]:
    """Return the samples with the largest and the smallest difference, or with the best and the worst score.

    Among equal samples, the first by id is chosen; if all samples are equal, only that sample is returned.

    Raises:
        RunError: Predictions cannot be read.
    """
    sign = 1.0 if make_sample_score(comparison.task.type).higher_is_better else -1.0
    base, other = _align_scores(comparison, comparison.seeds, scores)
    if base.empty:
        return ()
    values = np.array(sign * _subtract_base(base, other), dtype=np.float64)
    kinds: tuple[Kind, Kind] = ("best", "worst") if other is None else ("gain", "loss")
    # Means over seeds may differ in their last digits although all scores are equal.
    values[np.abs(values) < 10**-_DECIMALS] = 0.0
    # The dictionary removes the second position if all samples are equal, and keeps the order.
    positions = dict.fromkeys((int(values.argmax()), int(values.argmin())))
    chosen = []
    for kind, position in zip(kinds, positions, strict=False):
        seed = _find_typical_seed(comparison, str(base.index[position]), scores)
        chosen.append(_make_chosen_sample(kind, position, seed, values, base, other, sign))
    return tuple(chosen)


def find_base_variant(collection: Collection) -> str:
    """Return the variant `base`, which has no overrides, if the study has it; otherwise its first variant."""
    variants = collection.study.variants
    return "base" if "base" in variants else next(iter(variants))


def _list_predictors(collection: Collection, task_id: str, scale: float | int) -> list[Predictor]:
    """Return the predictors with finished runs at a scale: the reference's first, then in the order of the study.

    Args:
        collection: Runs of the study.
        task_id: Id of the task.
        scale: Scale of the runs.
    """
    variant = find_base_variant(collection)
    runs_by_grouping: dict[str, dict[int, CollectedRun]] = {}
    for run in collection.runs:
        if run.row.variant == variant and run.row.scale == scale and task_id in run.row.tasks:
            for grouping in run.row.groupings:
                runs_by_grouping.setdefault(grouping, {})[run.row.seed] = run
    # Groupings with the same fingerprints share their runs, and therefore make one predictor.
    groupings_by_runs: dict[tuple[tuple[int, str], ...], list[str]] = {}
    study = collection.study
    for grouping in sorted(study.groupings, key=lambda name: name != study.reference):
        if grouping in runs_by_grouping:
            runs = runs_by_grouping[grouping]
            key = tuple(sorted((seed, run.row.fingerprint) for seed, run in runs.items()))
            groupings_by_runs.setdefault(key, []).append(grouping)
    predictors = []
    for groupings in groupings_by_runs.values():
        runs = runs_by_grouping[groupings[0]]
        usable_runs = {seed: run for seed, run in sorted(runs.items()) if _has_predictions(run)}
        if usable_runs:
            predictors.append(Predictor(tuple(groupings), usable_runs))
    return predictors


def _has_predictions(run: CollectedRun) -> bool:
    """Return True if a run is finished and its file of predictions exists."""
    return run.state == "done" and run.path is not None and (run.path / contract.PREDICTIONS).is_file()


def _read_deltas(verdicts: pd.DataFrame, task_id: str, scale: float | int, variant: str) -> dict[str, float]:
    """Return the size of each grouping's difference from the reference in the main metric, if it is available.

    Args:
        verdicts: Table of verdicts.
        task_id: Id of the task.
        scale: Scale of the runs.
        variant: Variant of the runs.

    Returns:
        Absolute difference by grouping, in the metric's unit.
    """
    is_setting = (verdicts["task"] == task_id) & (verdicts["scale"] == scale) & (verdicts["variant"] == variant)
    differing = verdicts[verdicts["main"] & is_setting & verdicts["delta"].notna()]
    return {str(name): abs(float(delta)) for name, delta in zip(differing["grouping"], differing["delta"], strict=True)}


def _make_comparison(
    task: Task, scale: float | int, base: Predictor, other: Predictor | None, predictors: Sequence[Predictor]
) -> TaskComparison:
    """Return a comparison with the seeds that its predictors have in common.

    Args:
        task: The task.
        scale: Scale of the runs.
        base: Predictor that the other one is compared with.
        other: Predictor that is compared, if there is one.
        predictors: All predictors to draw, the base first.
    """
    seeds = set(base.runs) if other is None else base.runs.keys() & other.runs.keys()
    common_seeds = set.intersection(*(set(predictor.runs) for predictor in predictors))
    return TaskComparison(
        task, scale, base, other, tuple(sorted(seeds)), tuple(sorted(common_seeds or seeds)), tuple(predictors)
    )


def _align_scores(
    comparison: TaskComparison, seeds: Sequence[int], scores: SampleScoreReader
) -> "tuple[pd.Series[float], pd.Series[float] | None]":
    """Return the scores of the base and of the other predictor on the samples that both have.

    Args:
        comparison: The predictors.
        seeds: Seeds to average over.
        scores: Scores of single samples.
    """
    base = scores.average(comparison.base.runs, seeds, comparison.task.id)
    if comparison.other is None:
        return base, None
    other = scores.average(comparison.other.runs, seeds, comparison.task.id)
    return base.align(other, join="inner")


def _subtract_base(base: "pd.Series[float]", other: "pd.Series[float] | None") -> "pd.Series[float]":
    """Return the other predictor's scores minus the base's; without another predictor, the scores themselves."""
    return base if other is None else other - base


def _find_typical_seed(comparison: TaskComparison, sample_id: str, scores: SampleScoreReader) -> int:
    """Return the seed that represents the mean of a sample best, since a single seed may have the opposite sign.

    Seeds whose difference has the sign of the mean over seeds come first. Among them, it is the seed closest to that
    mean; among equally close seeds, the lowest one.

    Args:
        comparison: The predictors and their seeds.
        sample_id: Id of the sample.
        scores: Scores of single samples.
    """

    def compute_value(seeds: Sequence[int]) -> float:
        return float(_subtract_base(*_align_scores(comparison, seeds, scores))[sample_id])

    mean = compute_value(comparison.seeds)
    values = {seed: compute_value([seed]) for seed in comparison.drawable_seeds}
    # A wrong sign outweighs any distance. Without rounding, tiny errors would decide between equal distances.
    return min(values, key=lambda seed: (values[seed] * mean < 0, round(abs(values[seed] - mean), _DECIMALS), seed))


def _make_chosen_sample(
    kind: Kind,
    position: int,
    seed: int,
    values: NDArray[np.float64],
    base: "pd.Series[float]",
    other: "pd.Series[float] | None",
    sign: float,
) -> ChosenSample:
    """Return a sample with its rank among all samples.

    Args:
        kind: Reason for the choice.
        position: Position of the sample in `values`, `base` and `other`.
        seed: Seed whose predictions are drawn.
        values: (N,) differences, or scores without another predictor; higher is better.
        base: Score of the base for each sample.
        other: Score of the other predictor for each sample, if there is one.
        sign: 1 if a higher score is better, otherwise -1.
    """
    oriented = sign * base.to_numpy()  # higher is better
    # Without another predictor, `values` are scores times `sign`, so the median gets its own sign back.
    median = float(np.median(values)) * (sign if other is None else 1.0)
    return ChosenSample(
        kind=kind,
        sample_id=str(base.index[position]),
        seed=seed,
        base_score=float(base.iloc[position]),
        other_score=math.nan if other is None else float(other.iloc[position]),
        difference=math.nan if other is None else float(values[position]),
        n_samples=len(values),
        median=median,
        n_better=0 if other is None else int((values > 0).sum()),
        n_worse=0 if other is None else int((values < 0).sum()),
        rank=int((oriented < oriented[position]).sum()) + 1,
    )
