"""How much differences from the reference vary from seed to seed, measured on a study's finished runs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from usaggr.errors import RunError
from usaggr.evidence.pooling import LEVEL, pool
from usaggr.metrics.names import Metric
from usaggr.runs import RunDirectory
from usaggr.sweep.plan import Plan
from usaggr.sweep.store import is_done

_FEWEST_DF = 2
"""With fewer degrees of freedom, finished runs do not tell the spread over seeds."""

Scores = Mapping[tuple[tuple[str, ...], float | int, int], Mapping[str, Mapping[str, float]]]
"""Block, scale, seed: task: metric: value."""


@dataclass(frozen=True)
class Spread:
    """Of a task's differences over seeds."""

    seed_sd: float
    """Standard deviation of a difference; for metrics whose best is 0, as a part of the reference's mean."""
    reference: float
    """The reference's mean score."""
    alike: bool
    """Whether cells vary alike by seed, so that their variance is pooled."""


def block_of(plan: Plan, grouping: str, task_id: str) -> tuple[str, ...]:
    """The tasks that share a model with this one."""
    return next(block for block in plan.groupings[grouping].blocks.values() if task_id in block)


def finished_scores(plan: Plan) -> Scores:
    """Of the first variant's runs that are done."""
    first, scores = next(iter(plan.study.variants)), {}
    for run in plan.runs:
        if run.spec.variant == first and is_done(run.directory):
            try:
                found = RunDirectory(run.directory).result().scores
            except RunError:
                continue
            scores[run.spec.tasks, run.spec.scale, run.spec.seed] = found
    return scores


def spread_over_seeds(
    plan: Plan, task_id: str, groupings: tuple[str, ...], scores: Scores, metric: Metric
) -> Spread | None:
    """Pooled over these groupings and all scales; None where too few runs are finished to tell.

    A finished run that lacks the metric, as an AUC that is not defined, is left out.
    """
    own = block_of(plan, plan.study.reference, task_id)
    squares, df, families, means = [], [], [], []
    for number, scale in enumerate(plan.study.scales):
        for block in dict.fromkeys(block_of(plan, grouping, task_id) for grouping in groupings):
            sides = (
                np.array([_score(scores, (b, scale, seed), task_id, metric) for seed in plan.study.seeds])
                for b in (block, own)
            )
            values, references = next(sides), next(sides)
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


def _score(scores: Scores, run: tuple[tuple[str, ...], float | int, int], task_id: str, metric: Metric) -> float:
    try:
        return float(scores[run][task_id][metric.name])
    except (KeyError, TypeError, ValueError):
        return float("nan")
