"""Groupings against controls drawn by lot with blocks of the same sizes: is it the taxonomy, or the number of tasks?

All differences are in skill on the main metrics, from the reference. A task whose block is the reference's own run has
no difference: it counts as zero, since a draw puts other tasks alone.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.compare_study import StudyComparison
from usaggr.analysis.row_tables import group_rows, make_table
from usaggr.analysis.summary import SummaryLine

CONTROL_COLUMNS = (
    "like", "scale", "variant", "task", "grouping", "drawn", "delta_skill", "low", "high", "draws", "beaten", "p",
    "note",
)  # fmt: skip
"""Of controls.csv."""


@dataclass(frozen=True)
class Control:
    """A grouping, drawn or not, beside the draws with its block sizes: for the mean over tasks, and for each task."""

    like: str
    """The grouping that is not drawn."""
    scale: float | int
    variant: str
    task: str
    """Empty for the mean over all tasks."""
    grouping: str
    """`like`, or a draw with its block sizes."""
    drawn: bool
    """Whether it is a draw."""
    delta_skill: float
    """Difference in skill from the reference; NaN if a result is missing."""
    low: float
    """Lower bound of its interval over seeds and test subjects, with tasks and draws fixed; of means alone."""
    high: float
    """Upper bound."""
    draws: int | None
    """Draws with a result; None for a draw, and if there are none."""
    beaten: int | None
    """How many of them the grouping is better than."""
    p: float
    """Chance to be as good or better if it were one more draw: (1 + draws not beaten) / (1 + draws)."""
    note: str


class _Place(NamedTuple):
    """What the rows of a grouping and its draws have in common."""

    like: str
    scale: float | int
    variant: str
    task: str


class _Mean(NamedTuple):
    """A difference with its interval."""

    value: float
    low: float = math.nan
    high: float = math.nan


def make_controls(comparison: StudyComparison) -> tuple[Control, ...]:
    """Compare each grouping with its draws; nothing if the study has no controls.

    A grouping of which a task has no result in any seed has no mean.
    """
    controls = comparison.controls
    if controls is None:
        return ()
    return tuple(row for like in dict.fromkeys(controls.study.controls.values()) for row in _rows(like, controls))


def make_controls_table(rows: tuple[Control, ...]) -> pd.DataFrame:
    """Return the table that controls.csv is written from."""
    return make_table(Control, rows, CONTROL_COLUMNS)


def _rows(like: str, controls: StudyComparison) -> Iterator[Control]:
    study, tasks = controls.study, controls.collection.tasks
    names = [like, *(name for name, of in study.controls.items() if of == like)]
    for variant in study.variants:
        for scale in sorted(study.scales, reverse=True):
            cells = [cell for cell in controls.main_verdicts(variant, scale) if cell.grouping in names]
            if not cells:
                continue
            by_grouping = group_rows(cells, lambda cell: cell.grouping)
            lines = {line.grouping: line for line in controls.summary_at(variant, scale)}
            means = {name: _mean(by_grouping.get(name, []), tasks, lines.get(name)) for name in names}
            yield from _ranked(_Place(like, scale, variant, ""), means)
            by_cell = {(cell.task, cell.grouping): _difference(cell) for cell in cells}
            for task in tasks:
                own = {name: _Mean(by_cell.get((task, name), math.nan)) for name in names}
                yield from _ranked(_Place(like, scale, variant, task), own)


def _difference(cell: CellVerdict) -> float:
    return 0.0 if cell.same else cell.delta_skill


def _mean(cells: list[CellVerdict], tasks: tuple[str, ...], line: SummaryLine | None) -> _Mean:
    """Return the mean over all tasks, with the interval of that over the tasks that are not the reference's own run.

    It is NaN if a task is missing.
    """
    if len(cells) != len(tasks):
        return _Mean(math.nan)
    value = float(np.mean([_difference(cell) for cell in cells]))
    if line is None or math.isnan(line.skill_low) or math.isnan(value):
        return _Mean(value)
    share = 1.0 if line.delta_skill == 0 else value / line.delta_skill
    return _Mean(value, share * line.skill_low, share * line.skill_high)


def _ranked(place: _Place, differences: Mapping[str, _Mean]) -> Iterator[Control]:
    drawn = [name for name in differences if name != place.like]
    known = [differences[name].value for name in drawn if not math.isnan(differences[name].value)]
    for name, found in differences.items():
        draws, beaten, p, note = None, None, math.nan, "missing" if math.isnan(found.value) else ""
        if name == place.like and known and not note:
            draws, beaten = len(known), sum(found.value > other for other in known)
            p = (1 + draws - beaten) / (1 + draws)
            note = f"{draws} of {len(drawn)} draws" if draws < len(drawn) else ""
        yield Control(*place, name, name != place.like, *found, draws, beaten, p, note)
