"""Scores and differences of the main metrics: heat map, forest plots, and one table per scale."""

import math

import numpy as np

from usaggr.analysis.cell_rows import CellScore
from usaggr.analysis.compare_study import Scale
from usaggr.analysis.row_tables import group_rows
from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label
from usaggr.document.elements import Block, Cell, Section, TextTable, escape_markdown
from usaggr.metrics import score_texts
from usaggr.metrics.names import get_metric, get_metric_label
from usaggr.report import table_cells
from usaggr.report.grouping_names import explain_labels
from usaggr.report.material import Material, capitalize, make_paragraph, make_section
from usaggr.report.score_means import describe_mean
from usaggr.statistics.minimum_evidence import FEWEST_SUBJECTS


def write_differences(material: Material) -> Section | None:
    """Write the figures of all differences and one table per scale; return None if no run is finished."""
    if not material.comparison.runs_done:
        return None
    interval = text.format_share(material.study.confidence)
    explanation = (
        f"Groupings: {explain_labels(material.comparison.groupings)}. Scores are means over seeds ± half the "
        f"{interval} interval, on the whole test set. Δ is the difference from {escape_markdown(material.reference)}, "
        f"paired by seed, in the metric's own units, with its unadjusted {interval} interval. Positive is better, also "
        "for metrics where a lower score is better (↓). Marks are verdicts: ▲ gain, = no loss, ▼ loss, ? undecided. "
        "trivial is the score of a predictor that ignores the image. † marks a mean no better than that."
    )
    scales = tuple(
        make_section(capitalize(material.describe_setting(variant, scale)), _make_table(material, variant, scale))
        for variant, scale in material.comparison.scales_by_variant
    )
    return make_section(
        "Scores and differences", make_paragraph(explanation), *material.make_pictures("answer"), sections=scales
    )


def _make_table(material: Material, variant: str, scale: Scale) -> Block | None:
    """Return a table of tasks and groupings at one scale."""
    cells = material.comparison.get_main_cells(variant, scale)
    scores = {(row.task, row.grouping): row for row in cells}
    deltas = {(row.task, row.grouping): row for row in material.comparison.get_main_verdicts(variant, scale)}
    by_task = group_rows(cells, lambda row: row.task)
    present = {row.grouping for row in cells}
    groupings = [name for name in material.comparison.groupings if name in present]
    columns = ["task", "clinical group", "metric", "train", "trivial"]
    for name in groupings:
        label = grouping_label(name)
        columns += [label] if name == material.study.reference else [label, f"Δ {label}"]
    table = []
    for task in material.collection.tasks:
        if task in by_task:
            subjects = min(row.n_subjects for row in by_task[task])
            independent = material.comparison.pseudovalues.count_independent(task, subjects)
            line = _describe_task(by_task[task], is_few=independent < FEWEST_SUBJECTS)
            for name in groupings:
                line.append(table_cells.make_mean_cell(scores.get((task, name))))
                if name != material.study.reference:
                    line.append(table_cells.make_difference_cell(deltas.get((task, name))))
            table.append(tuple(line))
    if not table:
        return None
    suffix = f"-{variant}" if len(material.study.variants) > 1 else ""
    setting = escape_markdown(capitalize(material.describe_setting(variant, scale)))
    caption = f"Main metric of each task. {setting}. {table_cells.EXPLAINED_MARKS} {describe_mean(material)}".rstrip()
    return TextTable(
        tuple(columns), tuple(table), tuple(columns[3:]), name=f"scores-s{scale:g}{suffix}", caption=caption
    )


def _describe_task(cells: list[CellScore], is_few: bool) -> list[str | Cell]:
    """Return the first cells of a table row, which describe the task and are the same for all groupings.

    Args:
        cells: Scores of the task's main metric.
        is_few: Whether the task has too few test subjects for any verdict.
    """
    first = cells[0]
    n_train = max((row.n_train for row in cells if row.n_train is not None), default=None)
    trivial_scores = [row.trivial for row in cells if not math.isnan(row.trivial)]
    trivial = float(np.mean(trivial_scores)) if trivial_scores else math.nan
    arrow = "↑" if get_metric(first.metric).higher_is_better else "↓"
    few_mark = " (few)" if is_few else ""
    return [
        Cell(f"{first.task}{few_mark}"),
        Cell(first.clinical_group),
        Cell(f"{get_metric_label(first.metric, True)} {arrow}"),
        table_cells.make_count_cell(n_train),
        table_cells.make_number_cell(score_texts.format_score(trivial, first.metric), trivial),
    ]
