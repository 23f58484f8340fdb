"""The smallest difference that a study can detect on each task, computed before it is run.

The spread over seeds is measured on finished runs, if there are any, or else assumed in conf/report. The spread over
test subjects is always assumed (for AUC, from the classes in the test set), because a plan reads no predictions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usaggr.config.study import ReportConfig
from usaggr.data.split.manifest import MIN_TEST_SUBJECTS
from usaggr.metrics.names import Metric, main_metric
from usaggr.statistics.minimum_evidence import FEWEST_SUBJECTS, rarer_class
from usaggr.statistics.power import auc_variance, seeds_to_decide, smallest_difference
from usaggr.statistics.variance_pooling import SHARED
from usaggr.statistics.verdicts import ALPHA
from usaggr.sweep.inspect.seed_spread import SeedSpread, find_stage, measure_seed_spread, read_finished_scores
from usaggr.sweep.planning.study_plan import Plan

Integers = NDArray[np.int64]

ASSUMED_AUC = 0.85
"""AUC of the reference before any run is finished."""
_AUC_RANGE = (0.6, 0.95)
"""Range to which a measured AUC is clipped: at 1 it would have no variance."""
_CORRELATION = 0.5
"""Assumed correlation of the AUCs of two models on the same subjects, and of the AUCs of two classes of one model."""


@dataclass(frozen=True)
class DetectableDifference:
    """Differences of a task's main metric that the planned seeds and test subjects can decide."""

    task: str
    metric: Metric
    subjects: int
    """Number of components in the test set: samples of one subject or image count once."""
    family: int
    """Number of tasks that are tested together: Holm's first level is .05 / family."""
    margin: float
    """Margin in units of the metric; for metrics whose best value is 0, a fraction of the reference's mean.

    `smallest` and `alone` have the same unit.
    """
    smallest: float
    """True difference that is detected with 80 % power at Holm's first level; NaN with a reason.

    A margin of this size is decided with the same power if there is no difference.
    """
    alone: float
    """True difference that is detected with 80 % power at level .05, for the task alone."""
    seeds: int | None
    """Number of seeds that decide the margin at Holm's first level; None if more test subjects are needed."""
    measured: bool
    """True if the spread over seeds is measured on finished runs."""
    reason: str = ""
    """Reason why there will be no verdict; empty otherwise."""


def compute_detectable_differences(plan: Plan) -> tuple[DetectableDifference, ...]:
    """Return one entry for each task that any grouping compares with the reference, sorted by id."""
    report, compared = plan.study.report, _compared_groupings(plan)
    scores, test_sets = read_finished_scores(plan), _test_sets(plan)
    metrics = {task_id: main_metric(plan.manifest.dataset.tasks[task_id].type) for task_id in compared}
    subjects = {t: len({s.subject_id for s in plan.manifest.by_subset[t, "test"]}) for t in compared}
    reasons = {t: _explain_no_verdict(metrics[t], subjects[t], *test_sets[t]) for t in compared}
    sizes = {
        grouping: sum(grouping in differing and not reasons[task_id] for task_id, differing in compared.items())
        for grouping in plan.groupings
    }
    inputs = []
    for task_id, groupings in compared.items():
        metric, (labels, components) = metrics[task_id], test_sets[task_id]
        spread = measure_seed_spread(plan, task_id, groupings, scores, metric)
        blocks = len({find_stage(plan, grouping, task_id) for grouping in groupings})
        # Cells that share the reference's runs are correlated, so they add fewer degrees of freedom.
        cells = len(plan.study.scales) * blocks / (1 + (blocks - 1) * SHARED)
        task_input = _Input(
            task_id,
            metric,
            subjects=int(np.unique(components).size),
            family=max(1, *(sizes[grouping] for grouping in groupings)),
            seed_sd=spread.seed_sd if spread else report.assumed_seed_sd,
            subject_sd=_subject_sd(report, metric, labels, components, spread),
            pooled=cells if spread is None or spread.alike else 1.0,
            measured=spread is not None,
            reason=reasons[task_id],
        )
        inputs.append(task_input)
    return _solve(inputs, report, len(plan.study.seeds))


@dataclass(frozen=True)
class _Input:
    """A task's inputs of the power computation; see `DetectableDifference` and `statistics.power`."""

    task: str
    metric: Metric
    subjects: int
    family: int
    seed_sd: float
    subject_sd: float
    pooled: float
    measured: bool
    reason: str


def _solve(inputs: list[_Input], report: ReportConfig, seeds: int) -> tuple[DetectableDifference, ...]:
    """Compute the detectable differences of all tasks at once, because one call with arrays is much faster.

    Args:
        inputs: inputs of each task.
        report: margins.
        seeds: number of planned seeds.
    """
    if not inputs:
        return ()
    seed_sd, subject_sd = np.array([i.seed_sd for i in inputs]), np.array([i.subject_sd for i in inputs])
    # At least 2, so that a task without a verdict, whose result is discarded, does not divide by 0.
    subjects, pooled = np.array([max(i.subjects, 2) for i in inputs]), np.array([i.pooled for i in inputs])
    level = ALPHA / np.array([i.family for i in inputs])
    margin = np.array([report.margin if i.metric.best == 1.0 else report.relative_margin for i in inputs])
    smallest, alone = (
        smallest_difference(seed_sd, subject_sd, 0.0, seeds, subjects, alpha, pooled=pooled) for alpha in (level, ALPHA)
    )
    needed = seeds_to_decide(margin, seed_sd, subject_sd, 0.0, subjects, level, pooled=pooled)
    return tuple(
        DetectableDifference(
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
        for i, row in enumerate(inputs)
    )


def _compared_groupings(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return, by task, the groupings under which its run is not that of the reference."""
    compared = {}
    for task_id in sorted(task for block in plan.groupings[plan.study.reference].blocks.values() for task in block):
        reference = find_stage(plan, plan.study.reference, task_id)
        differing = tuple(name for name in plan.groupings if find_stage(plan, name, task_id) != reference)
        if differing:
            compared[task_id] = differing
    return compared


def _test_sets(plan: Plan) -> dict[str, tuple[Integers, Integers]]:
    """Return the classes and components of each task's test samples."""
    test_sets: dict[str, tuple[list[int], list[int]]] = {task: ([], []) for task in plan.manifest.dataset.tasks}
    split, numbers = plan.manifest.split, dict[object, int]()
    for sample, component, subset in zip(plan.manifest.dataset.samples, split.components, split.subsets, strict=True):
        if subset == "test":
            labels, components = test_sets[sample.task_id]
            labels.append(sample.stratum)
            components.append(numbers.setdefault(component, len(numbers)))
    return {
        task: (np.array(labels, dtype=np.int64), np.array(components, dtype=np.int64))
        for task, (labels, components) in test_sets.items()
    }


def _subject_sd(
    report: ReportConfig,
    metric: Metric,
    labels: Integers,
    components: Integers,
    spread: SeedSpread | None,
) -> float:
    """Return the standard deviation of a difference over subjects: assumed, or for AUC from its classes.

    The difference of two correlated AUCs has 2 (1 - correlation) times the variance of one.

    Args:
        report: assumptions.
        metric: main metric of the task.
        labels: (N,) classes of the test samples.
        components: (N,) their components.
        spread: measured on finished runs, or None.
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
    variance = variances[0]  # with two classes, both AUCs are equal
    if classes > 2:
        variance = float(np.mean(variances)) * (1 + (classes - 1) * _CORRELATION) / classes
    return float(np.sqrt(2 * (1 - _CORRELATION) * variance * np.unique(components).size))


def _explain_no_verdict(metric: Metric, subjects: int, labels: Integers, components: Integers) -> str:
    """Return why the report will give no verdict; empty if it will give one.

    Args:
        metric: main metric of the task.
        subjects: number of test subjects.
        labels: (N,) classes of the test samples.
        components: (N,) their components.
    """
    if subjects < MIN_TEST_SUBJECTS:
        return f"fewer than {MIN_TEST_SUBJECTS} test subjects"
    if np.unique(components).size == 1:
        return "all test samples are connected in one component"
    if metric.name == "auc":
        rarer = rarer_class(labels, components, int(labels.max()) + 1)
        if rarer < FEWEST_SUBJECTS:
            return f"fewer than {FEWEST_SUBJECTS} test components in the rarer class"
    return ""
