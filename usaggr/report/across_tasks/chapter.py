"""Groupings over all tasks at once: ranks, pairs, chances of doing better. Descriptive."""

from math import isnan

from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label
from usaggr.document.elements import Block, Cell, Items, Section, TextTable, literal
from usaggr.report import table_cells
from usaggr.report.across_tasks.tables import FriedmanRow, ImprovementRow, PairRow, make_across
from usaggr.report.material import Material, capital, paragraph, section

Row = FriedmanRow | PairRow | ImprovementRow
Rows = tuple[tuple[str | Cell, ...], ...]


def write_across(material: Material) -> Section | None:
    """Friedman's test, pairs of groupings, probability of improvement; none where nothing is compared."""
    across = material.tables.of(make_across)
    if not material.comparison.runs_done or not material.comparison.others or not across.improvement:
        return None
    intro = paragraph(
        "**Descriptive.** These treat tasks as independent, which they are not where one model serves several of them;",
        "they are over the skill of the main metrics.",
    )
    return section("Across tasks", intro, _improvement(material), *_friedman(material), _pairs(material))


def _improvement(material: Material) -> Block:
    names = ("scale", "tasks", "probability of improvement", "losses / verdicts", "negative-transfer rate")
    rows: Rows = tuple(
        (
            grouping_label(row.grouping), *_variant(material, row), _scale(row), table_cells.count(row.tasks),
            table_cells.number(_shares(row.probability, row.low, row.high), row.probability),
            f"{row.losses} / {row.judged}",
            table_cells.number(
                _shares(row.negative_transfer, row.negative_low, row.negative_high), row.negative_transfer
            ),
        )
        for row in material.tables.of(make_across).improvement
    )  # fmt: skip
    caption = (
        f"How probable it is that a run of the grouping beats one of {literal(material.reference)} on a task (ties "
        "count half; its interval covers seeds), and the share of losses among verdicts (Wilson's interval)."
    )
    return TextTable(("grouping", *_variants(material), *names), rows, names, name="improvement", caption=caption)


def _friedman(material: Material) -> tuple[Block, ...]:
    said = []
    for row in material.tables.of(make_across).friedman:
        where = capital(literal(material.where(row.variant, row.scale)))
        if isnan(row.p):
            said.append(f"{where}: no test, since {literal(row.reason)}.")
            continue
        ranks = ", ".join(
            f"{literal(grouping_label(name))} {row.ranks[name]:.2f}"
            for name in material.comparison.groupings
            if not isnan(row.ranks[name])
        )
        said.append(
            f"{where}: χ² = {row.statistic:.2f}, {row.df:g} degrees of freedom, p {text.p_value(row.p)} over "
            f"{row.tasks:g} tasks; mean ranks (1 is best) {ranks}."
        )
    head = paragraph("Friedman's test that all groupings rank alike:")
    return (head, Items(tuple(said))) if said and head is not None else ()


def _pairs(material: Material) -> Block | None:
    names = ("scale", "tasks", "better", "worse", "ties", "median Δ skill", "p", "p, adjusted")
    rows: Rows = tuple(
        (
            f"{grouping_label(row.second)} against {grouping_label(row.first)}", *_variant(material, row),
            _scale(row), *map(table_cells.count, (row.tasks, row.better, row.worse, row.ties)),
            table_cells.number(text.signed(row.median, "skill"), row.median),
            *map(table_cells.p_value, (row.p, row.p_adjusted)),
        )
        for row in material.tables.of(make_across).pairwise
    )  # fmt: skip
    caption = "Wilcoxon's signed-rank test of pairs of groupings over tasks, adjusted by Holm within a scale."
    columns = ("pair", *_variants(material), *names)
    return TextTable(columns, rows, names, name="pairs", caption=caption) if rows else None


def _variants(material: Material) -> tuple[str, ...]:
    return ("variant",) if len(material.study.variants) > 1 else ()


def _variant(material: Material, row: Row) -> tuple[str, ...]:
    return (str(row.variant),) if len(material.study.variants) > 1 else ()


def _scale(row: Row) -> Cell:
    return Cell(f"{row.scale:g}", float(row.scale))


def _shares(value: float, low: float, high: float) -> str:
    if isnan(value):
        return text.MISSING
    bounds = "" if isnan(low) or isnan(high) else f" [{100 * low:.0f}, {100 * high:.0f}]"
    return f"{100 * value:.0f} %{bounds}"
