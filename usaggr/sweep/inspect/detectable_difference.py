"""What a study can decide, said before it is run: for each task the smallest difference that it would find.

From the spread over seeds of finished runs, where there are any, otherwise from the assumptions in conf/report; the
spread over test subjects is assumed (for AUC, from the classes in the test fold), as plan reads no predictions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usaggr.config.study import ReportConfig
from usaggr.data.split.manifest import MIN_TEST_SUBJECTS
from usaggr.metrics.names import Metric, main_metric
from usaggr.statistics.minimum_evidence import FEWEST, rarer_class
from usaggr.statistics.power import auc_variance, seeds_to_decide, smallest_difference
from usaggr.statistics.variance_pooling import SHARED
from usaggr.statistics.verdicts import ALPHA
from usaggr.sweep.inspect.seed_spread import Spread, finished_scores, spread_over_seeds, trained_as
from usaggr.sweep.planning.study_plan import Plan

Integers = NDArray[np.int64]

ASSUMED_AUC = 0.85
"""Of the reference, before runs are finished."""
_AUC_RANGE = (0.6, 0.95)
"""A measured AUC is taken as within it: at 1 there would be no variance."""
_CORRELATION = 0.5
"""Of the AUCs of two models on the same subjects, and of two classes' AUCs of one model."""


@dataclass(frozen=True)
class Decidable:
    """What the planned seeds and test subjects can decide on a task, for its main metric."""

    task: str
    metric: Metric
    subjects: int
    """Components of the test fold: samples of one subject or image count once."""
    family: int
    """Tasks that are judged together with it: Holm's first level is .05 / family."""
    margin: float
    """In the metric; for metrics whose best is 0, as a part of the reference's mean, and so are the two below."""
    smallest: float
    """True difference that is found with 80 % power at Holm's first level, as is a margin of this size where there is
    no difference; NaN with a reason."""
    alone: float
    """The same at .05, for the task alone."""
    seeds: int | None
    """How many would decide the margin, at Holm's first level; None: no number, more test subjects are needed."""
    measured: bool
    """Whether the spread over seeds is that of finished runs."""
    reason: str = ""
    """Why there will be no verdict."""


def decidable(plan: Plan) -> tuple[Decidable, ...]:
    """One entry a task that is compared with the reference at all, by id."""
    report, compared = plan.study.report, _compared(plan)
    scores, folds = finished_scores(plan), _test_folds(plan)
    metrics = {task_id: main_metric(plan.manifest.dataset.tasks[task_id].type) for task_id in compared}
    subjects = {t: len({s.subject_id for s in plan.manifest.by_subset[t, "test"]}) for t in compared}
    reasons = {t: _reason(metrics[t], subjects[t], *folds[t]) for t in compared}
    sizes = {
        grouping: sum(grouping in held and not reasons[task_id] for task_id, held in compared.items())
        for grouping in plan.groupings
    }
    rows = []
    for task_id, groupings in compared.items():
        metric, (labels, components) = metrics[task_id], folds[task_id]
        found = spread_over_seeds(plan, task_id, groupings, scores, metric)
        blocks = len({trained_as(plan, grouping, task_id) for grouping in groupings})
        cells = len(plan.study.scales) * blocks / (1 + (blocks - 1) * SHARED)
        row = _Row(
            task_id,
            metric,
            subjects=int(np.unique(components).size),
            family=max(1, *(sizes[grouping] for grouping in groupings)),
            seed_sd=found.seed_sd if found else report.assumed_seed_sd,
            subject_sd=_subject_sd(report, metric, labels, components, found),
            pooled=cells if found is None or found.alike else 1.0,
            measured=found is not None,
            reason=reasons[task_id],
        )
        rows.append(row)
    return _solve(rows, report, len(plan.study.seeds))


@dataclass(frozen=True)
class _Row:
    task: str
    metric: Metric
    subjects: int
    family: int
    seed_sd: float
    subject_sd: float
    pooled: float
    measured: bool
    reason: str


def _solve(rows: list[_Row], report: ReportConfig, seeds: int) -> tuple[Decidable, ...]:
    """All tasks at once: arrays are fast."""
    if not rows:
        return ()
    seed_sd, subject_sd = np.array([r.seed_sd for r in rows]), np.array([r.subject_sd for r in rows])
    subjects, pooled = np.array([max(r.subjects, 2) for r in rows]), np.array([r.pooled for r in rows])
    level = ALPHA / np.array([r.family for r in rows])
    margin = np.array([report.margin if r.metric.best == 1.0 else report.relative_margin for r in rows])
    smallest, alone = (
        smallest_difference(seed_sd, subject_sd, 0.0, seeds, subjects, at, pooled=pooled) for at in (level, ALPHA)
    )
    needed = seeds_to_decide(margin, seed_sd, subject_sd, 0.0, subjects, level, pooled=pooled)
    return tuple(
        Decidable(
            row.task,
            row.metric,
            row.subjects,
            row.family,
            float(margin[i]),
            np.nan if row.reason else float(smallest[i]),
            np.nan if row.reason else float(alone[i]),
            None if row.reason or np.isnan(needed[i]) else int(needed[i]),
            row.measured,
            row.reason,
        )
        for i, row in enumerate(rows)
    )


def _compared(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Tasks with the groupings under which they are not the reference's own run."""
    found = {}
    for task_id in sorted(task for block in plan.groupings[plan.study.reference].blocks.values() for task in block):
        own = trained_as(plan, plan.study.reference, task_id)
        others = tuple(name for name in plan.groupings if trained_as(plan, name, task_id) != own)
        if others:
            found[task_id] = others
    return found


def _test_folds(plan: Plan) -> dict[str, tuple[Integers, Integers]]:
    """Classes and components of each task's test samples."""
    folds: dict[str, tuple[list[int], list[int]]] = {task: ([], []) for task in plan.manifest.dataset.tasks}
    split, numbers = plan.manifest.split, dict[object, int]()
    for sample, component, fold in zip(plan.manifest.dataset.samples, split.components, split.subsets, strict=True):
        if fold == "test":
            labels, components = folds[sample.task_id]
            labels.append(sample.stratum)
            components.append(numbers.setdefault(component, len(numbers)))
    return {
        task: (np.array(labels, dtype=np.int64), np.array(of, dtype=np.int64)) for task, (labels, of) in folds.items()
    }


def _subject_sd(
    report: ReportConfig,
    metric: Metric,
    labels: Integers,
    components: Integers,
    spread: Spread | None,
) -> float:
    """Of a difference: assumed; for AUC from the variance of each class against the rest.

    Two correlated AUCs differ with 2 (1 - correlation) times the variance of one.
    """
    if metric.name != "auc":
        return report.assumed_subject_sd
    area = float(np.clip(spread.reference if spread else ASSUMED_AUC, *_AUC_RANGE))
    variances = []
    for label in np.unique(labels):
        inside = labels == label
        positives, negatives = np.unique(components[inside]).size, np.unique(components[~inside]).size
        if positives and negatives:
            variances.append(auc_variance(area, positives, negatives))
    if not variances:
        return report.assumed_subject_sd
    classes = len(variances)
    together = float(np.mean(variances)) * (1 + (classes - 1) * _CORRELATION) / classes if classes > 2 else variances[0]
    return float(np.sqrt(2 * (1 - _CORRELATION) * together * np.unique(components).size))


def _reason(metric: Metric, subjects: int, labels: Integers, components: Integers) -> str:
    """Why the report will give no verdict; empty: it will."""
    if subjects < MIN_TEST_SUBJECTS:
        return f"under {MIN_TEST_SUBJECTS} test subjects"
    if np.unique(components).size == 1:
        return "all test samples hang together in one component"
    if metric.name == "auc":
        rarer = rarer_class(labels, components, int(labels.max()) + 1)
        if rarer < FEWEST:
            return f"under {FEWEST} test components in the rarer class"
    return ""
