"""Section on invalid runs: those that collapsed, did not converge or diverged, and the counts without their cells.

Invalid runs are counted like others; the section shows how the counts change without them.
"""

import pandas as pd

from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label, join_names, pluralize
from usaggr.document.elements import Block, Cell, Paragraph, Section, TextTable, escape_markdown
from usaggr.report import table_cells
from usaggr.report.material import Material, make_paragraph, make_section

_MOST_ROWS = 40
"""Largest number of invalid runs in the table."""
_STATES = ("collapsed", "unconverged", "diverged")
_LABELS = {"collapsed": "collapsed", "unconverged": "not converged", "diverged": "diverged"}


def write_validity(material: Material) -> Section | None:
    """Write the section on the validity of runs and cells; None if no run has finished."""
    if not material.comparison.runs_done:
        return None
    return make_section(
        "Validity of runs",
        _write_introduction(material),
        _tabulate_invalid_runs(material),
        *_tabulate_counts(material),
        make_paragraph(_count_above_trivial(material)),
        _tabulate_below_trivial(material),
    )


def _write_introduction(material: Material) -> Block | None:
    table = material.tables.comparison.convergence
    if table.empty:
        return None
    # The nullable type, because NaN as a plain bool is true.
    counts = {name: int(table[name].astype("boolean").fillna(False).sum()) for name in _STATES}
    # A missing state means that the run could not be checked, not that it is valid.
    unknown = int(table["unconverged"].isna().sum())
    summary = join_names([f"{number:,} {_LABELS[name]}" for name, number in counts.items()])
    unchecked = ""
    if unknown == len(table):
        unchecked = "No validation curve is long enough to check whether its run converged."
    elif unknown:
        unchecked = f"{unknown:,} of the validation curves are too short to check whether the run converged."
    return make_paragraph(
        f"Each finished run was checked on each of its tasks ({len(table):,} checks): {summary}.",
        "Collapsed: neither the validation nor the test score is better than that of the trivial predictor, which "
        "ignores the image.",
        "Not converged: validation skill still rose by more than "
        f"{material.study.convergence_margin:g} in the last quarter of training.",
        "Diverged: the run ended far below its own best validation score.",
        "A cell has the label that most of its seeds have.",
        unchecked,
    )


def _tabulate_invalid_runs(material: Material) -> Block | None:
    """Return a table of runs that collapsed, did not converge or diverged, one row per task."""
    table = material.tables.comparison.convergence
    invalid = table[table[list(_STATES)].astype("boolean").fillna(False).any(axis=1)]
    runs = {run.row.fingerprint: run for run in material.collection.runs}
    lines = []
    for row in invalid.to_dict("records"):
        run = runs[row["fingerprint"]]
        labels = ", ".join(grouping_label(name) for name in run.row.groupings)
        problems = ", ".join(_LABELS[name] for name in _STATES if not table_cells.is_missing(row[name]) and row[name])
        scale = table_cells.make_number_cell(f"{run.row.scale:g}", run.row.scale)
        lines.append(
            (
                Cell(row["task"]),
                Cell(labels),
                scale,
                Cell(run.row.variant),
                table_cells.make_count_cell(run.row.seed),
                Cell(problems),
            )
        )
    if not lines:
        return None
    columns = ("task", "groupings", "scale", "variant", "seed", "problem")
    caption = "Invalid runs, with the task on which each is invalid."
    if len(lines) > _MOST_ROWS:
        caption = f"The first {_MOST_ROWS} of {len(lines):,} invalid runs, with the task on which each is invalid."
    return TextTable(columns, tuple(lines[:_MOST_ROWS]), ("scale", "seed"), name="validity", caption=caption)


def _tabulate_counts(material: Material) -> tuple[Block | None, ...]:
    """Return counts and delta_m over all cells, and without cells that are invalid under either grouping."""
    table = material.comparison.summary_table
    compared = table[(table["grouping"] != material.study.reference) & (table["tasks"] > 0)]
    affected = compared[compared["tasks_valid"] < compared["tasks"]]
    if compared.empty:
        return ()
    if affected.empty:
        return (
            Paragraph(
                "No compared cell has a collapsed seed or is unconverged, so the counts without such cells are the "
                "same."
            ),
        )
    lines = []
    for row in affected.to_dict("records"):
        # The summary has the same columns twice: over all cells, and with this suffix over the valid ones.
        for suffix, which in (("", "all"), ("_valid", "valid")):
            low, high = row[f"low{suffix}"], row[f"high{suffix}"]
            change = table_cells.make_number_cell(
                text.format_percent(row[f"delta_m{suffix}"], low, high), row[f"delta_m{suffix}"]
            )
            names = (f"tasks{suffix}", *(f"{name}{suffix}" for name in ("gain", "no_loss", "loss", "undecided")))
            counts = [table_cells.make_count_cell(row[name]) for name in names]
            scale = table_cells.make_number_cell(f"{row['scale']:g}", row["scale"])
            invalid = [
                table_cells.make_count_cell(row[name]) if not suffix else Cell("–")
                for name in ("collapsed", "unconverged")
            ]
            label = Cell(grouping_label(row["grouping"]))
            lines.append((label, scale, Cell(row["variant"]), Cell(which), counts[0], change, *counts[1:], *invalid))
    numbers = ("tasks", "delta_m", "▲ gain", "= no loss", "▼ loss", "? undecided", "collapsed", "not converged")
    caption = (
        "Counts over all cells and over valid cells. A cell is valid if no seed collapsed and it is not unconverged, "
        "under the grouping and under the reference. This selects cells by their outcome, so that counts over valid "
        "cells are descriptive. The column collapsed counts cells that collapse under the grouping but "
        f"not under {escape_markdown(material.reference)}. No loss includes verdicts that hold only apart from rare "
        "failures."
    )
    columns = ("grouping", "scale", "variant", "cells", *numbers)
    return (TextTable(columns, tuple(lines), ("scale", *numbers), name="valid", caption=caption),)


def _make_main_metric_cells(material: Material) -> pd.DataFrame:
    cells = material.comparison.cell_table
    return cells[cells["main"].astype(bool) & cells["beats_trivial"].notna()]


def _count_above_trivial(material: Material) -> str:
    main = _make_main_metric_cells(material)
    return (
        f"In {int(main['beats_trivial'].sum()):,} of {pluralize(len(main), 'cell')} (task × grouping × scale) with a "
        "score, the mean of the main metric is better than that of the trivial predictor."
    )


def _tabulate_below_trivial(material: Material) -> Block | None:
    """Return a table of the tasks that do not beat the trivial predictor; None if all tasks do."""
    lines, is_any_below = [], False
    for (variant, scale, grouping), cells in _make_main_metric_cells(material).groupby(
        ["variant", "scale", "grouping"], sort=False
    ):
        failing = cells.loc[~cells["beats_trivial"].astype(bool), "task"].tolist()
        is_any_below |= bool(failing)
        better = f"{len(cells) - len(failing)} of {len(cells)}"
        lines.append((grouping_label(str(grouping)), f"{scale:g}", str(variant), better, ", ".join(failing) or "none"))
    better_column = "tasks better than trivial"
    columns = ("grouping", "scale", "variant", better_column, "tasks not better")
    return TextTable(columns, tuple(lines), ("scale", better_column)) if is_any_below else None
