"""The smallest difference from the reference that a study can detect on each task, computed before it is run.

The standard deviation (SD) over seeds is measured on finished runs, if there are any, or else assumed in conf/report.
The SD over test subjects is always assumed (for AUC, from the classes in the test set), because a plan reads no
predictions. docs/glossary.md defines component, cell, family and margin.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usaggr.config.study import ReportConfig
from usaggr.metrics.names import Metric, get_main_metric
from usaggr.statistics.minimum_evidence import FEWEST_SUBJECTS, count_rarer_class
from usaggr.statistics.moderated_variances import moderate_variances, plan_prior_df
from usaggr.statistics.power import count_seeds_from_sds, estimate_auc_variance, find_smallest_difference
from usaggr.statistics.verdicts import ALPHA
from usaggr.sweep.inspect.seed_sd import SeedSd, find_stage, measure_seed_sd, read_finished_scores
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
    """Smallest differences of a task's main metric that the planned seeds and test subjects can detect."""

    task: str
    metric: Metric
    subjects: int
    """Number of components in the test set: samples of one subject or image count once."""
    family: int
    """Number of cells whose tests Holm's method adjusts together; its first level is .05 / family."""
    margin: float
    """Margin in units of the metric; for metrics whose best value is 0, a fraction of the reference's mean.

    `corrected` and `uncorrected` have the same unit.
    """
    corrected: float
    """True difference that is detected with 80 % power at Holm's first level; NaN with a reason.

    If there is no difference, a margin of this size yields the verdict "no loss" with the same power.
    """
    uncorrected: float
    """True difference that is detected with 80 % power at level .05, without adjustment for other tasks."""
    seeds: int | None
    """Number of seeds that suffice to test the margin at Holm's first level; None if more test subjects are needed."""
    is_measured: bool
    """True if the SD over seeds is measured on finished runs."""
    reason: str = ""
    """Reason why there will be no verdict; empty otherwise."""


def compute_detectable_differences(plan: Plan) -> tuple[DetectableDifference, ...]:
    """Return one entry for each task that any grouping compares with the reference, sorted by id."""
    report, compared = plan.study.report, _find_compared_groupings(plan)
    scores, test_sets = read_finished_scores(plan), collect_test_sets(plan)
    metrics = {task_id: get_main_metric(plan.manifest.dataset.tasks[task_id].type) for task_id in compared}
    reasons = {t: _explain_no_verdict(metrics[t], *test_sets[t]) for t in compared}
    # Holm's family of a grouping: the tasks on which it is compared and that will get a verdict.
    tested = {task_id: groupings for task_id, groupings in compared.items() if not reasons[task_id]}
    family_sizes = {name: sum(name in groupings for groupings in tested.values()) for name in plan.groupings}
    n_all = sum(family_sizes.values()) * len(plan.study.scales) * len(plan.study.variants)
    measured = {t: measure_seed_sd(plan, t, names, scores, metrics[t]) for t, names in compared.items()}
    prior_df = _compute_prior_df(plan, compared, metrics, measured)
    inputs = []
    for task_id, groupings in compared.items():
        largest = n_all if report.family == "study" else max(family_sizes[grouping] for grouping in groupings)
        metric, (labels, components) = metrics[task_id], test_sets[task_id]
        measured_sd = measured[task_id]
        task_input = _Input(
            task_id,
            metric,
            subjects=int(np.unique(components).size),
            family=max(1, largest),
            seed_sd=measured_sd.seed_sd if measured_sd else report.assumed_seed_sd,
            subject_sd=_estimate_subject_sd(report, metric, labels, components, measured_sd),
            prior_df=prior_df[task_id],
            is_measured=measured_sd is not None,
            reason=reasons[task_id],
        )
        inputs.append(task_input)
    return _solve_all(inputs, report, len(plan.study.seeds))


@dataclass(frozen=True)
class _Input:
    """A task's inputs of the power computation; other fields as in `DetectableDifference`."""

    task: str
    metric: Metric
    subjects: int
    family: int
    seed_sd: float
    """Standard deviation over seeds of a difference."""
    subject_sd: float
    """Standard deviation over subjects of a difference."""
    prior_df: float
    """Degrees of freedom that other cells add to the variance over seeds; the mean over the task's cells."""
    is_measured: bool
    reason: str


def _solve_all(inputs: list[_Input], report: ReportConfig, seeds: int) -> tuple[DetectableDifference, ...]:
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
    subjects, prior_df = np.array([max(i.subjects, 2) for i in inputs]), np.array([i.prior_df for i in inputs])
    level = ALPHA / np.array([i.family for i in inputs])
    margin = np.array([report.margin if i.metric.is_score else report.relative_margin for i in inputs])
    corrected, uncorrected = (
        find_smallest_difference(seed_sd, subject_sd, 0.0, seeds, subjects, alpha, prior_df=prior_df)
        for alpha in (level, ALPHA)
    )
    needed_seeds = count_seeds_from_sds(margin, seed_sd, subject_sd, 0.0, subjects, level, prior_df=prior_df)
    return tuple(
        DetectableDifference(
            task=row.task,
            metric=row.metric,
            subjects=row.subjects,
            family=row.family,
            margin=float(margin[i]),
            corrected=np.nan if row.reason else float(corrected[i]),
            uncorrected=np.nan if row.reason else float(uncorrected[i]),
            seeds=None if row.reason or np.isnan(needed_seeds[i]) else int(needed_seeds[i]),
            is_measured=row.is_measured,
            reason=row.reason,
        )
        for i, row in enumerate(inputs)
    )


def _compute_prior_df(
    plan: Plan,
    compared: Mapping[str, tuple[str, ...]],
    metrics: Mapping[str, Metric],
    measured: Mapping[str, SeedSd | None],
) -> dict[str, float]:
    """Return the degrees of freedom that other cells add to a task's variance over seeds, by task.

    They are measured if all tasks with the same metric have finished runs, or else expected of the planned cells.

    Args:
        plan: plan of the study.
        compared: groupings in which each task is compared with the reference.
        metrics: main metric of each task.
        measured: SD over seeds of each task; None if too few runs are finished.
    """
    prior_df: dict[str, float] = {}
    for metric in set(metrics.values()):
        tasks = [task_id for task_id in compared if metrics[task_id] == metric]
        finished = [sd for task_id in tasks if (sd := measured[task_id]) is not None]
        if len(finished) == len(tasks):
            cells = [(i, *cell) for i, sd in enumerate(finished) for cell in sd.cells]
            labels = np.unique([column for _, column, _, _ in cells], return_inverse=True)[1]
            variances, df = [variance for _, _, variance, _ in cells], [cell_df for _, _, _, cell_df in cells]
            numbers = np.array([i for i, _, _, _ in cells])
            by_cell = moderate_variances(variances, df, labels).prior_df
        else:
            columns = [
                # The first grouping of each distinct run. In a report the run also informs the column of the second
                # one, so that the plan expects slightly too few degrees of freedom.
                (i, f"{grouping} {scale}")
                for i, task_id in enumerate(tasks)
                for grouping in {find_stage(plan, name, task_id): name for name in reversed(compared[task_id])}.values()
                for scale in plan.study.scales
            ]
            numbers, labels = (
                np.array([i for i, _ in columns]),
                np.unique([c for _, c in columns], return_inverse=True)[1],
            )
            by_cell = plan_prior_df(np.full(numbers.size, max(len(plan.study.seeds) - 1.0, 1.0)), labels)
        prior_df |= {task_id: float(by_cell[numbers == i].mean()) for i, task_id in enumerate(tasks)}
    return prior_df


def _find_compared_groupings(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return, by task, the groupings whose model of the task is another run than the reference's."""
    compared = {}
    for task_id in sorted(task for block in plan.groupings[plan.study.reference].blocks.values() for task in block):
        reference = find_stage(plan, plan.study.reference, task_id)
        differing = tuple(name for name in plan.groupings if find_stage(plan, name, task_id) != reference)
        if differing:
            compared[task_id] = differing
    return compared


def collect_test_sets(plan: Plan) -> dict[str, tuple[Integers, Integers]]:
    """Return the classes and the component numbers of each task's test samples, each as an array of shape (N,)."""
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


def _estimate_subject_sd(
    report: ReportConfig,
    metric: Metric,
    labels: Integers,
    components: Integers,
    measured_sd: SeedSd | None,
) -> float:
    """Return the standard deviation of a difference over subjects: assumed, or for AUC computed from its classes.

    The difference of two correlated AUCs has 2 (1 - correlation) times the variance of one.

    Args:
        report: assumptions.
        metric: main metric of the task.
        labels: (N,) classes of the test samples.
        components: (N,) their components.
        measured_sd: measured on finished runs, or None.
    """
    if metric.name != "auc":
        return report.assumed_subject_sd
    auc = float(np.clip(measured_sd.reference if measured_sd else ASSUMED_AUC, *_AUC_RANGE))
    variances = []
    for label in np.unique(labels):
        is_label = labels == label
        positives, negatives = np.unique(components[is_label]).size, np.unique(components[~is_label]).size
        if positives and negatives:
            variances.append(estimate_auc_variance(auc, positives, negatives))
    if not variances:
        return report.assumed_subject_sd
    n_classes = len(variances)
    variance = variances[0]  # with two classes, both AUCs are equal
    if n_classes > 2:
        # Variance of the mean of equally correlated AUCs.
        variance = float(np.mean(variances)) * (1 + (n_classes - 1) * _CORRELATION) / n_classes
    return float(np.sqrt(2 * (1 - _CORRELATION) * variance * np.unique(components).size))


def _explain_no_verdict(metric: Metric, labels: Integers, components: Integers) -> str:
    """Return why the report will give no verdict; empty if it can give one.

    Whether enough subjects differ between groupings is only known after training.

    Args:
        metric: main metric of the task.
        labels: (N,) classes of the test samples.
        components: (N,) their components.
    """
    independent = np.unique(components).size
    if independent == 1:
        return "all test samples are connected in one component"
    if independent < FEWEST_SUBJECTS:
        return f"fewer than {FEWEST_SUBJECTS} independent test subjects"
    if metric.name == "auc":
        rarer = count_rarer_class(labels, components, int(labels.max()) + 1)
        if rarer < FEWEST_SUBJECTS:
            return f"fewer than {FEWEST_SUBJECTS} independent test subjects in the rarer class"
    return ""
