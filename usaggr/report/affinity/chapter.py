"""Did affinity predict? Estimated affinities beside what was measured of the blocks that were trained."""

from math import isnan

from usaggr.document import numbers as text
from usaggr.document.display_names import plural, scale_label
from usaggr.document.elements import Block, Cell, Items, Section, TextTable, literal
from usaggr.report import table_cells
from usaggr.report.affinity.figure import LABELS
from usaggr.report.affinity.tables import AffinityTables, RankRow, make_affinity
from usaggr.report.material import Material, paragraph, section

TITLE = "Did affinity predict?"


def write_affinity(material: Material) -> Section | None:
    """How well each measure has predicted; none where the study's folder has no affinities."""
    tables = material.tables.of(make_affinity)
    if tables.refused:
        return section(TITLE, paragraph(f"No: the affinities are not used. {literal(tables.refused)}."))
    if tables.head is None:
        return None
    head = tables.head
    intro = paragraph(
        f"`usaggr affinity` has estimated on {literal(scale_label(head.scale))}, seeds",
        f"{', '.join(map(str, head.seeds))}, how tasks go together.",
        "Predicted for a task of a block is the mean affinity that the block's other tasks have on it, measured is its",
        f"relative change from {literal(material.reference)} on the main metric. Blocks of one stage are counted, each",
        "once, those drawn by lot too. The literature finds that such scores predict poorly what tasks gain from each "
        "other (arXiv:2301.02873); here is how well they did on these data.",
    )
    if not tables.points:
        nothing = paragraph("No block of several tasks is trained yet beside its reference: nothing to compare.")
        return section(TITLE, intro, nothing)
    said = Items(tuple(_sentence(row) for row in tables.ranks))
    return section(TITLE, intro, said, _table(tables), *material.pictures("affinity"))


def _sentence(row: RankRow) -> str:
    what = f"**{LABELS[row.measure][0].upper()}{LABELS[row.measure][1:]}, {scale_label(row.scale)}.**"
    counted = f"{plural(row.points, 'point')} of {plural(row.tasks, 'task')}"
    if isnan(row.rho):
        return f"{what} With {counted} there is no rank correlation: 4 tasks that differ are needed."
    found = text.difference(row.rho, row.low, row.high, "skill")
    if row.low > 0:
        said = "higher affinity went with more gain"
    elif row.high < 0:
        said = "higher affinity went with *less* gain"
    else:
        said = "nothing certain: by chance alone it may be as much"
    return f"{what} Rank correlation {found} over {counted}: {said}."


def _table(tables: AffinityTables) -> Block:
    rows = tuple(
        (
            LABELS[row.measure], Cell(f"{row.scale:g}", float(row.scale)), table_cells.count(row.points),
            table_cells.count(row.tasks),
            table_cells.number(text.difference(row.rho, row.low, row.high, "skill"), row.rho),
        )
        for row in tables.ranks
    )  # fmt: skip
    numbers = ("scale", "points", "tasks", "rank correlation")
    caption = (
        "Spearman's rank correlation of predicted and measured, over the tasks of all trained blocks, with an interval "
        "by bootstrap over tasks. It covers which tasks there are, not seeds or test subjects, and is too narrow where "
        "tasks are few. tables/affinity.csv has the points."
    )
    return TextTable(("measure", *numbers), rows, numbers, name="affinity", caption=caption)
