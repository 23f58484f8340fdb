"""Change of the difference from the reference with training data: within tasks over scales, and between tasks."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from statistics import fmean
from typing import Literal, NamedTuple

import numpy as np

from usaggr.analysis.cell_pseudovalues import Cell
from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.row_tables import group_rows
from usaggr.analysis.weighted_sums import (
    UNITS,
    Array,
    ComparedCells,
    Setting,
    Unit,
    Weights,
    add_weights,
    get_difference,
    list_cells,
    scale_weights,
)
from usaggr.metrics.names import compute_skill, get_metric
from usaggr.statistics.claims import Quantity
from usaggr.statistics.effect_units import LEAST_SKILL
from usaggr.statistics.holm import holm
from usaggr.statistics.scale_trend import (
    Association,
    Crossing,
    compute_level_weights,
    compute_slope_weights,
    estimate_association,
    estimate_crossing,
    has_enough_span,
)

CONFOUNDED = "confounded: tasks and clinical groups differ in more than size"
"""Remark on every comparison between tasks or between clinical groups."""
Level = Literal["all", "type", "difference", "task"]
Over = Literal["tasks", "clinical groups"]
"""Unit of observation: what a point of an association is."""
TRANSFORMED: dict[Unit, str] = {"log_error": "log error", "log_skill": "log skill"}
"""Names of the units in which a change in skill may be absent, because it comes from the scale of measurement."""
SLOPE_UNITS: tuple[Unit, ...] = (*UNITS, *TRANSFORMED)
"""Units of slopes."""
_LEVELS: tuple[Level, ...] = ("all", "type", "difference", "task")
_MIN_POINTS = 4
"""Smallest number of points for an interval of an association."""


@dataclass(frozen=True)
class Slope:
    """Change of the difference from the reference with training data, within tasks."""

    variant: str
    grouping: str
    level: Level
    """Tasks of the mean: all, those of a type, or one task; or the difference between the means of two types."""
    scope: str
    """Name of the type or task; `a - b` for a difference; otherwise `all`."""
    unit: Unit
    tasks: int
    """Number of tasks in the mean."""
    left_out: int
    """Number of tasks whose training samples differ too little for a slope."""
    at_floor: int
    """Number of tasks in the mean that neither model has learned at the smallest scale, see `is_at_floor`."""
    slope: Quantity
    """Change per tenfold training samples, in the unit."""
    p_adjusted: float
    """p value, adjusted by Holm over the slopes of one variant, grouping, level and unit."""
    seeds: int
    """Number of seeds that all cells have in common."""
    has_predictions: bool
    """True if all runs have predictions."""


@dataclass(frozen=True)
class ScaleCrossing:
    """The number of training samples at which the line of the difference is zero."""

    variant: str
    grouping: str
    level: Level
    scope: str
    """Same as for a slope."""
    unit: Unit
    tasks: int
    """Number of tasks in the mean."""
    crossing: Crossing
    """Estimate with Fieller's interval, or the reason why there is none."""
    helps: Literal["above", "below", ""]
    """Side of the crossing on which sharing helps; empty without a crossing."""
    smallest: float
    """Smallest number of training samples of the tasks."""
    largest: float
    """Largest number of training samples of the tasks."""


@dataclass(frozen=True)
class BetweenTrend:
    """Association of the difference with training data over tasks or over clinical groups, which is confounded."""

    variant: str
    scale: float | int
    """Largest scale of the study."""
    grouping: str
    over: Over
    unit: Unit
    association: Association
    """Association with log10 of the training samples."""
    note: str
    """Remark on the confounding, and on a missing estimate."""


@dataclass(frozen=True)
class _Line:
    """Cells of one task at several scales."""

    task_type: str
    cells: tuple[Cell, ...]
    sizes: Array
    """(n,) Training samples."""
    starts_at_floor: bool
    """True if neither model has learned the task at the smallest of these sizes."""


Lines = dict[str, _Line]
"""Lines by task."""


class Scope(NamedTuple):
    """Tasks that a slope is estimated for."""

    level: Level
    name: str
    """See `Slope.scope`."""
    unit: Unit
    variant: str


def is_at_floor(cell: CellVerdict) -> bool:
    """Return whether neither the cell's models nor the reference's have a mean skill of at least LEAST_SKILL.

    Their difference is then near 0 whatever sharing does. If one of them has learned the task, it is a real difference.
    """
    metric = get_metric(cell.metric)
    means = (cell.mean, cell.reference_mean)
    return all(compute_skill(mean, cell.trivial, metric) < LEAST_SKILL for mean in means)


def leave_out_floor(compared: ComparedCells) -> ComparedCells:
    """Return the compared cells without those at the floor."""
    return replace(compared, cells=[cell for cell in compared.cells if not is_at_floor(cell)])


def estimate_slopes(compared: ComparedCells, levels: Collection[Level] = _LEVELS) -> tuple[Slope, ...]:
    """Return the change of the difference per tenfold training samples, within tasks, in each of SLOPE_UNITS.

    The variance between seeds is moderated over groupings.

    Args:
        compared: All compared cells.
        levels: Levels to estimate.
    """
    slopes = []
    for scope, by_grouping in _group_lines(compared, SLOPE_UNITS):
        if scope.level not in levels:
            continue
        sums: dict[Setting, Weights] = {
            (None, grouping): _average_lines(lines, compute_slope_weights, scope.name)
            for grouping, (lines, _) in by_grouping.items()
        }
        for (_, grouping), estimate in compared.estimate(sums, scope.unit).items():
            lines, n_left_out = by_grouping[grouping]
            slopes.append(
                Slope(
                    variant=scope.variant,
                    grouping=grouping,
                    level=scope.level,
                    scope=scope.name,
                    unit=scope.unit,
                    tasks=len(lines),
                    left_out=n_left_out,
                    at_floor=sum(line.starts_at_floor for line in lines.values()),
                    slope=estimate.quantity,
                    p_adjusted=math.nan,  # needs all slopes of a family
                    seeds=estimate.seeds,
                    has_predictions=estimate.has_predictions,
                )
            )
    return _adjust(slopes)


def _adjust(slopes: list[Slope]) -> tuple[Slope, ...]:
    """Return the slopes with p values that are adjusted by Holm over one variant, grouping, level and unit."""
    families = group_rows(
        range(len(slopes)), lambda i: (slopes[i].variant, slopes[i].grouping, slopes[i].level, slopes[i].unit)
    )
    p_adjusted: dict[int, float] = {}
    for members in families.values():
        p_values = holm([slopes[i].slope.p for i in members])
        p_adjusted |= dict(zip(members, p_values.tolist(), strict=True))
    return tuple(replace(slope, p_adjusted=p_adjusted[i]) for i, slope in enumerate(slopes))


def estimate_crossings(compared: ComparedCells) -> tuple[ScaleCrossing, ...]:
    """Return the sizes at which sharing turns from help to harm, or the reverse, where the data allow an estimate.

    The line of several tasks is the mean of their lines at one size. It is used only where at least half of the tasks
    were trained near that size.
    """
    return tuple(
        _estimate_crossing(compared, scope, grouping, lines)
        for scope, by_grouping in _group_lines(compared, UNITS)
        if scope.level != "difference"
        for grouping, (lines, _) in by_grouping.items()
    )


def _estimate_crossing(compared: ComparedCells, scope: Scope, grouping: str, lines: Lines) -> ScaleCrossing:
    """Return where the mean line of the tasks of a scope crosses zero.

    Args:
        compared: All compared cells.
        scope: Scope of the slope.
        grouping: Grouping of the cells.
        lines: Lines of the tasks in the scope.
    """
    sizes = [line.sizes for line in lines.values()]
    ranges = [(float(s.min()), float(s.max())) for s in sizes]
    # The mean line is described by its slope and its level at one size: the mean over tasks on a logarithmic axis.
    center = float(10 ** np.mean([np.log10(s).mean() for s in sizes]))
    sums = [
        _average_lines(lines, partial(compute_level_weights, size=center)),
        _average_lines(lines, compute_slope_weights),
    ]
    joint = compared.sums.sum_differences(sums, scope.unit)
    estimate = Crossing(None, reason="the tasks have no seed in common")
    helps: Literal["above", "below", ""] = ""
    if joint is not None:
        level_sum, slope_sum = joint
        estimate = estimate_crossing(level_sum.table, slope_sum.table, center, ranges, compared.confidence)
        if estimate.size is not None:
            helps = "above" if slope_sum.table.mean() > 0 else "below"
    return ScaleCrossing(
        variant=scope.variant,
        grouping=grouping,
        level=scope.level,
        scope=scope.name,
        unit=scope.unit,
        tasks=len(lines),
        crossing=estimate,
        helps=helps,
        smallest=min(smallest for smallest, _ in ranges),
        largest=max(largest for _, largest in ranges),
    )


def estimate_between(compared: ComparedCells) -> tuple[BetweenTrend, ...]:
    """Return the association of the difference with log10 of training samples at the largest scale.

    It is estimated over tasks, and over clinical groups as in arXiv:2603.18123. A group's size is the sum over all its
    tasks, its difference the mean over the compared ones. Tasks, or groups, are treated as an independent sample.
    """
    trends = []
    for unit in UNITS:
        settings = group_rows(compared.select(unit), lambda cell: (cell.variant, cell.grouping))
        for (variant, grouping), cells in settings.items():
            scale = max(cell.scale for cell in compared.planned)
            at_scale = [cell for cell in cells if cell.scale == scale]
            points: dict[Over, tuple[Array, Array]] = {
                "tasks": _list_task_points(at_scale, unit),
                "clinical groups": _list_group_points(compared, at_scale, unit),
            }
            for over, (sizes, differences) in points.items():
                trend = estimate_association(np.log10(sizes), differences, compared.confidence)
                reason = ""
                if trend.points < _MIN_POINTS:
                    reason = f"; {trend.points} {over} are too few"
                elif not np.isfinite(trend.slope):
                    reason = f"; all {over} have the same size, or the same difference"
                trends.append(BetweenTrend(variant, scale, grouping, over, unit, trend, CONFOUNDED + reason))
    return tuple(trends)


def _list_task_points(cells: Sequence[CellVerdict], unit: Unit) -> tuple[Array, Array]:
    """Return (n,) training samples and (n,) differences of tasks."""
    return _list_sizes(cells), np.array([get_difference(cell, unit) for cell in cells], dtype=float)


def _list_group_points(compared: ComparedCells, cells: Sequence[CellVerdict], unit: Unit) -> tuple[Array, Array]:
    """Return (n,) training samples and (n,) mean differences of clinical groups."""
    sizes = sum_group_sizes(compared.planned, cells[0].scale) if cells else {}
    groups = sorted(group_rows(cells, lambda cell: cell.clinical_group).items())
    means = [fmean(get_difference(cell, unit) for cell in members) for _, members in groups]
    return np.array([sizes.get(group, np.nan) for group, _ in groups]), np.array(means, dtype=float)


def sum_group_sizes(planned: Iterable[CellVerdict], scale: float | int) -> dict[str, float]:
    """Return the training samples of all tasks of each clinical group at a scale, groups in order of their names."""
    at_scale = [cell for cell in planned if cell.scale == scale and cell.n_train is not None]
    # A task has one cell per grouping and variant, with the same training samples in all of them.
    task_cells = [cells[0] for cells in group_rows(at_scale, lambda cell: cell.task).values()]
    groups = sorted(group_rows(task_cells, lambda cell: cell.clinical_group).items())
    return {group: float(_list_sizes(members).sum()) for group, members in groups}


def _list_sizes(cells: Iterable[CellVerdict]) -> Array:
    """Return (n,) training samples of cells; NaN if not available."""
    return np.array([np.nan if cell.n_train is None else cell.n_train for cell in cells], dtype=float)


def _group_lines(
    compared: ComparedCells, units: Iterable[Unit]
) -> Iterator[tuple[Scope, dict[str, tuple[Lines, int]]]]:
    """Yield each scope with the lines of its tasks and the number of tasks without a slope, by grouping."""
    for unit in units:
        for variant, cells in group_rows(compared.select(unit), lambda cell: cell.variant).items():
            by_grouping = group_rows(cells, lambda cell: cell.grouping)
            lines_by_grouping = {grouping: _make_lines(members) for grouping, members in by_grouping.items()}
            types = {cell.task: cell.task_type for cell in cells}
            for level, name, tasks in _list_scopes(types):
                in_scope = {}
                for grouping, (lines, left_out) in lines_by_grouping.items():
                    scope_lines = {task: line for task, line in lines.items() if task in tasks}
                    n_types = len({types[task] for task in scope_lines})
                    # A difference between two types needs tasks of both.
                    if scope_lines and (level != "difference" or n_types == 2):
                        in_scope[grouping] = scope_lines, len(left_out & tasks)
                if in_scope:
                    yield Scope(level, name, unit, variant), in_scope


def _list_scopes(types: Mapping[str, str]) -> Iterator[tuple[Level, str, set[str]]]:
    """Yield the level, the name and the tasks of each scope, from the type of each task."""
    type_names = list(dict.fromkeys(types.values()))
    yield "all", "all", set(types)
    for name in type_names:
        yield "type", name, {task for task in types if types[task] == name}
    for first, second in combinations(type_names, 2):
        yield "difference", f"{first} - {second}", {task for task in types if types[task] in (first, second)}
    for task in types:
        yield "task", task, {task}


def _make_lines(cells: Iterable[CellVerdict]) -> tuple[Lines, set[str]]:
    """Return the lines of tasks whose sizes differ enough for a slope, and the names of the other tasks."""
    lines, left_out = {}, set()
    for task, members in group_rows(cells, lambda cell: cell.task).items():
        sizes = _list_sizes(members)
        if has_enough_span(sizes):
            smallest = members[int(sizes.argmin())]
            lines[task] = _Line(members[0].task_type, tuple(list_cells(members)), sizes, is_at_floor(smallest))
        else:
            left_out.add(task)
    return lines, left_out


def _average_lines(lines: Lines, weigh: Callable[[Array], Array], scope: str = "") -> Weights:
    """Return the weights of a mean over tasks of a weighted sum over each task's scales.

    Args:
        lines: Lines by task.
        weigh: Returns the weights of a task's scales from its training samples.
        scope: `a - b` for the mean of type a minus that of type b; otherwise all lines form one mean.
    """
    first_type = scope.split(" - ")[0] if " - " in scope else None
    is_added = {task: first_type is None or line.task_type == first_type for task, line in lines.items()}
    sums = []
    for task, line in lines.items():
        n_tasks = sum(other == is_added[task] for other in is_added.values())
        weights = dict(zip(line.cells, weigh(line.sizes), strict=True))
        sums.append(scale_weights(weights, (1 if is_added[task] else -1) / n_tasks))
    return add_weights(*sums)
