"""How much differences from the reference vary from seed to seed, measured on a study's finished runs."""

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
"""With fewer degrees of freedom, finished runs do not tell the spread over seeds."""

Run = tuple[str, tuple[str, ...], float | int, int]
"""Grouping, block, scale, seed."""
Scores = Mapping[Run, Mapping[str, Mapping[str, float]]]
"""Of runs, by task and metric."""


@dataclass(frozen=True)
class Spread:
    """Of a task's differences over seeds."""

    seed_sd: float
    """Standard deviation of a difference; for metrics whose best is 0, as a part of the reference's mean."""
    reference: float
    """The reference's mean score."""
    alike: bool
    """Whether cells vary alike by seed, so that their variance is pooled."""


def trained_as(plan: Plan, grouping: str, task_id: str) -> Stage:
    """How a task's model is trained under a grouping: equal ones are the same run."""
    return make_stage(plan.groupings[grouping], task_id)


def finished_scores(plan: Plan) -> Scores:
    """Of the first variant's runs that are done."""
    first = next(iter(plan.study.variants))
    scores: dict[Run, Mapping[str, Mapping[str, float]]] = {}
    for run in plan.runs:
        if run.spec.variant == first and is_done(run.directory):
            try:
                found = RunDirectory(run.directory).result().scores
            except RunError:
                continue
            for grouping in run.groupings:
                scores[grouping, run.spec.tasks, run.spec.scale, run.spec.seed] = found
    return scores


def spread_over_seeds(
    plan: Plan, task_id: str, groupings: tuple[str, ...], scores: Scores, metric: Metric
) -> Spread | None:
    """Pooled over these groupings and all scales; None where too few runs are finished to tell.

    A finished run that lacks the metric, as an AUC that is not defined, is left out.
    """
    courses = {name: trained_as(plan, name, task_id) for name in (*groupings, plan.study.reference)}
    apart = {courses[name]: name for name in reversed(groupings)}
    squares, df, families, means = [], [], [], []
    for number, scale in enumerate(plan.study.scales):
        for grouping in reversed(apart.values()):
            values, references = (
                np.array(
                    [
                        _score(scores, (name, courses[name].block, scale, seed), task_id, metric)
                        for seed in plan.study.seeds
                    ]
                )
                for name in (grouping, plan.study.reference)
            )
            both = np.isfinite(values) & np.isfinite(references)
            level = abs(float(references[both].mean())) if both.any() else 0.0
            if both.sum() < 2 or (metric.best == 0 and level == 0):
                continue
            unit = 1.0 if metric.best == 1.0 else level
            squares.append(float(np.var((values - references)[both] / unit, ddof=1)))
            df.append(int(both.sum()) - 1)
            families.append(number)
            means.append(level)
    if sum(df) < _FEWEST_DF:
        return None
    homogeneity = pool(squares, df, families).p
    return Spread(float(np.sqrt(np.average(squares, weights=df))), float(np.mean(means)), not homogeneity <= LEVEL)


def _score(scores: Scores, run: Run, task_id: str, metric: Metric) -> float:
    try:
        return float(scores[run][task_id][metric.name])
    except (KeyError, TypeError, ValueError):
        return float("nan")
