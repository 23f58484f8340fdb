"""Groupings against controls drawn by lot with blocks of the same sizes: is it the taxonomy, or the number of tasks?

All differences are in skill on the main metrics, from the reference. A task whose block is the reference's own run has
no difference: it counts as nought, since a draw puts other tasks alone.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from usaggr.analysis.compare_study import StudyComparison

CONTROL_COLUMNS = (
    "like", "scale", "variant", "task", "grouping", "drawn", "delta_skill", "low", "high", "draws", "beaten", "p",
    "note",
)  # fmt: skip
"""Of controls.csv: a row a grouping, drawn or not, for the mean over tasks (task empty) and for each task. Of the
grouping that is not drawn: `draws` there are, how many it has `beaten`, and p, the chance to be as good as that or
better if it were one more draw: (1 + draws not beaten) / (1 + draws)."""


def make_controls(comparison: StudyComparison) -> pd.DataFrame:
    """CONTROL_COLUMNS; without rows where the study has no controls.

    Intervals are those of the mean over tasks, as in the summary: over seeds and test subjects, with tasks and draws
    fixed. A grouping of which a task has no result in any seed has no mean.
    """
    controls = comparison.controls
    if controls is None:
        return pd.DataFrame(columns=list(CONTROL_COLUMNS))
    rows = [row for like in dict.fromkeys(controls.study.controls.values()) for row in _rows(like, controls)]
    table = pd.DataFrame(rows, columns=list(CONTROL_COLUMNS))
    return table.astype(dict.fromkeys(("delta_skill", "low", "high", "p"), "float64"))


def _rows(like: str, controls: StudyComparison) -> Iterator[dict[str, Any]]:
    study, tasks, verdicts = controls.study, controls.collection.tasks, controls.verdicts
    names = [like, *(name for name, of in study.controls.items() if of == like)]
    main = verdicts[verdicts["main"].astype(bool) & verdicts["grouping"].isin(names)]
    for variant in study.variants:
        for scale in sorted(study.scales, reverse=True):
            here = main[(main["variant"] == variant) & (main["scale"] == scale)]
            where = {"like": like, "scale": scale, "variant": variant}
            whole = {name: _mean(here[here["grouping"] == name], tasks) for name in names}
            if not here.empty:
                yield from _ranked(where | {"task": ""}, whole, controls.summary)
            for task in tasks:
                own = {name: _of_task(here, name, task) for name in names}
                if not here.empty:
                    yield from _ranked(where | {"task": task}, own, None)


def _of_task(cells: pd.DataFrame, grouping: str, task: str) -> float:
    found = cells[(cells["grouping"] == grouping) & (cells["task"] == task)]
    if found.empty:
        return np.nan
    return 0.0 if bool(found["same"].iloc[0]) else float(found["delta_skill"].iloc[0])


def _mean(cells: pd.DataFrame, tasks: tuple[str, ...]) -> float:
    """Over all tasks; nought where the run is the reference's own."""
    values = np.where(cells["same"].astype(bool), 0.0, cells["delta_skill"].astype(float))
    return float(values.mean()) if len(values) == len(tasks) else np.nan


def _ranked(where: dict[str, Any], values: dict[str, float], summary: pd.DataFrame | None) -> Iterator[dict[str, Any]]:
    like, *drawn = values
    known = [values[name] for name in drawn if not np.isnan(values[name])]
    for name, value in values.items():
        low, high = (np.nan, np.nan) if summary is None else _bounds(where, name, value, summary)
        row = {**where, "grouping": name, "drawn": name != like, "delta_skill": value, "low": low, "high": high}
        row |= {"draws": pd.NA, "beaten": pd.NA, "p": np.nan, "note": "missing" if np.isnan(value) else ""}
        if name == like and known and not np.isnan(value):
            beaten = sum(value > other for other in known)
            row |= {"draws": len(known), "beaten": beaten, "p": (1 + len(known) - beaten) / (1 + len(known))}
            if len(known) < len(drawn):
                row["note"] = f"{len(known)} of {len(drawn)} draws"
        yield row


def _bounds(where: dict[str, Any], grouping: str, value: float, summary: pd.DataFrame) -> tuple[float, float]:
    """Of the mean over all tasks, from that over the tasks that are not the reference's own run."""
    chosen = (summary["variant"] == where["variant"]) & (summary["scale"] == where["scale"])
    found = summary[chosen & (summary["grouping"] == grouping)]
    if found.empty or pd.isna(found["skill_low"].iloc[0]) or np.isnan(value):
        return np.nan, np.nan
    row = found.iloc[0]
    share = 1.0 if row["delta_skill"] == 0 else value / float(row["delta_skill"])
    return share * float(row["skill_low"]), share * float(row["skill_high"])
