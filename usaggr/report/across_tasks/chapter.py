"""Chapter on groupings over all tasks: ranks, pairs and probability of improvement, all descriptive."""

from math import isnan

from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label, join_names
from usaggr.document.elements import Block, Cell, Items, Section, TextTable, escape_markdown
from usaggr.metrics import score_texts
from usaggr.report import table_cells
from usaggr.report.across_tasks.tables import FriedmanRow, ImprovementRow, PairRow, make_across
from usaggr.report.grouping_names import explain_label
from usaggr.report.material import Material, capitalize, make_paragraph, make_section

Row = FriedmanRow | PairRow | ImprovementRow
Lines = tuple[tuple[str | Cell, ...], ...]
"""Cells of a table in the report, line by line."""


def write_across(material: Material) -> Section | None:
    """Write the chapter; None if the study compares no groupings or no run has finished."""
    across = material.tables.compute(make_across)
    if not material.comparison.runs_done or not material.comparison.other_groupings or not across.improvement:
        return None
    intro = make_paragraph(
        "**Descriptive.** These statistics treat tasks as independent, but tasks that share a model are not. They use",
        "skill on the main metrics.",
        f"The groupings are {join_names([explain_label(name) for name in material.study.groupings])}.",
    )
    return make_section(
        "Across tasks",
        intro,
        _tabulate_improvement(material),
        *_list_friedman_tests(material),
        _tabulate_pairs(material),
    )


def _tabulate_improvement(material: Material) -> Block:
    names = ("scale", "tasks", "probability of improvement", "losses / verdicts", "negative-transfer rate")
    lines: Lines = tuple(
        (
            grouping_label(row.grouping), *_make_variant_cells(material, row), _scale_cell(row),
            table_cells.make_count_cell(row.tasks),
            table_cells.make_number_cell(_format_share(row.probability, row.low, row.high), row.probability),
            f"{row.losses} / {row.judged}",
            table_cells.make_number_cell(
                _format_share(row.negative_transfer, row.negative_low, row.negative_high), row.negative_transfer
            ),
        )
        for row in material.tables.compute(make_across).improvement
    )  # fmt: skip
    caption = (
        "Probability that a run of the grouping scores higher than a run of "
        f"{escape_markdown(material.reference)} on a task (ties count half; the interval covers seeds), and share of "
        "losses among verdicts (with Wilson's interval)."
    )
    return TextTable(
        ("grouping", *_list_variant_columns(material), *names), lines, names, name="improvement", caption=caption
    )


def _list_friedman_tests(material: Material) -> tuple[Block, ...]:
    items = []
    for row in material.tables.compute(make_across).friedman:
        where = capitalize(escape_markdown(material.describe_setting(row.variant, row.scale)))
        # A scale with too few tasks is named too, so that readers see why it has no test.
        if isnan(row.p):
            items.append(f"{where}: no test ({escape_markdown(row.reason)}).")
            continue
        ranks = ", ".join(
            f"{escape_markdown(grouping_label(name))} {row.ranks[name]:.2f}"
            for name in material.comparison.groupings  # the reference first, as in all tables
            if not isnan(row.ranks[name])
        )
        items.append(
            f"{where}: χ² = {row.statistic:.2f}, {row.df:g} degrees of freedom, p {text.format_p_value(row.p)} over "
            f"{row.tasks:g} tasks; mean ranks (1 is best) {ranks}."
        )
    head = make_paragraph("Friedman's test of equal ranks of all groupings:")
    return (head, Items(tuple(items))) if items and head is not None else ()


def _tabulate_pairs(material: Material) -> Block | None:
    names = ("scale", "tasks", "better", "worse", "ties", "median Δ skill", "p", "adjusted p")
    lines: Lines = tuple(
        (
            f"{grouping_label(row.second)} minus {grouping_label(row.first)}", *_make_variant_cells(material, row),
            _scale_cell(row), *map(table_cells.make_count_cell, (row.tasks, row.better, row.worse, row.ties)),
            table_cells.make_number_cell(score_texts.format_signed(row.median, "skill"), row.median),
            *map(table_cells.make_p_value_cell, (row.p, row.p_adjusted)),
        )
        for row in material.tables.compute(make_across).pairwise
    )  # fmt: skip
    caption = "Wilcoxon's signed-rank test of pairs of groupings over tasks; p is adjusted by Holm within a scale."
    columns = ("pair", *_list_variant_columns(material), *names)
    return TextTable(columns, lines, names, name="pairs", caption=caption) if lines else None


def _list_variant_columns(material: Material) -> tuple[str, ...]:
    """Return the column of the variant; none if the study has only one, which every line would repeat."""
    return ("variant",) if len(material.study.variants) > 1 else ()


def _make_variant_cells(material: Material, row: Row) -> tuple[str, ...]:
    return (str(row.variant),) if len(material.study.variants) > 1 else ()


def _scale_cell(row: Row) -> Cell:
    return Cell(f"{row.scale:g}", float(row.scale))


def _format_share(value: float, low: float, high: float) -> str:
    if isnan(value):
        return text.MISSING
    # A probability of improvement from one seed has no interval.
    bounds = "" if isnan(low) or isnan(high) else f" [{100 * low:.0f}, {100 * high:.0f}]"
    return f"{100 * value:.0f} %{bounds}"
