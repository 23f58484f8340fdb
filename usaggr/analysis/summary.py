"""What each grouping did over all tasks at a scale: delta_m, difference of skill, verdicts, what is missing, cost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.analysis.difference_intervals import Key, pooled_estimates
from usaggr.analysis.exposure import is_unequal
from usaggr.analysis.row_tables import group_rows
from usaggr.analysis.weighted_sums import Unit, WeightedSums, cells_in, difference_in, mean_of
from usaggr.statistics.verdicts import VerdictName

SUMMARY_COLUMNS = (
    "grouping", "scale", "variant", "tasks", "delta_m", "low", "high", "delta_skill", "gain", "no_loss", "loss",
    "undecided", "same", "collapsed", "unconverged", "missing", "parameters", "train_seconds",
    "skill_low", "skill_high", "no_verdict", "negative_transfer",
    "tasks_valid", "delta_m_valid", "low_valid", "high_valid", "gain_valid", "no_loss_valid", "loss_valid",
    "undecided_valid", "unequal",
)  # fmt: skip
"""Of summary.csv: those of the contract, then what goes past it."""
INTEGERS = ("tasks", "same", "missing", "tasks_valid", "unequal")
"""Columns of whole numbers that are always known."""

Array = NDArray[np.float64]
Setting = tuple[str, float | int, str]
"""variant, scale, grouping"""


@dataclass(frozen=True)
class SummaryLine:
    """One grouping at one scale, over the main metrics of all tasks.

    Columns that end in _valid are over cells where neither the grouping nor the reference is collapsed or unconverged.
    Counts are None, and other numbers NaN, where nothing is compared; the reference has its cost alone.
    """

    grouping: str
    scale: float | int
    variant: str
    tasks: int
    """Tasks counted in delta_m: those with a relative change, which leaves out the reference's own runs."""
    delta_m: float
    """Mean relative change over these tasks (Maninis et al., CVPR 2019), positive where better."""
    low: float
    """Lower bound of delta_m's interval, over seeds and test subjects, with the tasks fixed."""
    high: float
    """Upper bound."""
    delta_skill: float
    """Mean difference in skill over the same tasks."""
    gain: int | None
    """Tasks with this verdict; likewise the next three."""
    no_loss: int | None
    loss: int | None
    undecided: int | None
    same: int
    """Tasks whose block is the reference's own run."""
    collapsed: int | None
    """Tasks that are collapsed where the reference's are not."""
    unconverged: int | None
    """Tasks of which either side is unconverged."""
    missing: int
    """Planned runs that are not done."""
    parameters: int | None
    """Of all models of the grouping, one a block; None if one of them is not known."""
    train_seconds: float
    """Seconds that all stages of all runs took to train, each run once."""
    skill_low: float
    """Lower bound of delta_skill's interval."""
    skill_high: float
    """Upper bound."""
    no_verdict: int | None
    """Tasks that are compared but not judged."""
    negative_transfer: float
    """Losses among the tasks with a verdict, in [0, 1]."""
    tasks_valid: int
    delta_m_valid: float
    low_valid: float
    high_valid: float
    gain_valid: int | None
    no_loss_valid: int | None
    loss_valid: int | None
    undecided_valid: int | None
    unequal: int
    """Tasks that are not equally exposed, as the grouping's runs say."""


class _Mean(NamedTuple):
    """A mean over tasks with the bounds of its interval; NaN where there is none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class _Means:
    """Means of one line."""

    relative: _Mean
    relative_valid: _Mean
    skill: _Mean


def summarize(verdicts: Sequence[CellVerdict], sums: WeightedSums, collection: Collection) -> tuple[SummaryLine, ...]:
    """Return a line for each variant, scale and grouping that is planned, the reference too.

    Intervals keep the tasks fixed, take seeds and test components jointly over all of them (joint_tables.py), and rest
    on the seeds that they all have.

    Args:
        verdicts: Of all cells and metrics.
        sums: From which means over tasks are made.
        collection: The runs.
    """
    study = collection.study
    runs: dict[Setting, list[CollectedRun]] = {}
    for variant, scale, grouping in product(study.variants, study.scales, study.groupings):
        chosen = [run for run in collection.runs if _belongs(run, variant, scale, grouping)]
        if chosen:
            runs[variant, scale, grouping] = chosen
    by_setting = group_rows((row for row in verdicts if row.main), lambda row: (row.variant, row.scale, row.grouping))
    cells = {setting: by_setting.get(setting, []) for setting in runs}
    counted = {setting: [row for row in rows if not np.isnan(row.relative)] for setting, rows in cells.items()}
    valid = {setting: [row for row in rows if row.valid] for setting, rows in counted.items()}
    relative = _means(counted, "relative", sums, study.confidence)
    relative_valid = _means(valid, "relative", sums, study.confidence)
    skill = _means(counted, "skill", sums, study.confidence)
    lines = []
    for setting in runs:
        means = _Means(relative[setting], relative_valid[setting], skill[setting])
        lines.append(_line(setting, runs[setting], cells[setting], means, collection))
    return tuple(lines)


def _line(
    setting: Setting, runs: Sequence[CollectedRun], cells: Sequence[CellVerdict], means: _Means, collection: Collection
) -> SummaryLine:
    variant, scale, grouping = setting
    tasks = {task for run in runs for task in run.row.tasks}
    compared = [row for row in cells if not row.same]
    valid = [row for row in cells if row.valid]
    judged = [row for row in cells if row.verdict]

    def count(rows: Sequence[CellVerdict], holds: Callable[[CellVerdict], bool]) -> int | None:
        return sum(map(holds, rows)) if cells else None

    def has(verdict: VerdictName) -> Callable[[CellVerdict], bool]:
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
        gain=count(cells, has("gain")),
        no_loss=count(cells, has("no_loss")),
        loss=count(cells, has("loss")),
        undecided=count(cells, has("undecided")),
        same=len(tasks) if grouping == collection.study.reference else sum(row.same for row in cells),
        collapsed=count(compared, lambda row: row.collapsed and not row.collapsed_reference),
        unconverged=count(compared, lambda row: row.unconverged or row.unconverged_reference),
        missing=sum(run.state != "done" for run in runs),
        parameters=_parameters(runs),
        train_seconds=_train_seconds(runs, collection),
        skill_low=means.skill.low,
        skill_high=means.skill.high,
        no_verdict=count(compared, lambda row: not row.verdict),
        negative_transfer=sum(row.verdict == "loss" for row in judged) / len(judged) if judged else np.nan,
        tasks_valid=sum(not np.isnan(row.relative) for row in valid),
        delta_m_valid=means.relative_valid.value,
        low_valid=means.relative_valid.low,
        high_valid=means.relative_valid.high,
        gain_valid=count(valid, has("gain")),
        no_loss_valid=count(valid, has("no_loss")),
        loss_valid=count(valid, has("loss")),
        undecided_valid=count(valid, has("undecided")),
        unequal=sum(any(is_unequal(run, task) for run in runs if task in run.row.tasks) for task in tasks),
    )


def _belongs(run: CollectedRun, variant: str, scale: float | int, grouping: str) -> bool:
    return (run.row.variant, run.row.scale) == (variant, scale) and grouping in run.row.groupings


def _means(
    cells: dict[Setting, list[CellVerdict]], unit: Unit, sums: WeightedSums, confidence: float
) -> dict[Setting, _Mean]:
    """Return the mean difference of each line; the variance between seeds is pooled within a variant."""
    found: dict[Setting, _Mean] = {}
    tables: dict[Setting, Array] = {}
    for setting, rows in cells.items():
        values = [difference_in(row, unit) for row in rows]
        found[setting] = _Mean(float(np.nanmean(values)) if np.isfinite(values).any() else np.nan, np.nan, np.nan)
        joint = sums.of_differences([mean_of(cells_in(rows))], unit) if rows else None
        if joint is not None:
            tables[setting] = joint[0].table
    for variant in {setting[0] for setting in tables}:
        of_variant: dict[Key, Array] = {setting: table for setting, table in tables.items() if setting[0] == variant}
        pooled = pooled_estimates(of_variant, {setting: setting[1] for setting in of_variant})
        for setting in [setting for setting in tables if setting[0] == variant]:
            estimate, value = pooled[setting].estimate, found[setting].value
            half = float(estimate.critical(confidence) * estimate.se)
            found[setting] = _Mean(value, value - half, value + half)
    return found


def _parameters(runs: Sequence[CollectedRun]) -> int | None:
    """Return the parameters of all models of a grouping, one a block; None if one of them is not known."""
    by_block: dict[tuple[str, ...], int | None] = {run.row.tasks: None for run in runs}
    for run in runs:
        if run.result is not None:
            by_block[run.row.tasks] = run.result.cost.parameters
    known = [count for count in by_block.values() if count is not None]
    return sum(known) if len(known) == len(by_block) else None


def _train_seconds(runs: Sequence[CollectedRun], collection: Collection) -> float:
    """Return the time of all stages, each run once; a model that others only start from is none of the grouping's."""
    trained = {stage.row.fingerprint: stage.result for run in runs for stage in collection.stages(run)}
    return sum(result.cost.train_seconds for result in trained.values() if result is not None)
