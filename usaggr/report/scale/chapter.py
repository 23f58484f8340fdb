"""How sharing depends on the amount of training data, on task type and on clinical group."""

from dataclasses import replace
from typing import Protocol

from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label, listed
from usaggr.document.elements import Block, Cell, Items, Section, TextTable, literal
from usaggr.report import table_cells
from usaggr.report.material import Material, paragraph, section
from usaggr.report.scale.slopes import ScaleCrossing, Slope
from usaggr.report.scale.tables import make_interplay
from usaggr.statistics.claims import Quantity
from usaggr.statistics.group_spread import Spread

Rows = tuple[tuple[str | Cell, ...], ...]


class _Setting(Protocol):
    """A row of a grouping and variant."""

    @property
    def grouping(self) -> str: ...

    @property
    def variant(self) -> str: ...


def write_interplay(material: Material) -> Section | None:
    """Sections on data scale, types and groups; none where nothing is compared."""
    if not material.comparison.runs_done or not material.comparison.others:
        return None
    parts = (_data_scale(material), _types(material), _groups(material))
    intro = paragraph(
        "Means are over fixed tasks, in skill or as relative change; their intervals take seeds and test subjects",
        "jointly over all tasks of a mean, and are not adjusted. Tasks whose model is the reference's own run are left",
        "out.",
    )
    return section("Data scale, task types and clinical groups", intro, sections=parts) if any(parts) else None


def _data_scale(material: Material) -> Section | None:
    pictures = material.pictures("scale")
    slopes = [row for row in material.tables.of(make_interplay).slopes if row.unit == "skill" and row.level != "task"]
    if not slopes:
        said = paragraph(
            "Whether sharing depends on the amount of data is not told by this sweep: no task has two scales."
        )
        return section("With more training data", said, *pictures)
    names = ("tasks", "slope of Δ skill per tenfold samples", "p, adjusted")
    rows: Rows = tuple(
        (
            *_setting(material, row), _scope(row), table_cells.count(row.tasks), _interval(row.slope),
            table_cells.p_value(row.p_adjusted),
        )
        for row in slopes
    )  # fmt: skip
    caption = (
        "Within tasks: how the difference in skill changes with ten times the training samples, by least squares over "
        "each task's scales; type is a factor. p is adjusted by Holm over the types."
    )
    table = TextTable((*_settings(material), "tasks of", *names), rows, names, name="slopes", caption=caption)
    return section("With more training data", *pictures, table, *_crossings(material), *_between(material))


def _crossings(material: Material) -> tuple[Block, ...]:
    """Sizes at which sharing turns from help to harm, in words; then for which tasks there is none, and why."""
    said, without = [], dict[str, list[str]]()
    for row in material.tables.of(make_interplay).crossings:
        if row.unit != "skill" or row.level not in ("all", "type"):
            continue
        who, found = f"{', '.join(_setting(material, row))} on {_scope(row)}", row.crossing
        if found.size is None:
            without.setdefault(found.why, []).append(who)
            continue
        bounds = " to ".join("no bound" if bound is None else text.count(bound) for bound in (found.low, found.high))
        said.append(
            f"{literal(who)}: sharing helps {row.helps} about {text.count(found.size)} training samples a task "
            f"(Fieller's interval {bounds})."
        )
    said += [f"No size for {literal(listed(names))}: {literal(why)}." for why, names in without.items()]
    head = paragraph("**The size at which sharing turns from help to harm**, only where the data bear it:")
    return (head, Items(tuple(said))) if said and head is not None else ()


def _between(material: Material) -> tuple[Block, ...]:
    table = [row for row in material.tables.of(make_interplay).between if row.unit == "skill"]
    if not table:
        return ()
    rows: Rows = tuple(
        (
            *_setting(material, row), row.over, table_cells.count(found.points),
            table_cells.number(text.signed(found.rho, "skill"), found.rho), table_cells.p_value(found.p),
            _interval(Quantity(found.slope, found.low, found.high)), row.note,
        )
        for row, found in ((row, row.association) for row in table)
    )  # fmt: skip
    names = ("number", "rank correlation", "p", "slope per tenfold samples")
    caption = "Between tasks and between clinical groups, as the paper compared: **confounded** and descriptive."
    columns = (*_settings(material), "between", *names, "remark")
    return (TextTable(columns, rows, names, name="between", caption=caption),)


def _types(material: Material) -> Section | None:
    means = material.tables.of(make_interplay).sensitivity
    if not means:
        return None
    names = ("tasks", "Δ skill", "relative change")
    rows: Rows = tuple(
        (
            *_setting(material, row),
            _scale(row.scale),
            row.group,
            table_cells.count(row.tasks),
            _interval(row.skill),
            _percent(row.relative),
        )
        for row in means
    )
    caption = "Mean difference of each task type."
    columns = (*_settings(material), "scale", "task type", *names)
    table = TextTable(columns, rows, ("scale", *names), name="types", caption=caption)
    return section("By task type", *material.pictures("types"), table)


def _groups(material: Material) -> Section | None:
    means = material.tables.of(make_interplay).consistency
    if not means:
        return None
    names = ("tasks", "training samples", "relative change", "Δ skill")
    rows: Rows = tuple(
        (
            *_setting(material, row), _scale(row.scale), row.group, table_cells.count(row.tasks),
            table_cells.count(row.n_train), _percent(row.relative), _interval(row.skill),
        )
        for row in means
    )  # fmt: skip
    columns = (*_settings(material), "scale", "clinical group", *names)
    caption = "Mean difference of each clinical group."
    table = TextTable(columns, rows, ("scale", *names), name="groups", caption=caption)
    return section("Across clinical groups", *material.pictures("groups"), table, _spread(material))


def _spread(material: Material) -> Block | None:
    rows: Rows = tuple(
        (
            *_setting(material, row), _scale(row.scale), table_cells.count(row.groups),
            _without_sign(_percent(row.relative)), _without_sign(_interval(row.skill)),
        )
        for row in material.tables.of(make_interplay).spread
    )  # fmt: skip
    names = ("scale", "groups", "spread of relative change", "spread of Δ skill")
    caption = (
        "Consistency: standard deviation over clinical groups of their true mean differences, chance taken out; small "
        "is consistent."
    )
    return TextTable((*_settings(material), *names), rows, names, name="spread", caption=caption) if rows else None


def _settings(material: Material) -> tuple[str, ...]:
    return ("grouping", "variant") if len(material.study.variants) > 1 else ("grouping",)


def _setting(material: Material, row: _Setting) -> tuple[str, ...]:
    label = grouping_label(row.grouping)
    return (label, row.variant) if len(material.study.variants) > 1 else (label,)


def _scale(scale: float | int) -> Cell:
    return Cell(f"{scale:g}", float(scale))


def _scope(row: Slope | ScaleCrossing) -> str:
    return "all types" if row.level == "all" else row.scope.replace(" - ", " minus ")


def _interval(found: Quantity | Spread) -> Cell:
    return table_cells.number(text.difference(found.value, found.low, found.high, "skill"), found.value)


def _percent(found: Quantity | Spread) -> Cell:
    return table_cells.number(text.percent(found.value, found.low, found.high), found.value)


def _without_sign(cell: Cell) -> Cell:
    return replace(cell, text=cell.text.replace("+", ""))
