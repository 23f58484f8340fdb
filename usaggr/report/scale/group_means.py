"""Mean differences from the reference by task type and by clinical group, and their spread over clinical groups."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.row_tables import group_rows
from usaggr.analysis.weighted_sums import (
    NOT_ESTIMATED,
    UNITS,
    ComparedCells,
    SumEstimate,
    Unit,
    Weights,
    get_difference,
    list_cells,
    make_mean_weights,
)
from usaggr.report.scale.slopes import sum_group_sizes
from usaggr.statistics.claims import Quantity
from usaggr.statistics.group_sd import GroupSd, estimate_group_sd


@dataclass(frozen=True)
class GroupMean:
    """Mean difference from the reference over the tasks of one type or clinical group, under one grouping."""

    variant: str
    scale: float | int
    grouping: str
    group: str
    """Task type or clinical group."""
    tasks: int
    """Number of tasks in the mean."""
    n_train: float
    """Training samples of all tasks of the group, compared or not; NaN if not available."""
    skill: Quantity
    """Mean difference in skill."""
    relative: Quantity
    """Mean relative change."""
    seeds: int
    """Number of seeds that all cells have in common."""


@dataclass(frozen=True)
class GroupSdRow:
    """Standard deviation over clinical groups of their true mean differences, under one grouping."""

    variant: str
    scale: float | int
    grouping: str
    groups: int
    """Number of clinical groups that are compared."""
    left_out: int
    """Number of clinical groups without a comparison."""
    skill: GroupSd
    """Spread of the differences in skill."""
    relative: GroupSd
    """Spread of the relative changes."""
    seeds: int
    """Number of seeds that all cells have in common."""


Setting = tuple[str, float | int, str]
"""Variant, scale and grouping."""
Key = tuple[str, float | int, str, str]
"""Variant, scale, grouping, and task type or clinical group."""


def average_types(compared: ComparedCells) -> tuple[GroupMean, ...]:
    """Return the mean difference of each task type."""
    return _average_by_group(compared, lambda cell: cell.task_type)


def average_groups(compared: ComparedCells) -> tuple[GroupMean, ...]:
    """Return the mean difference of each clinical group."""
    return _average_by_group(compared, lambda cell: cell.clinical_group)


def _average_by_group(compared: ComparedCells, get_group: Callable[[CellVerdict], str]) -> tuple[GroupMean, ...]:
    """Return the mean difference of each group of tasks, in both units."""
    # A cell without a relative change, because its reference mean is 0, still has a difference in skill.
    skill, relative = (_estimate_means(compared, get_group, unit) for unit in UNITS)
    sizes = {scale: sum_group_sizes(compared.planned, scale) for scale in {cell.scale for cell in compared.planned}}
    return tuple(
        GroupMean(
            *key,
            tasks=tasks,
            n_train=sizes[key[1]].get(key[3], np.nan),
            skill=mean.quantity,
            relative=relative[key][0].quantity if key in relative else NOT_ESTIMATED,
            seeds=mean.seeds,
        )
        for key, (mean, tasks) in skill.items()
    )


def estimate_group_sds(compared: ComparedCells) -> tuple[GroupSdRow, ...]:
    """Return the spread over clinical groups of their true mean differences, where at least two are compared."""
    results = []
    planned = group_rows(compared.planned, _get_setting)
    for setting, cells in group_rows(compared.select("skill"), _get_setting).items():
        if len({cell.clinical_group for cell in cells}) < 2:
            continue
        (skill, seeds), (relative, _) = (_estimate_spread(compared, cells, unit) for unit in UNITS)
        n_left_out = len({cell.clinical_group for cell in planned[setting]}) - skill.groups
        results.append(GroupSdRow(*setting, skill.groups, n_left_out, skill, relative, seeds))
    return tuple(results)


def _estimate_spread(compared: ComparedCells, cells: Sequence[CellVerdict], unit: Unit) -> tuple[GroupSd, int]:
    """Estimate the spread over clinical groups at one setting.

    Args:
        compared: All compared cells.
        cells: Cells of one variant, scale and grouping.
        unit: Skill or relative change.

    Returns:
        The spread, and the number of seeds that all cells have in common; NaN and 0 if it cannot be estimated.
    """
    available = [cell for cell in cells if not np.isnan(get_difference(cell, unit))]
    groups = sorted(group_rows(available, lambda cell: cell.clinical_group).items())
    sums = [make_mean_weights(list_cells(members)) for _, members in groups]
    joint = compared.sums.sum_differences(sums, unit) if len(sums) > 1 else None
    if joint is None:
        return GroupSd(len(sums), np.nan, np.nan, np.nan), 0
    values = np.stack([group.table for group in joint])
    return estimate_group_sd(values, compared.confidence), len(joint[0].seeds)


def _estimate_means(
    compared: ComparedCells, get_group: Callable[[CellVerdict], str], unit: Unit
) -> dict[Key, tuple[SumEstimate, int]]:
    """Return the mean difference and the number of tasks, by variant, scale, grouping and group.

    Args:
        compared: All compared cells.
        get_group: Returns the task type or clinical group of a cell.
        unit: Skill or relative change.
    """
    verdicts: dict[Key, list[CellVerdict]] = group_rows(
        compared.select(unit), lambda row: (*_get_setting(row), get_group(row))
    )
    groups = {key: list_cells(members) for key, members in verdicts.items()}
    results: dict[Key, tuple[SumEstimate, int]] = {}
    for variant, group in dict.fromkeys((key[0], key[3]) for key in groups):
        # The same group at other scales and under other groupings shares its variance between seeds.
        members = {key: cells for key, cells in groups.items() if (key[0], key[3]) == (variant, group)}
        sums: dict[tuple[float | int | None, str], Weights] = {
            key[1:3]: make_mean_weights(cells) for key, cells in members.items()
        }
        means = compared.estimate(sums, unit)
        results |= {key: (means[key[1:3]], len(cells)) for key, cells in members.items()}
    return {key: results[key] for key in groups}


def _get_setting(cell: CellVerdict) -> Setting:
    return (cell.variant, cell.scale, cell.grouping)
