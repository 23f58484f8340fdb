"""Spread over seeds of differences from the reference, measured on a study's finished runs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from usaggr.errors import RunError
from usaggr.metrics.names import Metric
from usaggr.results.find_runs import is_done
from usaggr.results.run_directory import RunDirectory
from usaggr.statistics.variance_pooling import LEVEL, pool
from usaggr.sweep.planning.stages import Stage, make_stage
from usaggr.sweep.planning.study_plan import Plan

_FEWEST_DF = 2
"""Smallest degrees of freedom with which finished runs show the spread over seeds."""

Run = tuple[str, tuple[str, ...], float | int, int]
"""A run as grouping, block, scale and seed."""
Scores = Mapping[Run, Mapping[str, Mapping[str, float]]]
"""Scores of runs, by task and metric."""


@dataclass(frozen=True)
class SeedSpread:
    """Spread over seeds of a task's differences from the reference."""

    seed_sd: float
    """Standard deviation of a difference; for metrics whose best value is 0, as a fraction of the reference's mean."""
    reference: float
    """Mean score of the reference."""
    alike: bool
    """True if cells vary equally by seed, so that their variance is pooled."""


def find_stage(plan: Plan, grouping: str, task_id: str) -> Stage:
    """Return the stage in which a task's model is trained under a grouping; equal stages are one run.

    Args:
        plan: plan of the study.
        grouping: name of the grouping.
        task_id: id of the task.
    """
    return make_stage(plan.groupings[grouping], task_id)


def read_finished_scores(plan: Plan) -> Scores:
    """Return the scores of the first variant's finished runs."""
    first = next(iter(plan.study.variants))
    scores: dict[Run, Mapping[str, Mapping[str, float]]] = {}
    for run in plan.runs:
        if run.spec.variant == first and is_done(run.directory):
            try:
                run_scores = RunDirectory(run.directory).result().scores
            # A damaged result is reported by the sweep, which trains its run again; a plan does without it.
            except RunError:
                continue
            for grouping in run.groupings:
                scores[grouping, run.spec.tasks, run.spec.scale, run.spec.seed] = run_scores
    return scores


def measure_seed_spread(
    plan: Plan, task_id: str, groupings: tuple[str, ...], scores: Scores, metric: Metric
) -> SeedSpread | None:
    """Return the spread over seeds, pooled over groupings and all scales; None if too few runs are finished.

    A finished run without the metric, such as an undefined AUC, is left out.

    Args:
        plan: plan of the study.
        task_id: id of the task.
        groupings: groupings whose run of the task is not that of the reference.
        scores: scores of finished runs.
        metric: main metric of the task.
    """
    stages = {name: find_stage(plan, name, task_id) for name in (*groupings, plan.study.reference)}
    distinct = {stages[name]: name for name in reversed(groupings)}  # one grouping per distinct run, the first
    squares, df, families, means = [], [], [], []
    for number, scale in enumerate(plan.study.scales):
        for grouping in reversed(distinct.values()):
            values, references = (
                np.array(
                    [
                        _score(scores, (name, stages[name].block, scale, seed), task_id, metric)
                        for seed in plan.study.seeds
                    ]
                )
                for name in (grouping, plan.study.reference)
            )
            is_pair = np.isfinite(values) & np.isfinite(references)
            level = abs(float(references[is_pair].mean())) if is_pair.any() else 0.0
            if is_pair.sum() < 2 or (metric.best == 0 and level == 0):
                continue
            unit = 1.0 if metric.best == 1.0 else level
            squares.append(float(np.var((values - references)[is_pair] / unit, ddof=1)))
            df.append(int(is_pair.sum()) - 1)
            families.append(number)
            means.append(level)
    if sum(df) < _FEWEST_DF:
        return None
    homogeneity = pool(squares, df, families).p
    # `not p <= LEVEL`, because p is NaN for a single cell, which has nothing to differ from.
    return SeedSpread(float(np.sqrt(np.average(squares, weights=df))), float(np.mean(means)), not homogeneity <= LEVEL)


def _score(scores: Scores, run: Run, task_id: str, metric: Metric) -> float:
    """Return a run's score; NaN if it is not finished or has no such score.

    Args:
        scores: scores of finished runs.
        run: the run.
        task_id: id of the task.
        metric: the metric.
    """
    try:
        return float(scores[run][task_id][metric.name])
    except (KeyError, TypeError, ValueError):
        return float("nan")
