"""Standard deviation (SD) over seeds of differences from the reference, measured on a study's finished runs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usaggr.errors import RunError
from usaggr.metrics.names import Metric
from usaggr.results.find_runs import is_done
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.planning.stages import Stage, make_stage
from usaggr.sweep.planning.study_plan import Plan

_FEWEST_DF = 2
"""Smallest degrees of freedom from which the SD over seeds is estimated."""

Run = tuple[str, tuple[str, ...], float | int, int]
"""A run as grouping, block, scale and seed."""
Scores = Mapping[Run, Mapping[str, Mapping[str, float]]]
"""Scores of runs, by task and metric."""


@dataclass(frozen=True)
class SeedSd:
    """Standard deviation over seeds of a task's differences from the reference."""

    seed_sd: float
    """Standard deviation of a difference; for metrics whose best value is 0, as a fraction of the reference's mean."""
    reference: float
    """Mean score of the reference."""
    cells: tuple[tuple[str, float, int], ...]
    """Column (grouping and scale), variance over seeds and degrees of freedom of each cell."""


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
                run_scores = RunDirectory(run.directory).read_result().scores
            except RunError:
                # A plan ignores a damaged result: the sweep reports it and trains its run again.
                continue
            for grouping in run.groupings:
                scores[grouping, run.spec.tasks, run.spec.scale, run.spec.seed] = run_scores
    return scores


def measure_seed_sd(
    plan: Plan, task_id: str, groupings: tuple[str, ...], scores: Scores, metric: Metric
) -> SeedSd | None:
    """Return the SD over seeds, averaged over groupings and all scales; None if too few runs are finished.

    A finished run without the metric, such as an undefined AUC, is left out.

    Args:
        plan: plan of the study.
        task_id: id of the task.
        groupings: groupings whose run of the task is not that of the reference.
        scores: scores of finished runs.
        metric: main metric of the task.
    """
    stages = {name: find_stage(plan, name, task_id) for name in (*groupings, plan.study.reference)}
    # The first grouping of each distinct run. Reversed, because in a dictionary the last one of equal keys stays.
    distinct = {stages[name]: name for name in reversed(groupings)}

    def read_scores(grouping: str, scale: float | int) -> NDArray[np.float64]:
        block = stages[grouping].block
        return np.array([_read_score(scores, (grouping, block, scale, s), task_id, metric) for s in plan.study.seeds])

    cells, means = [], []
    for scale in plan.study.scales:
        references = read_scores(plan.study.reference, scale)
        for grouping in reversed(distinct.values()):
            values = read_scores(grouping, scale)
            is_pair = np.isfinite(values) & np.isfinite(references)
            reference_mean = abs(float(references[is_pair].mean())) if is_pair.any() else 0.0
            if is_pair.sum() < 2 or (metric.best == 0 and reference_mean == 0):
                continue
            unit = 1.0 if metric.is_score else reference_mean
            variance = float(np.var((values - references)[is_pair] / unit, ddof=1))
            cells.append((f"{grouping} {scale}", variance, int(is_pair.sum()) - 1))
            means.append(reference_mean)
    df = [cell_df for _, _, cell_df in cells]
    if sum(df) < _FEWEST_DF:
        return None
    seed_sd = float(np.sqrt(np.average([variance for _, variance, _ in cells], weights=df)))
    return SeedSd(seed_sd, float(np.mean(means)), tuple(cells))


def _read_score(scores: Scores, run: Run, task_id: str, metric: Metric) -> float:
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
