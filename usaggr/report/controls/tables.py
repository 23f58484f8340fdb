"""Comparison of groupings with random groupings whose blocks have the same sizes.

It separates the effect of which tasks share a model from the effect of how many do. All differences are in skill on the
main metrics, from the reference. A task that uses the reference's own run counts as zero, because a random grouping may
have other tasks alone.
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
"""Columns of controls.csv."""


@dataclass(frozen=True)
class Control:
    """Difference from the reference of a grouping or one of its random groupings, for one task or averaged over all."""

    like: str
    """The grouping whose block sizes the random groupings have."""
    scale: float | int
    variant: str
    task: str
    """Empty for the mean over all tasks."""
    grouping: str
    """`like`, or a random grouping with its block sizes."""
    drawn: bool
    """True for a random grouping."""
    delta_skill: float
    """Difference in skill from the reference; NaN if a result is missing."""
    low: float
    """Lower bound of the interval over seeds and subjects, with tasks and random groupings fixed; of means only."""
    high: float
    """Upper bound."""
    draws: int | None
    """Number of random groupings with a result; None for a random grouping, and if there are none."""
    beaten: int | None
    """Number of `draws` that the grouping is better than; None like `draws`."""
    p: float
    """Probability to be as good or better if it were one more random grouping: (1 + draws not beaten) / (1 + draws)."""
    note: str


class _Setting(NamedTuple):
    """Fields that a grouping and its random groupings have in common."""

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
    """Compare each grouping with its random groupings; return nothing if the study has none.

    A grouping has no mean if one of its tasks has no result in any seed.
    """
    controls = comparison.controls
    if controls is None:
        return ()
    return tuple(row for like in dict.fromkeys(controls.study.controls.values()) for row in _compare(like, controls))


def make_controls_table(controls: tuple[Control, ...]) -> pd.DataFrame:
    """Return the table that controls.csv is written from."""
    return make_table(Control, controls, CONTROL_COLUMNS)


def _compare(like: str, controls: StudyComparison) -> Iterator[Control]:
    """Yield the rows of a grouping and its random groupings: at each scale the means, then each task."""
    study, tasks = controls.study, controls.collection.tasks
    names = [like, *(name for name, model in study.controls.items() if model == like)]
    for variant in study.variants:
        for scale in sorted(study.scales, reverse=True):
            cells = [cell for cell in controls.get_main_verdicts(variant, scale) if cell.grouping in names]
            if not cells:
                continue
            by_grouping = group_rows(cells, lambda cell: cell.grouping)
            lines = {line.grouping: line for line in controls.get_summary(variant, scale)}
            means = {name: _average_over_tasks(by_grouping.get(name, []), tasks, lines.get(name)) for name in names}
            yield from _rank(_Setting(like, scale, variant, ""), means)
            by_cell = {(cell.task, cell.grouping): _get_difference(cell) for cell in cells}
            for task in tasks:
                by_name = {name: _Mean(by_cell.get((task, name), math.nan)) for name in names}
                yield from _rank(_Setting(like, scale, variant, task), by_name)


_ROUNDING = 1e-12
"""Mean differences in skill below this are rounding errors of 0."""


def _get_difference(cell: CellVerdict) -> float:
    """Return a cell's difference in skill; 0 if it uses the reference's own run."""
    return 0.0 if cell.same else cell.delta_skill


def _average_over_tasks(cells: list[CellVerdict], tasks: tuple[str, ...], line: SummaryLine | None) -> _Mean:
    """Return the mean difference over all tasks; NaN if a task is missing.

    The summary's interval is of the mean over the tasks that differ from the reference. It is scaled to all tasks,
    since the other tasks have a difference of exactly zero.

    Args:
        cells: Verdicts of one grouping, variant and scale.
        tasks: Tasks of the study.
        line: Summary of the same grouping; None if it has none.
    """
    # A mean over fewer tasks could not be compared with those of the other groupings.
    if len(cells) != len(tasks):
        return _Mean(math.nan)
    value = float(np.mean([_get_difference(cell) for cell in cells]))
    if line is None or math.isnan(line.skill_low) or math.isnan(value):
        return _Mean(value)
    # The ratio of the two means is the share of tasks that differ, unless both are 0 up to rounding.
    share = line.tasks / len(cells) if abs(line.delta_skill) < _ROUNDING else value / line.delta_skill
    return _Mean(value, share * line.skill_low, share * line.skill_high)


def _rank(setting: _Setting, differences: Mapping[str, _Mean]) -> Iterator[Control]:
    """Yield the rows of a grouping and of its random groupings, with the rank of the grouping among them.

    Args:
        setting: Fields that all rows have in common.
        differences: Difference of the grouping and of each random grouping, by name.
    """
    random_names = [name for name in differences if name != setting.like]
    random_values = [differences[name].value for name in random_names if not math.isnan(differences[name].value)]
    for name, mean in differences.items():
        is_missing = math.isnan(mean.value)
        draws, beaten, p, note = None, None, math.nan, "missing" if is_missing else ""
        if name == setting.like and random_values and not is_missing:
            draws, beaten = len(random_values), sum(mean.value > value for value in random_values)
            # The grouping counts as one of the draws, so that p is never 0 (Phipson and Smyth 2010).
            p = (1 + draws - beaten) / (1 + draws)
            note = f"{draws} of {len(random_names)} draws" if draws < len(random_names) else ""
        yield Control(*setting, name, name != setting.like, *mean, draws, beaten, p, note)
