"""Which runs have collapsed or not converged, and what the counts are without their cells.

Nothing is dropped in silence.
"""

import pandas as pd

from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label, listed, plural
from usaggr.document.elements import Block, Cell, Paragraph, Section, TextTable, literal
from usaggr.report import table_cells
from usaggr.report.material import Material, paragraph, section

_MOST = 40
_STATES = ("collapsed", "unconverged", "diverged")
_SAID = {"collapsed": "collapsed", "unconverged": "not converged", "diverged": "diverged"}


def write_validity(material: Material) -> Section | None:
    """Validity of runs and cells; none where no run is done."""
    if not material.comparison.runs_done:
        return None
    return section(
        "Validity of runs",
        _head(material),
        _faulty(material),
        *_twice(material),
        paragraph(_trivial_words(material)),
        _trivial(material),
    )


def _head(material: Material) -> Block | None:
    table = material.tables.comparison.convergence
    if table.empty:
        return None
    counts = {name: int(table[name].astype("boolean").fillna(False).sum()) for name in _STATES}
    unknown = int(table["unconverged"].isna().sum())
    said = listed([f"{number:,} {_SAID[name]}" for name, number in counts.items()])
    tail = ""
    if unknown == len(table):
        tail = "No curve is long enough to tell whether a run had converged."
    elif unknown:
        tail = f"{unknown:,} of the curves are too short to tell whether the run had converged."
    return paragraph(
        f"Each finished run was checked on each of its tasks ({len(table):,} in all): {said}.",
        "Collapsed: neither its validation nor its test score is better than the trivial predictor's.",
        "Not converged: its skill on validation still rose by more than "
        f"{material.study.convergence_margin:g} in the last quarter. A cell is collapsed or not converged if most of "
        "its seeds are.",
        tail,
    )


def _faulty(material: Material) -> Block | None:
    """Runs with a fault, task by task."""
    table = material.tables.comparison.convergence
    bad = table[table[list(_STATES)].astype("boolean").fillna(False).any(axis=1)]
    runs = {run.row.fingerprint: run for run in material.collection.runs}
    rows = []
    for row in bad.to_dict("records"):
        run = runs[row["fingerprint"]]
        labels = ", ".join(grouping_label(name) for name in run.row.groupings)
        faults = ", ".join(_SAID[name] for name in _STATES if not table_cells.is_missing(row[name]) and row[name])
        scale = table_cells.number(f"{run.row.scale:g}", run.row.scale)
        rows.append(
            (
                Cell(row["task"]),
                Cell(labels),
                scale,
                Cell(run.row.variant),
                table_cells.count(run.row.seed),
                Cell(faults),
            )
        )
    if not rows:
        return None
    columns = ("task", "groupings", "scale", "variant", "seed", "fault")
    caption = "Runs with a fault, on the task on which they have it."
    if len(rows) > _MOST:
        caption = f"The first {_MOST} of {len(rows):,} runs with a fault, on the task on which they have it."
    return TextTable(columns, tuple(rows[:_MOST]), ("scale", "seed"), name="validity", caption=caption)


def _twice(material: Material) -> tuple[Block | None, ...]:
    """Counts and delta_m over all cells, and without those where either side is collapsed or has not converged."""
    table = material.comparison.summary_table
    others = table[(table["grouping"] != material.study.reference) & (table["tasks"] > 0)]
    touched = others[others["tasks_valid"] < others["tasks"]]
    if others.empty:
        return ()
    if touched.empty:
        return (
            Paragraph("No cell that is compared is collapsed or unconverged, so that all counts hold as they are."),
        )
    rows = []
    for row in touched.to_dict("records"):
        for suffix, which in (("", "all"), ("_valid", "valid")):
            low, high = row[f"low{suffix}"], row[f"high{suffix}"]
            change = table_cells.number(text.percent(row[f"delta_m{suffix}"], low, high), row[f"delta_m{suffix}"])
            names = (f"tasks{suffix}", *(f"{name}{suffix}" for name in ("gain", "no_loss", "loss", "undecided")))
            counts = [table_cells.count(row[name]) for name in names]
            scale = table_cells.number(f"{row['scale']:g}", row["scale"])
            faults = [
                table_cells.count(row[name]) if not suffix else Cell("–") for name in ("collapsed", "unconverged")
            ]
            label = Cell(grouping_label(row["grouping"]))
            rows.append((label, scale, Cell(row["variant"]), Cell(which), counts[0], change, *counts[1:], *faults))
    numbers = ("tasks", "delta_m", "▲ gain", "= no loss", "▼ loss", "? undecided", "collapsed", "not converged")
    caption = (
        "Counts over all cells, and over valid ones, where neither the grouping nor the reference has collapsed or "
        f"not converged. Collapsed counts cells that collapse where {literal(material.reference)} does not."
    )
    columns = ("grouping", "scale", "variant", "cells", *numbers)
    return (TextTable(columns, tuple(rows), ("scale", *numbers), name="valid", caption=caption),)


def _main(material: Material) -> pd.DataFrame:
    cells = material.comparison.cell_table
    return cells[cells["main"].astype(bool) & cells["beats_trivial"].notna()]


def _trivial_words(material: Material) -> str:
    main = _main(material)
    return (
        f"In {int(main['beats_trivial'].sum()):,} of {plural(len(main), 'cell')} (task × grouping × scale) with a "
        "score, the mean of the main metric is better than that of the trivial predictor, which ignores the image."
    )


def _trivial(material: Material) -> Block | None:
    """How many cells beat the trivial predictor, and which do not; nothing where all do."""
    rows, any_below = [], False
    for (variant, scale, grouping), cells in _main(material).groupby(["variant", "scale", "grouping"], sort=False):
        below = cells.loc[~cells["beats_trivial"].astype(bool), "task"].tolist()
        any_below |= bool(below)
        beaten = f"{len(cells) - len(below)} of {len(cells)}"
        rows.append((grouping_label(str(grouping)), f"{scale:g}", str(variant), beaten, ", ".join(below) or "none"))
    columns = ("grouping", "scale", "variant", "tasks that beat it", "tasks that do not")
    return TextTable(columns, tuple(rows), ("scale", "tasks that beat it")) if any_below else None
