"""How the difference from the reference changes with training data: within tasks by scale, and between tasks."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd

from usaggr.analysis.cell_scores import Cell
from usaggr.analysis.weighted_sums import UNITS, Array, Compared, Setting, Unit, Weights, cells_in, combined, scaled
from usaggr.statistics.holm import holm
from usaggr.statistics.scale_trend import Crossing, association, bears_slope, crossing, level_weights, slope_weights

SLOPE_COLUMNS = (
    "variant", "grouping", "level", "scope", "unit", "tasks", "left_out", "slope", "low", "high", "p", "p_adjusted",
    "seeds", "whole",
)  # fmt: skip
CROSSING_COLUMNS = (
    "variant", "grouping", "level", "scope", "unit", "tasks", "size", "low", "high", "helps", "why", "smallest",
    "largest",
)  # fmt: skip
BETWEEN_COLUMNS = (
    "variant", "scale", "grouping", "over", "unit", "points", "rho", "p", "slope", "low", "high", "note",
)  # fmt: skip
CONFOUNDED = "confounded: tasks and clinical groups differ in much else than size"
_FAMILY = ["variant", "grouping", "level", "unit"]


@dataclass(frozen=True)
class _Line:
    """A task's cells at several scales."""

    task_type: str
    cells: tuple[Cell, ...]
    sizes: Array
    """(n,) training samples."""


Lines = dict[str, _Line]
"""By task."""


def slopes(compared: Compared) -> pd.DataFrame:
    """Change of the difference per tenfold training samples, within tasks; columns SLOPE_COLUMNS.

    The variance between seeds of a row is pooled with that of the other groupings' rows, where they vary alike.
    """
    rows = []
    for (level, scope, unit, variant), by_grouping in _scopes(compared):
        sums: dict[Setting, Weights] = {
            (None, name): _sum(lines, slope_weights, scope) for name, (lines, _) in by_grouping.items()
        }
        for (_, grouping), found in compared.estimate(sums, unit).items():
            lines, left_out = by_grouping[grouping]
            rows.append({
                "variant": variant, "grouping": grouping, "level": level, "scope": scope, "unit": unit,
                "tasks": len(lines), "left_out": left_out, "slope": found.mean.value, "low": found.mean.low,
                "high": found.mean.high, "p": found.mean.p, "seeds": found.seeds, "whole": found.whole,
            })  # fmt: skip
    table = pd.DataFrame(rows, columns=[name for name in SLOPE_COLUMNS if name != "p_adjusted"])
    table["p_adjusted"] = np.nan
    for _, family in table.groupby(_FAMILY, sort=False):
        table.loc[family.index, "p_adjusted"] = holm(family["p"])
    return table[list(SLOPE_COLUMNS)]


def crossings(compared: Compared) -> pd.DataFrame:
    """Size below which sharing helps or hurts, where the data bear it; columns CROSSING_COLUMNS.

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
            sums = [_sum(lines, partial(level_weights, at=centre)), _sum(lines, slope_weights)]
            joint = compared.sums.of_differences(sums, unit)
            found = Crossing(None, why="the tasks have no seed in common")
            helps = ""
            if joint is not None:
                level_sum, slope_sum = joint
                found = crossing(level_sum.table, slope_sum.table, centre, ranges, compared.confidence)
                helps = "above" if slope_sum.table.mean() > 0 else "below"
            rows.append({
                "variant": variant, "grouping": grouping, "level": level, "scope": scope, "unit": unit,
                "tasks": len(lines), **asdict(found), "helps": helps if found.size is not None else "",
                "smallest": min(r[0] for r in ranges), "largest": max(r[1] for r in ranges),
            })  # fmt: skip
    table = pd.DataFrame(rows, columns=list(CROSSING_COLUMNS))
    return table.astype(dict.fromkeys(("size", "low", "high", "smallest", "largest"), float))


def between(compared: Compared) -> pd.DataFrame:
    """Association of the difference with log10 of training samples at the largest scale; columns BETWEEN_COLUMNS.

    Over tasks, and over clinical groups, as arXiv:2603.18123 has it: a group's size is that of all its tasks together,
    its difference the mean over those that are compared. Tasks, or groups, are taken as an independent sample.
    """
    rows = []
    for unit in UNITS:
        name = "relative" if unit == "relative" else "delta_skill"
        for (variant, grouping), cells in compared.of(unit).groupby(["variant", "grouping"], sort=False):
            at = cells[cells["scale"] == compared.planned["scale"].max()]
            for over in ("tasks", "clinical groups"):
                sizes, deltas = at["n_train"], at[name]
                if over == "clinical groups":
                    deltas = at.groupby("clinical_group")[name].mean()
                    sizes = group_sizes(compared.planned, at["scale"].max()).reindex(deltas.index)
                found = association(np.log10(sizes.to_numpy(dtype=float)), deltas, compared.confidence)
                few = f"; {found.points} {over} are too few" if found.points < 4 else ""
                few = few or (
                    "" if np.isfinite(found.slope) else f"; the {over} are all of one size, or one difference"
                )
                rows.append({
                    "variant": variant, "scale": compared.planned["scale"].max(), "grouping": grouping, "over": over,
                    "unit": unit, **asdict(found), "note": CONFOUNDED + few,
                })  # fmt: skip
    return pd.DataFrame(rows, columns=list(BETWEEN_COLUMNS))


def group_sizes(planned: pd.DataFrame, scale: float | int) -> "pd.Series[float]":
    """Training samples of all tasks of each clinical group at a scale."""
    tasks = planned[(planned["scale"] == scale) & planned["n_train"].notna()].drop_duplicates("task")
    return tasks.groupby("clinical_group")["n_train"].sum().astype(float)


Scope = tuple[str, str, Unit, str]
"""level, scope, unit, variant"""


def _scopes(compared: Compared) -> Iterator[tuple[Scope, dict[str, tuple[Lines, int]]]]:
    """What slopes are told of: by grouping, its tasks' cells and how many tasks do not bear a slope."""
    for unit in UNITS:
        for variant, of_variant in compared.of(unit).groupby("variant", sort=False):
            groups = {str(name): _lines(cells) for name, cells in of_variant.groupby("grouping", sort=False)}
            once = of_variant.drop_duplicates("task")
            types = dict(zip(once["task"].map(str), once["task_type"].map(str), strict=True))
            present = list(dict.fromkeys(map(str, types.values())))
            scopes = [("all", "all", set(types))]
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
                    yield (level, scope, unit, str(variant)), chosen


def _lines(cells: pd.DataFrame) -> tuple[Lines, set[str]]:
    """Tasks that bear a slope, and those that do not, for their sizes are too much alike."""
    lines, left_out = {}, set()
    for task, rows in cells.groupby("task", sort=False):
        sizes = rows["n_train"].to_numpy(dtype=float)
        if bears_slope(sizes):
            lines[str(task)] = _Line(str(rows["task_type"].iloc[0]), tuple(cells_in(rows)), sizes)
        else:
            left_out.add(str(task))
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
