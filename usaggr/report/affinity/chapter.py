"""Chapter that compares estimated affinities with the measured changes in the trained blocks."""

from math import isnan

from usaggr.document.display_names import pluralize, scale_label
from usaggr.document.elements import Block, Cell, Items, Section, TextTable, escape_markdown
from usaggr.metrics import score_texts
from usaggr.report import table_cells
from usaggr.report.affinity.figure import LABELS
from usaggr.report.affinity.tables import AffinityTables, RankRow, make_affinity
from usaggr.report.grouping_names import explain_label
from usaggr.report.material import Material, make_paragraph, make_section

TITLE = "Did affinity predict the effect of sharing?"


def write_affinity(material: Material) -> Section | None:
    """Report how well each measure predicted the changes; None if the study's folder has no affinities."""
    tables = material.tables.compute(make_affinity)
    if tables.refused:
        return make_section(TITLE, make_paragraph(f"The affinities are not used: {escape_markdown(tables.refused)}."))
    if tables.head is None:
        return None
    head = tables.head
    intro = make_paragraph(
        f"`usaggr affinity` estimated how much tasks help each other, with {escape_markdown(scale_label(head.scale))} "
        "and",
        f"{'seeds' if len(head.seeds) > 1 else 'seed'} {', '.join(map(str, head.seeds))}.",
        "The predicted change of a task in a block is the mean affinity of the block's other tasks to it. The measured",
        f"change is its relative change from {explain_label(material.study.reference)} on the main metric. Each",
        "block that was trained in one stage counts once, including those of random groupings. In the literature, such",
        "estimates predict the gains from sharing poorly (arXiv:2301.02873); this chapter shows how well they do here.",
    )
    if not tables.points:
        nothing = make_paragraph("Nothing to compare: no block of several tasks and its reference have finished yet.")
        return make_section(TITLE, intro, nothing)
    results = Items(tuple(_describe_correlation(row) for row in tables.ranks))
    return make_section(TITLE, intro, results, _tabulate_correlations(tables), *material.make_pictures("affinity"))


def _describe_correlation(row: RankRow) -> str:
    title = f"**{LABELS[row.measure][0].upper()}{LABELS[row.measure][1:]}, {scale_label(row.scale)}.**"
    points = f"{pluralize(row.points, 'point')} of {pluralize(row.tasks, 'task')}"
    if isnan(row.rho):
        return f"{title} No rank correlation for {points}: at least 4 tasks with different values are needed."
    correlation = score_texts.format_difference(row.rho, row.low, row.high, "skill")
    if row.low > 0:
        meaning = "tasks with higher affinity gained more"
    elif row.high < 0:
        meaning = "tasks with higher affinity gained *less*"
    else:
        meaning = "not distinguishable from chance"
    return f"{title} Rank correlation {correlation} over {points}: {meaning}."


def _tabulate_correlations(tables: AffinityTables) -> Block:
    lines = tuple(
        (
            LABELS[row.measure], Cell(f"{row.scale:g}", float(row.scale)), table_cells.make_count_cell(row.points),
            table_cells.make_count_cell(row.tasks),
            table_cells.make_number_cell(score_texts.format_difference(row.rho, row.low, row.high, "skill"), row.rho),
        )
        for row in tables.ranks
    )  # fmt: skip
    numbers = ("scale", "points", "tasks", "rank correlation")
    caption = (
        "Spearman's rank correlation of predicted and measured changes over the tasks of all trained blocks, with an "
        "interval by bootstrap over tasks. The interval covers the choice of tasks, not seeds or test subjects, and is "
        "too narrow if there are few tasks. tables/affinity.csv contains the points."
    )
    return TextTable(("measure", *numbers), lines, numbers, name="affinity", caption=caption)
