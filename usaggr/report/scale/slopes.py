"""Change of the difference from the reference with training data: within tasks over scales, and between tasks."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from statistics import fmean
from typing import Literal

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
    difference_in,
    list_cells,
    scale_weights,
)
from usaggr.statistics.claims import Quantity
from usaggr.statistics.holm import holm
from usaggr.statistics.scale_trend import (
    Association,
    Crossing,
    association,
    crossing,
    has_enough_span,
    level_weights,
    slope_weights,
)

CONFOUNDED = "confounded: tasks and clinical groups differ in more than size"
Level = Literal["all", "type", "difference", "task"]
Over = Literal["tasks", "clinical groups"]
OVER: tuple[Over, ...] = ("tasks", "clinical groups")


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
class Between:
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


@dataclass(frozen=True)
class _Line:
    """Cells of one task at several scales."""

    task_type: str
    cells: tuple[Cell, ...]
    sizes: Array
    """(n,) Training samples."""


Lines = dict[str, _Line]
"""Lines by task."""


def slopes(compared: ComparedCells) -> tuple[Slope, ...]:
    """Return the change of the difference per tenfold training samples, within tasks.

    The variance between seeds is pooled over groupings, where they vary equally.
    """
    results = []
    for (level, scope, unit, variant), by_grouping in _scopes(compared):
        sums: dict[Setting, Weights] = {
            (None, name): _sum(lines, slope_weights, scope) for name, (lines, _) in by_grouping.items()
        }
        for (_, grouping), estimate in compared.estimate(sums, unit).items():
            lines, left_out = by_grouping[grouping]
            results.append(
                Slope(
                    variant, grouping, level, scope, unit, len(lines), left_out, estimate.mean, np.nan, estimate.seeds,
                    estimate.has_predictions,
                )
            )  # fmt: skip
    families = group_rows(
        range(len(results)),
        lambda i: (results[i].variant, results[i].grouping, results[i].level, results[i].unit),
    )
    for members in families.values():
        adjusted = holm([results[i].slope.p for i in members])
        for i, p in zip(members, adjusted, strict=True):
            results[i] = replace(results[i], p_adjusted=float(p))
    return tuple(results)


def crossings(compared: ComparedCells) -> tuple[ScaleCrossing, ...]:
    """Return the sizes at which sharing turns from help to harm, or the reverse, where the data allow an estimate.

    The line of several tasks is the mean of their lines at one size. It is used only where at least half of the tasks
    were trained near that size.
    """
    results = []
    for (level, scope, unit, variant), by_grouping in _scopes(compared):
        if level == "difference":
            continue
        for grouping, (lines, _) in by_grouping.items():
            sizes = [line.sizes for line in lines.values()]
            ranges = [(float(s.min()), float(s.max())) for s in sizes]
            center = float(10 ** np.mean([np.log10(s).mean() for s in sizes]))
            sums = [_sum(lines, partial(level_weights, size=center)), _sum(lines, slope_weights)]
            joint = compared.sums.sum_differences(sums, unit)
            estimate = Crossing(None, why="the tasks have no seed in common")
            helps: Literal["above", "below"] = "below"
            if joint is not None:
                level_sum, slope_sum = joint
                estimate = crossing(level_sum.table, slope_sum.table, center, ranges, compared.confidence)
                helps = "above" if slope_sum.table.mean() > 0 else "below"
            results.append(
                ScaleCrossing(
                    variant, grouping, level, scope, unit, len(lines), estimate,
                    helps if estimate.size is not None else "", min(r[0] for r in ranges), max(r[1] for r in ranges),
                )
            )  # fmt: skip
    return tuple(results)


def between(compared: ComparedCells) -> tuple[Between, ...]:
    """Return the association of the difference with log10 of training samples at the largest scale.

    It is estimated over tasks, and over clinical groups as in arXiv:2603.18123. A group's size is the sum over all its
    tasks, its difference the mean over the compared ones. Tasks, or groups, are treated as an independent sample.
    """
    results = []
    for unit in UNITS:
        settings = group_rows(compared.select(unit), lambda cell: (cell.variant, cell.grouping))
        for (variant, grouping), cells in settings.items():
            largest = max(cell.scale for cell in compared.planned)
            chosen = [cell for cell in cells if cell.scale == largest]
            points: dict[Over, tuple[Array, Array]] = {
                "tasks": _points_by_task(chosen, unit),
                "clinical groups": _points_by_group(compared, chosen, unit),
            }
            for over in OVER:
                sizes, deltas = points[over]
                trend = association(np.log10(sizes), deltas, compared.confidence)
                few = f"; {trend.points} {over} are too few" if trend.points < 4 else ""
                few = few or (
                    "" if np.isfinite(trend.slope) else f"; all {over} have the same size, or the same difference"
                )
                results.append(Between(variant, largest, grouping, over, unit, trend, CONFOUNDED + few))
    return tuple(results)


def _points_by_task(cells: Sequence[CellVerdict], unit: Unit) -> tuple[Array, Array]:
    """Return (n,) training samples and differences of tasks."""
    return _sizes(cells), np.array([difference_in(cell, unit) for cell in cells], dtype=float)


def _points_by_group(compared: ComparedCells, cells: Sequence[CellVerdict], unit: Unit) -> tuple[Array, Array]:
    """Return (n,) training samples and mean differences of clinical groups."""
    sizes = group_sizes(compared.planned, cells[0].scale) if cells else {}
    groups = sorted(group_rows(cells, lambda cell: cell.clinical_group).items())
    means = [fmean(difference_in(cell, unit) for cell in members) for _, members in groups]
    return np.array([sizes.get(group, np.nan) for group, _ in groups]), np.array(means, dtype=float)


def group_sizes(planned: Iterable[CellVerdict], scale: float | int) -> dict[str, float]:
    """Return the training samples of all tasks of each clinical group at a scale, groups in order of their names."""
    at_scale = [cell for cell in planned if cell.scale == scale and cell.n_train is not None]
    once = [cells[0] for cells in group_rows(at_scale, lambda cell: cell.task).values()]
    groups = sorted(group_rows(once, lambda cell: cell.clinical_group).items())
    return {group: float(_sizes(members).sum()) for group, members in groups}


def _sizes(cells: Iterable[CellVerdict]) -> Array:
    """Return (n,) training samples of cells; NaN if not available."""
    return np.array([np.nan if cell.n_train is None else cell.n_train for cell in cells], dtype=float)


Scope = tuple[Level, str, Unit, str]
"""Level, scope, unit and variant."""


def _scopes(compared: ComparedCells) -> Iterator[tuple[Scope, dict[str, tuple[Lines, int]]]]:
    """Yield each scope of a slope, with the lines of its tasks by grouping, and the number of tasks without a slope."""
    for unit in UNITS:
        for variant, of_variant in group_rows(compared.select(unit), lambda cell: cell.variant).items():
            by_grouping = group_rows(of_variant, lambda cell: cell.grouping)
            groups = {name: _lines(cells) for name, cells in by_grouping.items()}
            types = {cell.task: cell.task_type for cell in of_variant}
            present = list(dict.fromkeys(types.values()))
            scopes: list[tuple[Level, str, set[str]]] = [("all", "all", set(types))]
            scopes += [("type", name, {t for t in types if types[t] == name}) for name in present]
            scopes += [("difference", f"{a} - {b}", {t for t in types if types[t] in (a, b)})
                       for a, b in combinations(present, 2)]  # fmt: skip
            scopes += [("task", task, {task}) for task in types]
            for level, scope, tasks in scopes:
                chosen = {}
                for name, (lines, left_out) in groups.items():
                    in_scope = {task: cells for task, cells in lines.items() if task in tasks}
                    sides = {types[task] for task in in_scope}
                    if in_scope and (level != "difference" or len(sides) == 2):
                        chosen[name] = in_scope, len(left_out & tasks)
                if chosen:
                    yield (level, scope, unit, variant), chosen


def _lines(cells: Iterable[CellVerdict]) -> tuple[Lines, set[str]]:
    """Return the lines of tasks whose sizes differ enough for a slope, and the names of the other tasks."""
    lines, left_out = {}, set()
    for task, members in group_rows(cells, lambda cell: cell.task).items():
        sizes = _sizes(members)
        if has_enough_span(sizes):
            lines[task] = _Line(members[0].task_type, tuple(list_cells(members)), sizes)
        else:
            left_out.add(task)
    return lines, left_out


def _sum(lines: Lines, weigh: Callable[[Array], Array], scope: str = "") -> Weights:
    """Return the mean over tasks of a weighted sum over each task's scales.

    Args:
        lines: Lines by task.
        weigh: Returns the weights of a task's scales from its training samples.
        scope: `a - b` for the mean of type a minus that of type b; otherwise all lines form one mean.
    """
    first = scope.split(" - ")[0] if " - " in scope else None
    sides = {task: first is None or line.task_type == first for task, line in lines.items()}
    sums = []
    for task, line in lines.items():
        share = (1 if sides[task] else -1) / sum(side == sides[task] for side in sides.values())
        sums.append(scale_weights(dict(zip(line.cells, weigh(line.sizes), strict=True)), share))
    return add_weights(*sums)
