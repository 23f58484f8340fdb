"""Variants against the study's first one: the picture, means over tasks, and what is folded away task by task."""

from dataclasses import replace
from math import isnan

from usaggr.analysis.compare_study import Scale
from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label, plural, scale_label
from usaggr.document.elements import Block, Cell, Details, Section, TextTable, literal
from usaggr.report import table_cells
from usaggr.report.material import Material, section
from usaggr.report.variants.tables import Level, VariantRow, make_variants
from usaggr.statistics.verdicts import ALPHA

CERTAIN = "*"
"""Follows a difference whose adjusted p is under .05."""


def scales_of(material: Material) -> list[Scale]:
    """The largest first."""
    return sorted(material.study.scales, reverse=True)


def rows_of(material: Material, level: Level, scale: Scale, grouping: str | None = None) -> list[VariantRow]:
    """Return the effects of a level at a scale.

    Args:
        material: of the report.
        level: of the rows.
        scale: of the rows.
        grouping: of the rows; None for all groupings.
    """
    return [
        row
        for row in material.tables.of(make_variants).effects
        if row.level == level and row.scale == scale and grouping in (None, row.grouping)
    ]


def is_certain(row: VariantRow) -> bool:
    """Whether a difference is told from chance after Holm's adjustment."""
    return bool(row.p_adjusted < ALPHA)


def short(level: float) -> str:
    """A level of a test as it is written: .05."""
    return f"{level:g}".removeprefix("0")


def write_tables(material: Material) -> Section | None:
    """The figure and all tables; none without a planned run of another variant than the first."""
    overall = _overall(material)
    if overall is None:
        return None
    folded = [
        _by_task(material, variant, scale)
        for variant in material.study.variants
        for scale in scales_of(material)
    ]  # fmt: skip
    return section("All variants and groupings", *material.pictures("variants"), _changes(material), overall, *folded)


def _changes(material: Material) -> Block:
    """What each variant is, and its size."""
    capacities = material.tables.of(make_variants).capacities
    rows = []
    for name, overrides in material.study.variants.items():
        of = capacities[name]
        ratio = text.MISSING if of.ratio is None else f"{of.ratio:.2f} ×"
        changes = " ".join(overrides) if overrides else "no change"
        rows.append((Cell(name), Cell(changes), table_cells.count(of.active), table_cells.number(ratio, of.ratio)))
    names = ("active parameters", "of the first's")
    caption = (
        "The variants: what they change, the parameters that take part in a prediction for one task (of the largest "
        "model), and how many these are beside the first variant's on the same tasks, where they differ most."
    )
    return TextTable(("variant", "changes", *names), tuple(rows), names, name="variant-sizes", caption=caption)


def _overall(material: Material) -> Block | None:
    """Means over tasks: a row a scale, grouping and variant."""
    several = len(material.study.scales) > 1
    rows = []
    for scale in scales_of(material):
        sharing = {(row.grouping, row.variant): row for row in rows_of(material, "interaction", scale)}
        for row in rows_of(material, "all", scale):
            other = sharing.get((row.grouping, row.variant))
            cells = [*([Cell(f"{scale:g}", float(scale))] if several else []), Cell(_label(row)), Cell(row.variant)]
            own = (_mark(row), table_cells.p_value(row.p_adjusted))
            changed = (_mark(other), table_cells.p_value(None if other is None else other.p_adjusted))
            counts = (table_cells.count(row.tasks), table_cells.count(row.seeds))
            rows.append((*cells, *own, *changed, *counts, Cell(_remark(row, other))))
    if not rows:
        return None
    against, reference = next(iter(material.study.variants)), material.reference
    numbers = ("Δ skill", "adjusted p", "change of sharing", "its adjusted p", "tasks", "seeds")
    caption = (
        f"Mean difference in skill from {literal(against)} under the same grouping, and by how much the grouping's "
        f"difference from {literal(reference)} changes, each with its unadjusted interval; {CERTAIN} marks adjusted p "
        f"under {short(ALPHA)}, over the variants of one grouping and scale."
    )
    columns = (*(["scale"] if several else []), "grouping", "variant", *numbers, "remark")
    return _remarked(TextTable(columns, tuple(rows), numbers, name="variants", caption=caption))


def _remark(row: VariantRow, other: VariantRow | None) -> str:
    """What is to be known of both differences of a row; once, where it is the same."""
    own = row.note
    if other is None:
        return own
    of_sharing = other.note
    counted = plural(other.tasks, "task") if 0 < other.tasks < row.tasks else ""
    said = ", ".join(part for part in (counted, of_sharing if of_sharing != own else "") if part)
    return "; ".join(part for part in (own, f"sharing: {said}" if said else "") if part)


def _by_task(material: Material, variant: str, scale: Scale) -> Block | None:
    """A variant's difference on each task, a column a grouping."""
    found = {(r.task, r.grouping): r for r in rows_of(material, "task", scale) if r.variant == variant}
    if not any(not isnan(row.delta_skill) for row in found.values()):
        return None
    groupings = [name for name in material.comparison.groupings if any(grouping == name for _, grouping in found)]
    labels = [f"Δ {grouping_label(name)}" for name in groupings]
    rows = []
    for task in material.collection.tasks:
        of_task = [found.get((task, name)) for name in groupings]
        if any(of_task):
            notes = [row.note.split("; ") for row in of_task if row is not None]
            said = dict.fromkeys(part for of_row in notes for part in of_row if part)
            kind = material.collection.data.tasks[task].task.type
            rows.append((Cell(task), Cell(kind), *map(_mark, of_task), Cell("; ".join(said))))
    against, where = next(iter(material.study.variants)), scale_label(scale)
    caption = (
        f"Difference in skill of {literal(variant)} from {literal(against)} on each task, {literal(where)}; "
        f"{CERTAIN} marks adjusted p under {short(ALPHA)}, over the tasks of a column."
    )
    table = TextTable(
        ("task", "type", *labels, "remark"), tuple(rows), tuple(labels), name=f"variant-{variant}-s{scale:g}",
        caption=caption,
    )  # fmt: skip
    return Details(
        f"Task by task: {literal(variant)} against {literal(against)}, {literal(where)}", (_remarked(table),)
    )


def _remarked(table: TextTable) -> TextTable:
    """Without the last column, of remarks, where no row has one; with dashes where some have."""
    said = [bool(row[-1].text) for row in table.rows if isinstance(row[-1], Cell)]
    if not any(said):
        return replace(table, columns=table.columns[:-1], rows=tuple(row[:-1] for row in table.rows))
    pairs = zip(table.rows, said, strict=True)
    return replace(table, rows=tuple(row if some else (*row[:-1], Cell(text.MISSING)) for row, some in pairs))


def _mark(row: VariantRow | None) -> Cell:
    if row is None or isnan(row.delta_skill):
        return Cell(text.MISSING)
    said = text.difference(row.delta_skill, row.low, row.high, "skill")
    return table_cells.number(f"{said} {CERTAIN}" if is_certain(row) else said, row.delta_skill)


def _label(row: VariantRow) -> str:
    return grouping_label(row.grouping)
