"""How the difference from the reference changes with training data: within tasks by scale, and between tasks."""

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
    Compared,
    Setting,
    Unit,
    Weights,
    cells_in,
    combined,
    difference_in,
    scaled,
)
from usaggr.statistics.claims import Quantity
from usaggr.statistics.holm import holm
from usaggr.statistics.scale_trend import (
    Association,
    Crossing,
    association,
    bears_slope,
    crossing,
    level_weights,
    slope_weights,
)

CONFOUNDED = "confounded: tasks and clinical groups differ in much else than size"
Level = Literal["all", "type", "difference", "task"]
Over = Literal["tasks", "clinical groups"]
OVER: tuple[Over, ...] = ("tasks", "clinical groups")


@dataclass(frozen=True)
class Slope:
    """How the difference from the reference changes with training data, within tasks."""

    variant: str
    grouping: str
    level: Level
    """Of which tasks it is the mean: all, those of a type, one task; or the difference of the means of two types."""
    scope: str
    """The type or task; `a - b` of a difference; otherwise `all`."""
    unit: Unit
    tasks: int
    """Tasks in the mean."""
    left_out: int
    """Tasks whose numbers of training samples are too much alike for a slope."""
    slope: Quantity
    """Change per tenfold training samples, in the unit."""
    p_adjusted: float
    """By Holm, over the rows of one variant, grouping, level and unit."""
    seeds: int
    """That all cells have in common."""
    whole: bool
    """Whether all runs have predictions."""


@dataclass(frozen=True)
class ScaleCrossing:
    """The number of training samples at which the line of the difference is zero."""

    variant: str
    grouping: str
    level: Level
    scope: str
    """As of a slope."""
    unit: Unit
    tasks: int
    """Tasks in the mean."""
    crossing: Crossing
    """With Fieller's interval; or why there is none."""
    helps: Literal["above", "below", ""]
    """On which side of it sharing helps; empty without a crossing."""
    smallest: float
    """Fewest training samples of the tasks."""
    largest: float
    """Most."""


@dataclass(frozen=True)
class Between:
    """How the difference goes together with training data over tasks, or over clinical groups: confounded."""

    variant: str
    scale: float | int
    """The largest one."""
    grouping: str
    over: Over
    unit: Unit
    association: Association
    """With log10 of the training samples."""
    note: str


@dataclass(frozen=True)
class _Line:
    """A task's cells at several scales."""

    task_type: str
    cells: tuple[Cell, ...]
    sizes: Array
    """(n,) training samples."""


Lines = dict[str, _Line]
"""By task."""


def slopes(compared: Compared) -> tuple[Slope, ...]:
    """Return the change of the difference per tenfold training samples, within tasks.

    The variance between seeds of a row is pooled with that of the other groupings' rows, where they vary alike.
    """
    rows = []
    for (level, scope, unit, variant), by_grouping in _scopes(compared):
        sums: dict[Setting, Weights] = {
            (None, name): _sum(lines, slope_weights, scope) for name, (lines, _) in by_grouping.items()
        }
        for (_, grouping), found in compared.estimate(sums, unit).items():
            lines, left_out = by_grouping[grouping]
            rows.append(
                Slope(
                    variant, grouping, level, scope, unit, len(lines), left_out, found.mean, np.nan, found.seeds,
                    found.whole,
                )
            )  # fmt: skip
    families = group_rows(range(len(rows)), lambda i: (rows[i].variant, rows[i].grouping, rows[i].level, rows[i].unit))
    for members in families.values():
        adjusted = holm([rows[i].slope.p for i in members])
        for i, p in zip(members, adjusted, strict=True):
            rows[i] = replace(rows[i], p_adjusted=float(p))
    return tuple(rows)


def crossings(compared: Compared) -> tuple[ScaleCrossing, ...]:
    """Return the sizes below which sharing helps or hurts, where the data bear it.

    The line of several tasks is the mean of theirs at one size; it is believed where at least half of them were
    trained near that size.
    """
    rows = []
    for (level, scope, unit, variant), by_grouping in _scopes(compared):
        if level == "difference":
            continue
        for grouping, (lines, _) in by_grouping.items():
            sizes = [line.sizes for line in lines.values()]
            ranges = [(float(s.min()), float(s.max())) for s in sizes]
            centre = float(10 ** np.mean([np.log10(s).mean() for s in sizes]))
            sums = [_sum(lines, partial(level_weights, size=centre)), _sum(lines, slope_weights)]
            joint = compared.sums.of_differences(sums, unit)
            found = Crossing(None, why="the tasks have no seed in common")
            helps: Literal["above", "below"] = "below"
            if joint is not None:
                level_sum, slope_sum = joint
                found = crossing(level_sum.table, slope_sum.table, centre, ranges, compared.confidence)
                helps = "above" if slope_sum.table.mean() > 0 else "below"
            rows.append(
                ScaleCrossing(
                    variant, grouping, level, scope, unit, len(lines), found, helps if found.size is not None else "",
                    min(r[0] for r in ranges), max(r[1] for r in ranges),
                )
            )  # fmt: skip
    return tuple(rows)


def between(compared: Compared) -> tuple[Between, ...]:
    """Return the association of the difference with log10 of training samples at the largest scale.

    Over tasks, and over clinical groups, as arXiv:2603.18123 has it: a group's size is that of all its tasks together,
    its difference the mean over those that are compared. Tasks, or groups, are taken as an independent sample.
    """
    rows = []
    for unit in UNITS:
        settings = group_rows(compared.of(unit), lambda cell: (cell.variant, cell.grouping))
        for (variant, grouping), cells in settings.items():
            largest = max(cell.scale for cell in compared.planned)
            chosen = [cell for cell in cells if cell.scale == largest]
            points: dict[Over, tuple[Array, Array]] = {
                "tasks": _points_by_task(chosen, unit),
                "clinical groups": _points_by_group(compared, chosen, unit),
            }
            for over in OVER:
                sizes, deltas = points[over]
                found = association(np.log10(sizes), deltas, compared.confidence)
                few = f"; {found.points} {over} are too few" if found.points < 4 else ""
                few = few or (
                    "" if np.isfinite(found.slope) else f"; the {over} are all of one size, or one difference"
                )
                rows.append(Between(variant, largest, grouping, over, unit, found, CONFOUNDED + few))
    return tuple(rows)


def _points_by_task(cells: Sequence[CellVerdict], unit: Unit) -> tuple[Array, Array]:
    """Return (n,) training samples and differences of tasks."""
    return _sizes(cells), np.array([difference_in(cell, unit) for cell in cells], dtype=float)


def _points_by_group(compared: Compared, cells: Sequence[CellVerdict], unit: Unit) -> tuple[Array, Array]:
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
    """Return (n,) training samples of cells; NaN if not known."""
    return np.array([np.nan if cell.n_train is None else cell.n_train for cell in cells], dtype=float)


Scope = tuple[Level, str, Unit, str]
"""level, scope, unit, variant"""


def _scopes(compared: Compared) -> Iterator[tuple[Scope, dict[str, tuple[Lines, int]]]]:
    """What slopes are told of: by grouping, its tasks' cells and how many tasks do not bear a slope."""
    for unit in UNITS:
        for variant, of_variant in group_rows(compared.of(unit), lambda cell: cell.variant).items():
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
                    own = {task: cells for task, cells in lines.items() if task in tasks}
                    sides = {types[task] for task in own}
                    if own and (level != "difference" or len(sides) == 2):
                        chosen[name] = own, len(left_out & tasks)
                if chosen:
                    yield (level, scope, unit, variant), chosen


def _lines(cells: Iterable[CellVerdict]) -> tuple[Lines, set[str]]:
    """Return the tasks that bear a slope, and those that do not, for their sizes are too much alike."""
    lines, left_out = {}, set()
    for task, rows in group_rows(cells, lambda cell: cell.task).items():
        sizes = _sizes(rows)
        if bears_slope(sizes):
            lines[task] = _Line(rows[0].task_type, tuple(cells_in(rows)), sizes)
        else:
            left_out.add(task)
    return lines, left_out


def _sum(lines: Lines, weigh: Callable[[Array], Array], scope: str = "") -> Weights:
    """Mean over tasks of a weighted sum over each task's scales; for `a - b`, type a's mean minus type b's."""
    first = scope.split(" - ")[0] if " - " in scope else None
    sides = {task: first is None or line.task_type == first for task, line in lines.items()}
    parts = []
    for task, line in lines.items():
        share = (1 if sides[task] else -1) / sum(side == sides[task] for side in sides.values())
        parts.append(scaled(dict(zip(line.cells, weigh(line.sizes), strict=True)), share))
    return combined(*parts)
