"""The report's tables as text, ready for a page: what was run, the answer so far, what is missing, what it cost."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pandas as pd

from usaggr.data.manifest import MIN_TEST_SUBJECTS
from usaggr.report import formatting as text
from usaggr.report.collect import CollectedRun, Collection
from usaggr.report.tables import Tables
from usaggr.report.words import grouping_label, metric_label
from usaggr.runs import State

_STATES: tuple[State, ...] = ("done", "failed", "running", "stale", "pending")
NOT_BETTER = " †"
"""Follows a mean score that is not better than the trivial predictor's."""


@dataclass(frozen=True)
class TextTable:
    """A table whose cells are text as people read it, not yet escaped for any page."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[str, ...] = ()
    """Columns that are set flush right."""
    left_out: int = 0
    """Rows that are not shown, for their number."""


def tasks_table(collection: Collection) -> TextTable:
    """The planned tasks with the sizes of their folds."""
    rows = []
    for task_id in collection.tasks:
        facts = collection.data.tasks[task_id]
        few = " (few)" if facts.n_subjects < MIN_TEST_SUBJECTS else ""
        counts = [text.count(n) for n in (facts.n_train, facts.n_val, facts.n_test, facts.n_subjects)]
        task = facts.task
        rows.append((task_id, task.type, task.clinical_group, str(task.num_classes), *counts[:3], counts[3] + few))
    numbers = ("classes or points", "train", "val", "test", "test subjects")
    return TextTable(("task", "type", "clinical group", *numbers), tuple(rows), numbers)


def blocks_table(collection: Collection) -> TextTable:
    """Which tasks share a model under each grouping."""
    rows = []
    for grouping in collection.study.groupings:
        blocks = sorted({run.row.tasks for run in collection.runs if grouping in run.row.groupings})
        shared = [", ".join(block) for block in blocks if len(block) > 1]
        alone = sum(len(block) == 1 for block in blocks)
        if alone:
            shared.append("each of the others alone" if shared else "every task alone")
        rows.append((grouping_label(grouping), grouping, str(len(blocks)), "; ".join(shared)))
    return TextTable(("label", "grouping", "models", "tasks that share a model"), tuple(rows), ("models",))


def runs_table(collection: Collection) -> TextTable:
    """How many runs of each grouping and scale are done, and what the others are."""
    rows = []
    for variant, scale, grouping in _settings(collection):
        states = Counter(run.state for run in _runs_of(collection, variant, scale, grouping))
        counts = [str(states[state]) for state in _STATES]
        rows.append((grouping_label(grouping), f"{scale:g}", variant, str(states.total()), *counts))
    numbers = ("scale", "runs", *_STATES)
    return TextTable(("grouping", "scale", "variant", "runs", *_STATES), tuple(rows), numbers)


def answer_table(collection: Collection, tables: Tables, variant: str, scale: float | int) -> TextTable:
    """Task x grouping at one scale: mean score ± half its interval, and the difference from the reference."""
    study = collection.study
    cells, differences = (
        table[(table["variant"] == variant) & (table["scale"] == scale) & table["main"]]
        for table in (tables.cells, tables.comparison)
    )
    found = {(cell["task"], cell["grouping"]): cell for cell in cells.to_dict("records")}
    deltas = {(cell["task"], cell["grouping"]): cell for cell in differences.to_dict("records")}
    groupings = sorted(set(cells["grouping"]), key=lambda name: (name != study.reference, study.groupings.index(name)))
    columns = ["task", "clinical group", "metric", "train", "trivial"]
    for name in groupings:
        label = grouping_label(name)
        columns += [label] if name == study.reference else [label, f"Δ {label}"]
    rows = []
    for task in collection.tasks:
        facts = cells[cells["task"] == task]
        if facts.empty:
            continue
        metric, n_train = str(facts["metric"].iloc[0]), facts["n_train"].max()
        direction = "↑" if facts["sign"].iloc[0] > 0 else "↓"
        few = " (few)" if facts["n_subjects"].min() < MIN_TEST_SUBJECTS else ""
        row = [task + few, str(facts["clinical_group"].iloc[0]), f"{metric_label(metric, True)} {direction}"]
        row += [text.count(None if pd.isna(n_train) else int(n_train)), text.score(facts["trivial"].mean(), metric)]
        for name in groupings:
            row.append(_mean(found.get((task, name)), metric))
            if name != study.reference:
                row.append(_difference(deltas.get((task, name)), metric))
        rows.append(tuple(row))
    return TextTable(tuple(columns), tuple(rows), tuple(columns[3:]))


def summary_table(tables: Tables, variant: str) -> TextTable:
    """Each grouping over all tasks, scale by scale."""
    shown = tables.summary[tables.summary["variant"] == variant]
    rows = []
    for row in shown.to_dict("records"):
        delta_m = text.percent(row["delta_m"], row["low"], row["high"])
        skill = text.signed(row["delta_skill"], "skill")
        counts = [str(int(row[name])) for name in ("tasks", "same", "missing")]
        rows.append((grouping_label(row["grouping"]), f"{row['scale']:g}", counts[0], delta_m, skill, *counts[1:]))
    numbers = ("scale", "tasks", "delta_m", "delta_skill", "same", "missing")
    return TextTable(("grouping", "scale", "tasks", "delta_m", "delta_skill", "same", "missing"), tuple(rows), numbers)


def cost_table(collection: Collection, tables: Tables) -> TextTable:
    """What each grouping costs at each scale: models, parameters, training time of all seeds, memory."""
    rows = []
    for row in tables.summary.to_dict("records"):
        runs = _runs_of(collection, row["variant"], row["scale"], row["grouping"])
        peaks = [run.result.cost.peak_mib for run in runs if run.result is not None]
        models = len({run.row.tasks for run in runs})
        parameters = None if pd.isna(row["parameters"]) else int(row["parameters"])
        time = text.duration(row["train_seconds"]) if peaks else text.MISSING
        rows.append(
            (
                grouping_label(row["grouping"]), f"{row['scale']:g}", row["variant"], str(models),
                text.count(parameters), time, text.count(max(peaks, default=None)),
            )
        )  # fmt: skip
    numbers = ("scale", "models", "parameters of all models", "training time, all seeds", "peak memory, MiB")
    return TextTable(("grouping", "scale", "variant", *numbers[1:]), tuple(rows), numbers)


def failures_table(collection: Collection, most: int = 30) -> TextTable:
    """Runs that failed, each with the first line of its error."""
    failed = [run for run in collection.runs if run.state == "failed"]
    rows = []
    for run in failed[:most]:
        said = (run.error or "").strip().splitlines() or ["no reason is stored"]
        rows.append((run.path.name if run.path else run.row.run_id, _groupings(run), said[0]))
    return TextTable(("run", "groupings", "error"), tuple(rows), left_out=len(failed) - len(rows))


def holes_table(collection: Collection) -> TextTable:
    """Where values are missing: tasks with fewer seeds than planned, by grouping, scale and variant."""
    rows = []
    for variant, scale, grouping in _settings(collection):
        runs = _runs_of(collection, variant, scale, grouping)
        planned = Counter(task for run in runs for task in run.row.tasks)
        done = Counter(task for run in runs if run.state == "done" for task in run.row.tasks)
        holes: dict[str, list[str]] = {}
        for task in collection.tasks:
            if done[task] < planned[task]:
                holes.setdefault(f"{done[task]} of {planned[task]}", []).append(task)
        if holes:
            said = [f"{seeds}: {_all_or_names(tasks, len(planned))}" for seeds, tasks in sorted(holes.items())]
            cells = sum(map(len, holes.values()))
            rows.append((grouping_label(grouping), f"{scale:g}", variant, str(cells), "; ".join(said)))
    columns = ("grouping", "scale", "variant", "cells", "seeds done of those planned: tasks")
    return TextTable(columns, tuple(rows), ("scale", "cells"))


def _all_or_names(tasks: list[str], of: int) -> str:
    return ", ".join(tasks) if len(tasks) < of or of == 1 else f"all {of} tasks"


def trivial_table(tables: Tables) -> TextTable:
    """How many cells beat the trivial predictor on the main metric, and which do not."""
    rows = []
    main = tables.cells[tables.cells["main"] & tables.cells["beats_trivial"].notna()]
    for (variant, scale, grouping), cells in main.groupby(["variant", "scale", "grouping"], sort=False):
        below = cells.loc[~cells["beats_trivial"].astype(bool), "task"].tolist()
        beaten = f"{len(cells) - len(below)} of {len(cells)}"
        rows.append((grouping_label(str(grouping)), f"{scale:g}", str(variant), beaten, ", ".join(below) or "none"))
    columns = ("grouping", "scale", "variant", "tasks that beat it", "tasks that do not")
    return TextTable(columns, tuple(rows), ("scale", "tasks that beat it"))


def _settings(collection: Collection) -> list[tuple[str, float | int, str]]:
    """Variant, scale and grouping of all that is planned, in the study's order."""
    planned = {(r.row.variant, r.row.scale, name) for r in collection.runs for name in r.row.groupings}
    study = collection.study
    wanted = [(v, s, g) for v in study.variants for s in study.scales for g in study.groupings]
    return [setting for setting in wanted if setting in planned]


def _runs_of(collection: Collection, variant: str, scale: float | int, grouping: str) -> list[CollectedRun]:
    return [
        run
        for run in collection.runs
        if (run.row.variant, run.row.scale) == (variant, scale) and grouping in run.row.groupings
    ]


def _groupings(run: CollectedRun) -> str:
    return ", ".join(grouping_label(name) for name in run.row.groupings)


def _mean(cell: dict[Any, Any] | None, metric: str) -> str:
    if cell is None or pd.isna(cell["mean"]):
        return "missing"
    mark = "" if pd.isna(cell["beats_trivial"]) or cell["beats_trivial"] else NOT_BETTER
    few = f" ({cell['seeds']} of {cell['planned']} seeds)" if cell["seeds"] < cell["planned"] else ""
    return text.spread(cell["mean"], cell["low"], cell["high"], metric) + mark + few


def _difference(cell: dict[Any, Any] | None, metric: str) -> str:
    if cell is None:
        return text.MISSING
    if cell["same"]:
        return "same run"
    return text.difference(cell["delta"], cell["delta_low"], cell["delta_high"], metric)
