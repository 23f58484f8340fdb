"""Summarizes each grouping over all tasks at a scale: delta_m, difference in skill, verdicts, missing runs and cost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.analysis.difference_intervals import Key, moderate_sums
from usaggr.analysis.dominant_tasks import DominantTask, find_dominant_task
from usaggr.analysis.exposure import is_unequal
from usaggr.analysis.row_tables import group_rows
from usaggr.analysis.weighted_sums import Unit, WeightedSums, get_difference, list_cells, make_mean_weights
from usaggr.statistics.verdicts import VerdictName

SUMMARY_COLUMNS = (
    "grouping", "scale", "variant", "tasks", "delta_m", "low", "high", "delta_skill", "gain", "no_loss", "loss",
    "undecided", "same", "collapsed", "unconverged", "missing", "parameters", "train_seconds",
    "skill_low", "skill_high", "no_verdict", "negative_transfer",
    "tasks_valid", "delta_m_valid", "low_valid", "high_valid", "gain_valid", "no_loss_valid", "loss_valid",
    "undecided_valid", "unequal", "no_loss_qualified", "too_few", "dominant_task", "dominant_share",
)  # fmt: skip
"""Columns of summary.csv; later versions append theirs at the end."""
INTEGERS = ("tasks", "same", "missing", "tasks_valid", "unequal")
"""Integer columns that are never missing."""

Array = NDArray[np.float64]
Setting = tuple[str, float | int, str]
"""Variant, scale and grouping."""


@dataclass(frozen=True)
class SummaryLine:
    """Summary of one grouping at one scale, over the main metrics of all tasks.

    Columns that end in _valid leave out cells whose grouping or reference is collapsed or unconverged. If nothing is
    compared, counts are None and other numbers NaN. The reference has only its cost.
    """

    grouping: str
    scale: float | int
    variant: str
    tasks: int
    """Number of tasks in delta_m: those with a relative change, so without the reference's own runs."""
    delta_m: float
    """Mean relative change over these tasks (Maninis et al., CVPR 2019), positive if better."""
    low: float
    """Lower bound of delta_m's interval over seeds and test subjects; tasks are fixed."""
    high: float
    """Upper bound of delta_m's interval."""
    delta_skill: float
    """Mean difference in skill over the same tasks."""
    gain: int | None
    """Number of tasks with this verdict; the next three fields likewise."""
    no_loss: int | None
    loss: int | None
    undecided: int | None
    same: int
    """Number of tasks whose model is the reference's own run."""
    collapsed: int | None
    """Number of tasks that are collapsed while the reference is not."""
    unconverged: int | None
    """Number of tasks with an unconverged grouping or reference."""
    missing: int
    """Number of planned runs that are not finished."""
    parameters: int | None
    """Parameters of all models of the grouping, one model per block; None if a block has no finished run."""
    train_seconds: float
    """Training time of all stages of all runs, in seconds; each run is counted once."""
    skill_low: float
    """Lower bound of delta_skill's interval."""
    skill_high: float
    """Upper bound of delta_skill's interval."""
    no_verdict: int | None
    """Number of tasks that are compared but have no verdict."""
    negative_transfer: float
    """Share of losses among the tasks with a verdict, in [0, 1]."""
    tasks_valid: int
    delta_m_valid: float
    low_valid: float
    high_valid: float
    gain_valid: int | None
    no_loss_valid: int | None
    loss_valid: int | None
    undecided_valid: int | None
    unequal: int
    """Number of tasks with unequal exposure, according to the notes of the grouping's runs."""
    no_loss_qualified: int | None
    """Number of tasks whose no loss holds only apart from rare failures."""
    too_few: int | None
    """Number of tasks in delta_m whose intervals cannot be trusted: the difference depends on too few subjects."""
    dominant_task: str
    """Task with more than half of the sum of the tasks' variances of the relative change; empty if there is none."""
    dominant_share: float
    """Its share of the sum, in [0, 1]; NaN without such a task."""


class _Mean(NamedTuple):
    """Mean over tasks with the bounds of its interval; NaN if missing."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class _Means:
    """Means over tasks of one line of the summary."""

    relative: _Mean
    relative_valid: _Mean
    skill: _Mean
    dominant: DominantTask | None
    """Task with more than half of the sum of the tasks' variances of the relative change."""


def summarize(verdicts: Sequence[CellVerdict], sums: WeightedSums, collection: Collection) -> tuple[SummaryLine, ...]:
    """Return one line for each planned variant, scale and grouping, including the reference.

    Intervals treat the tasks as fixed. Seeds and test components vary jointly over all tasks (joint_tables.py). Only
    seeds that all tasks have are used.

    Args:
        verdicts: Verdicts of all cells and metrics.
        sums: Weighted sums, for the means over tasks.
        collection: Runs of the study.
    """
    study = collection.study
    runs: dict[Setting, list[CollectedRun]] = {}
    for variant, scale, grouping in product(study.variants, study.scales, study.groupings):
        chosen = [run for run in collection.runs if _is_run_at(run, variant, scale, grouping)]
        if chosen:
            runs[variant, scale, grouping] = chosen
    by_setting = group_rows((row for row in verdicts if row.main), lambda row: (row.variant, row.scale, row.grouping))
    cells = {setting: by_setting.get(setting, []) for setting in runs}
    counted = {setting: [row for row in judged if not np.isnan(row.relative)] for setting, judged in cells.items()}
    valid = {setting: [row for row in judged if row.valid] for setting, judged in counted.items()}
    relative = _average_over_tasks(counted, "relative", sums, study.confidence)
    relative_valid = _average_over_tasks(valid, "relative", sums, study.confidence)
    skill = _average_over_tasks(counted, "skill", sums, study.confidence)
    lines = []
    for setting in runs:
        dominant = find_dominant_task(counted[setting], "relative", sums)
        means = _Means(relative[setting], relative_valid[setting], skill[setting], dominant)
        lines.append(_summarize_setting(setting, runs[setting], cells[setting], means, collection))
    return tuple(lines)


def _summarize_setting(
    setting: Setting, runs: Sequence[CollectedRun], cells: Sequence[CellVerdict], means: _Means, collection: Collection
) -> SummaryLine:
    variant, scale, grouping = setting
    tasks = {task for run in runs for task in run.row.tasks}
    compared = [row for row in cells if not row.same]
    valid = [row for row in cells if row.valid]
    judged = [row for row in cells if row.verdict]

    def count(verdicts: Sequence[CellVerdict], is_counted: Callable[[CellVerdict], bool]) -> int | None:
        return sum(map(is_counted, verdicts)) if cells else None

    def has_verdict(verdict: VerdictName) -> Callable[[CellVerdict], bool]:
        return lambda row: row.verdict == verdict

    return SummaryLine(
        grouping=grouping,
        scale=scale,
        variant=variant,
        tasks=sum(not np.isnan(row.relative) for row in cells),
        delta_m=means.relative.value,
        low=means.relative.low,
        high=means.relative.high,
        delta_skill=means.skill.value,
        gain=count(cells, has_verdict("gain")),
        no_loss=count(cells, has_verdict("no_loss")),
        loss=count(cells, has_verdict("loss")),
        undecided=count(cells, has_verdict("undecided")),
        same=len(tasks) if grouping == collection.study.reference else sum(row.same for row in cells),
        collapsed=count(compared, lambda row: row.collapsed and not row.collapsed_reference),
        unconverged=count(compared, lambda row: row.unconverged or row.unconverged_reference),
        missing=sum(run.state != "done" for run in runs),
        parameters=_count_parameters(runs),
        train_seconds=_sum_train_seconds(runs, collection),
        skill_low=means.skill.low,
        skill_high=means.skill.high,
        no_verdict=count(compared, lambda row: not row.verdict),
        negative_transfer=sum(row.verdict == "loss" for row in judged) / len(judged) if judged else np.nan,
        tasks_valid=sum(not np.isnan(row.relative) for row in valid),
        delta_m_valid=means.relative_valid.value,
        low_valid=means.relative_valid.low,
        high_valid=means.relative_valid.high,
        gain_valid=count(valid, has_verdict("gain")),
        no_loss_valid=count(valid, has_verdict("no_loss")),
        loss_valid=count(valid, has_verdict("loss")),
        undecided_valid=count(valid, has_verdict("undecided")),
        unequal=sum(any(is_unequal(run, task) for run in runs if task in run.row.tasks) for task in tasks),
        no_loss_qualified=count(cells, lambda row: row.rarer_than is not None),
        too_few=count(cells, lambda row: row.scarce and not np.isnan(row.relative)),
        dominant_task=means.dominant.task if means.dominant else "",
        dominant_share=means.dominant.share if means.dominant else np.nan,
    )


def _is_run_at(run: CollectedRun, variant: str, scale: float | int, grouping: str) -> bool:
    return (run.row.variant, run.row.scale) == (variant, scale) and grouping in run.row.groupings


def _average_over_tasks(
    cells: dict[Setting, list[CellVerdict]], unit: Unit, sums: WeightedSums, confidence: float
) -> dict[Setting, _Mean]:
    """Return the mean difference of each line, with the variance between seeds moderated within a variant.

    Args:
        cells: Verdicts to average, by setting.
        unit: Unit of the differences.
        sums: Weighted sums, for the intervals.
        confidence: Confidence level of the intervals, in (0, 1).
    """
    means: dict[Setting, _Mean] = {}
    tables: dict[Setting, Array] = {}
    for setting, verdicts in cells.items():
        values = [get_difference(row, unit) for row in verdicts]
        means[setting] = _Mean(float(np.nanmean(values)) if np.isfinite(values).any() else np.nan, np.nan, np.nan)
        joint = sums.sum_differences([make_mean_weights(list_cells(verdicts))], unit) if verdicts else None
        if joint is not None:
            tables[setting] = joint[0].table
    for settings in group_rows(tables, lambda setting: setting[0]).values():
        variant_tables: dict[Key, Array] = {setting: tables[setting] for setting in settings}
        moderated = moderate_sums(variant_tables)
        for setting in settings:
            # The mean stays that over all seeds; only the width of its interval comes from the common seeds.
            value, half = means[setting].value, float(moderated[setting].estimate.compute_half_width(confidence))
            means[setting] = _Mean(value, value - half, value + half)
    return means


def _count_parameters(runs: Sequence[CollectedRun]) -> int | None:
    """Return the parameters of all models of a grouping, one per block; None if a block has no finished run."""
    # Runs of one block differ only in their seed, so that any finished one gives the count.
    by_block: dict[tuple[str, ...], int | None] = {run.row.tasks: None for run in runs}
    for run in runs:
        if run.result is not None:
            by_block[run.row.tasks] = run.result.cost.parameters
    counts = [count for count in by_block.values() if count is not None]
    return sum(counts) if len(counts) == len(by_block) else None


def _sum_train_seconds(runs: Sequence[CollectedRun], collection: Collection) -> float:
    """Return the training time of all stages in seconds, each run counted once.

    First stages count, although they are no models of the grouping themselves.
    """
    trained = {stage.row.fingerprint: stage.result for run in runs for stage in collection.list_stages(run)}
    return sum(result.cost.train_seconds for result in trained.values() if result is not None)
