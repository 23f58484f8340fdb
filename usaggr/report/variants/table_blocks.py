"""Figure and tables of the chapter on variants: sizes, means over tasks, and differences on each task."""

from dataclasses import replace
from math import isnan

from usaggr.analysis.compare_study import Scale
from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label, pluralize, scale_label
from usaggr.document.elements import Block, Cell, Details, Section, TextTable, escape_markdown
from usaggr.metrics import score_texts
from usaggr.report import table_cells
from usaggr.report.material import Material, make_section
from usaggr.report.variants.tables import Level, VariantRow, make_variants
from usaggr.statistics.verdicts import ALPHA

DETECTABLE = "*"
"""Follows a difference whose adjusted p is below .05."""


def list_scales(material: Material) -> list[Scale]:
    """Return the study's scales, the largest first."""
    return sorted(material.study.scales, reverse=True)


def select_effects(material: Material, level: Level, scale: Scale, grouping: str | None = None) -> list[VariantRow]:
    """Return the effects of a level at a scale.

    Args:
        material: Tables and collected runs of the report.
        level: Level of the effects.
        scale: Scale of the effects.
        grouping: Grouping of the effects; None for all groupings.
    """
    return [
        row
        for row in material.tables.compute(make_variants).effects
        if row.level == level and row.scale == scale and grouping in (None, row.grouping)
    ]


def is_detectable(row: VariantRow) -> bool:
    """Return true if a difference is detectable: its p, adjusted by Holm, is below .05."""
    # False for NaN, the p of a difference without a test.
    return bool(row.p_adjusted < ALPHA)


def format_level(level: float) -> str:
    """Return a level of a test without its leading zero, such as .05."""
    return f"{level:g}".removeprefix("0")


def write_tables(material: Material) -> Section | None:
    """Write the section of the figure and all tables; None if only the first variant has planned runs."""
    overall = _tabulate_means(material)
    if overall is None:
        return None
    details = [
        _tabulate_tasks(material, variant, scale)
        for variant in material.study.variants
        for scale in list_scales(material)
    ]  # fmt: skip
    return make_section(
        "All variants and groupings",
        *material.make_pictures("variants"),
        _tabulate_changes(material),
        overall,
        *details,
    )


def _tabulate_changes(material: Material) -> Block:
    """Return a table of the variants' changes and sizes."""
    capacities = material.tables.compute(make_variants).capacities
    lines = []
    for name, overrides in material.study.variants.items():
        size = capacities[name]
        ratio = text.MISSING if size.ratio is None else f"{size.ratio:.2f} ×"
        changes = " ".join(overrides) if overrides else "no change"
        numbers = (table_cells.make_count_cell(size.active), table_cells.make_number_cell(ratio, size.ratio))
        lines.append((Cell(name), Cell(changes), *numbers))
    names = ("active parameters", "relative to the first")
    caption = (
        "Changes and sizes of the variants. Active parameters are those used for the prediction of one task, in the "
        "largest model. The last column divides them by those of the first variant on the same tasks; it shows the "
        "tasks where this ratio is farthest from 1."
    )
    return TextTable(("variant", "changes", *names), tuple(lines), names, name="variant-sizes", caption=caption)


def _tabulate_means(material: Material) -> Block | None:
    """Return a table of means over tasks, with a row per scale, grouping and variant."""
    several = len(material.study.scales) > 1
    lines = []
    for scale in list_scales(material):
        sharing = {(row.grouping, row.variant): row for row in select_effects(material, "interaction", scale)}
        for row in select_effects(material, "all", scale):
            # The reference has no change of sharing, because sharing is measured against it.
            other = sharing.get((row.grouping, row.variant))
            cells = [
                *([Cell(f"{scale:g}", float(scale))] if several else []),
                Cell(_make_label(row)),
                Cell(row.variant),
            ]
            difference = (_format_difference(row), table_cells.make_p_value_cell(row.p_adjusted))
            changed = (
                _format_difference(other),
                table_cells.make_p_value_cell(None if other is None else other.p_adjusted),
            )
            counts = (table_cells.make_count_cell(row.tasks), table_cells.make_count_cell(row.seeds))
            lines.append((*cells, *difference, *changed, *counts, Cell(_join_remarks(row, other))))
    if not lines:
        return None
    first, reference = next(iter(material.study.variants)), material.reference
    numbers = ("Δ skill", "adjusted p", "change of sharing", "its adjusted p", "tasks", "seeds")
    caption = (
        f"Δ skill is the mean difference in skill from {escape_markdown(first)} under the same grouping. Change of "
        f"sharing is the grouping's difference from {escape_markdown(reference)} under the variant, minus the same "
        f"difference under {escape_markdown(first)}. Both have unadjusted intervals. {DETECTABLE} marks p below "
        f"{format_level(ALPHA)}, adjusted by Holm over the variants of one grouping and scale."
    )
    columns = (*(["scale"] if several else []), "grouping", "variant", *numbers, "remark")
    return _fill_remarks(TextTable(columns, tuple(lines), numbers, name="variants", caption=caption))


def _join_remarks(row: VariantRow, other: VariantRow | None) -> str:
    """Return the remarks on both differences of a row, only once if they are the same."""
    if other is None:
        return row.note
    tasks = pluralize(other.tasks, "task") if 0 < other.tasks < row.tasks else ""
    note = other.note if other.note != row.note else ""
    sharing = ", ".join(remark for remark in (tasks, note) if remark)
    return "; ".join(remark for remark in (row.note, f"sharing: {sharing}" if sharing else "") if remark)


def _tabulate_tasks(material: Material, variant: str, scale: Scale) -> Block | None:
    """Return a table of a variant's differences, with a row per task and a column per grouping."""
    effects = {(r.task, r.grouping): r for r in select_effects(material, "task", scale) if r.variant == variant}
    if not any(not isnan(row.delta_skill) for row in effects.values()):
        return None
    groupings = [name for name in material.comparison.groupings if any(grouping == name for _, grouping in effects)]
    labels = [f"Δ {grouping_label(name)}" for name in groupings]
    lines = []
    for task in material.collection.tasks:
        task_effects = [effects.get((task, name)) for name in groupings]
        if any(task_effects):
            notes = [note for row in task_effects if row is not None for note in row.note.split("; ")]
            remarks = "; ".join(dict.fromkeys(filter(None, notes)))
            kind = material.collection.data.tasks[task].task.type
            lines.append((Cell(task), Cell(kind), *map(_format_difference, task_effects), Cell(remarks)))
    first, where = next(iter(material.study.variants)), scale_label(scale)
    caption = (
        f"Difference in skill of {escape_markdown(variant)} from {escape_markdown(first)} on each task, "
        f"{escape_markdown(where)}. {DETECTABLE} marks p below {format_level(ALPHA)}, adjusted by Holm over the tasks "
        "of a column."
    )
    table = TextTable(
        ("task", "type", *labels, "remark"), tuple(lines), tuple(labels), name=f"variant-{variant}-s{scale:g}",
        caption=caption,
    )  # fmt: skip
    return Details(
        f"Task by task: {escape_markdown(variant)} minus {escape_markdown(first)}, {escape_markdown(where)}",
        (_fill_remarks(table),),
    )


def _fill_remarks(table: TextTable) -> TextTable:
    """Return a table without its last column, the remarks, if all are empty; else with dashes for empty ones."""
    has_remark = [bool(row[-1].text) for row in table.rows if isinstance(row[-1], Cell)]
    if not any(has_remark):
        return replace(table, columns=table.columns[:-1], rows=tuple(row[:-1] for row in table.rows))
    pairs = zip(table.rows, has_remark, strict=True)
    return replace(table, rows=tuple(row if remark else (*row[:-1], Cell(text.MISSING)) for row, remark in pairs))


def _format_difference(row: VariantRow | None) -> Cell:
    if row is None or isnan(row.delta_skill):
        return Cell(text.MISSING)
    difference = score_texts.format_difference(row.delta_skill, row.low, row.high, "skill")
    return table_cells.make_number_cell(
        f"{difference} {DETECTABLE}" if is_detectable(row) else difference, row.delta_skill
    )


def _make_label(row: VariantRow) -> str:
    return grouping_label(row.grouping)
