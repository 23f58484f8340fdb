"""Chapter on the effect of the amount of training data, the task type and the clinical group."""

from dataclasses import replace
from typing import Protocol

from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label, listed
from usaggr.document.elements import Block, Cell, Items, Section, TextTable, literal
from usaggr.report import table_cells
from usaggr.report.grouping_names import explain_labels
from usaggr.report.material import Material, make_paragraph, make_section
from usaggr.report.scale.slopes import ScaleCrossing, Slope
from usaggr.report.scale.tables import make_interplay
from usaggr.statistics.claims import Quantity
from usaggr.statistics.group_spread import Spread

TableRows = tuple[tuple[str | Cell, ...], ...]


class _Setting(Protocol):
    """Result of one grouping and variant."""

    @property
    def grouping(self) -> str: ...

    @property
    def variant(self) -> str: ...


def write_interplay(material: Material) -> Section | None:
    """Write sections on training data, task types and clinical groups; return None if nothing is compared."""
    if not material.comparison.runs_done or not material.comparison.others:
        return None
    sections = (_data_scale(material), _types(material), _groups(material))
    intro = make_paragraph(
        f"Groupings: {explain_labels(material.comparison.groupings)}. Differences are from the reference,",
        f"{literal(material.reference)}; positive is better. Means are over a fixed set of tasks, as a difference in",
        "skill (0 is a predictor that ignores the image, 1 is perfect) or as relative change. Their intervals account",
        "for seeds and test patients, jointly over all tasks of a mean, and are not adjusted. Tasks that use the same",
        "run as the reference are left out. scale is the amount of training data: a share of each task's samples, or a",
        "largest number of them.",
    )
    if not any(sections):
        return None
    return make_section("Data scale, task types and clinical groups", intro, sections=sections)


def _data_scale(material: Material) -> Section | None:
    pictures = material.make_pictures("scale")
    slopes = [
        row for row in material.tables.compute(make_interplay).slopes if row.unit == "skill" and row.level != "task"
    ]
    if not slopes:
        reason = make_paragraph(
            "The effect of the amount of training data cannot be estimated: no task has results at two amounts."
        )
        return make_section("With more training data", reason, *pictures)
    names = ("tasks", "slope of Δ skill per tenfold samples", "p, adjusted")
    table_rows: TableRows = tuple(
        (
            *_setting(material, row), _scope(row), table_cells.count(row.tasks), _interval(row.slope),
            table_cells.p_value(row.p_adjusted),
        )
        for row in slopes
    )  # fmt: skip
    caption = (
        "Within tasks: change of the difference in skill with ten times the training samples, by least squares over "
        "the amounts of data of each task. p is adjusted for the number of task types (Holm)."
    )
    table = TextTable((*_settings(material), "tasks of", *names), table_rows, names, name="slopes", caption=caption)
    return make_section("With more training data", *pictures, table, *_crossings(material), *_between(material))


def _crossings(material: Material) -> tuple[Block, ...]:
    """Write the sizes at which sharing turns from help to harm, and the reason where none can be estimated."""
    sentences, without = [], dict[str, list[str]]()
    for row in material.tables.compute(make_interplay).crossings:
        if row.unit != "skill" or row.level not in ("all", "type"):
            continue
        subject = f"{', '.join(_setting(material, row))} on {_scope(row)}"
        crossing = row.crossing
        if crossing.size is None:
            without.setdefault(crossing.why, []).append(subject)
            continue
        bounds = " to ".join(
            "no bound" if bound is None else text.count(bound) for bound in (crossing.low, crossing.high)
        )
        sentences.append(
            f"{literal(subject)}: sharing helps {row.helps} about {text.count(crossing.size)} training samples per "
            f"task (Fieller's interval {bounds})."
        )
    sentences += [f"No estimate for {literal(listed(names))}: {literal(why)}." for why, names in without.items()]
    head = make_paragraph(
        "**Training samples at which sharing turns from help to harm**, only where the data allow an estimate:"
    )
    return (head, Items(tuple(sentences))) if sentences and head is not None else ()


def _between(material: Material) -> tuple[Block, ...]:
    trends = [row for row in material.tables.compute(make_interplay).between if row.unit == "skill"]
    if not trends:
        return ()
    table_rows: TableRows = tuple(
        (
            *_setting(material, row), row.over, table_cells.count(trend.points),
            table_cells.number(text.signed(trend.rho, "skill"), trend.rho), table_cells.p_value(trend.p),
            _interval(Quantity(trend.slope, trend.low, trend.high)), row.note,
        )
        for row, trend in ((row, row.association) for row in trends)
    )  # fmt: skip
    names = ("number", "rank correlation", "p", "slope per tenfold samples")
    caption = (
        "Between tasks and between clinical groups, as in the paper. These comparisons are **confounded** and "
        "descriptive: tasks and groups differ in more than size."
    )
    columns = (*_settings(material), "between", *names, "remark")
    return (TextTable(columns, table_rows, names, name="between", caption=caption),)


def _types(material: Material) -> Section | None:
    means = material.tables.compute(make_interplay).sensitivity
    if not means:
        return None
    names = ("tasks", "Δ skill", "relative change")
    table_rows: TableRows = tuple(
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
    caption = "Mean difference from the reference over the tasks of each type."
    columns = (*_settings(material), "scale", "task type", *names)
    table = TextTable(columns, table_rows, ("scale", *names), name="types", caption=caption)
    return make_section("By task type", *material.make_pictures("types"), table)


def _groups(material: Material) -> Section | None:
    means = material.tables.compute(make_interplay).consistency
    if not means:
        return None
    names = ("tasks", "training samples", "relative change", "Δ skill")
    table_rows: TableRows = tuple(
        (
            *_setting(material, row), _scale(row.scale), row.group, table_cells.count(row.tasks),
            table_cells.count(row.n_train), _percent(row.relative), _interval(row.skill),
        )
        for row in means
    )  # fmt: skip
    columns = (*_settings(material), "scale", "clinical group", *names)
    caption = "Mean difference from the reference over the tasks of each clinical group."
    table = TextTable(columns, table_rows, ("scale", *names), name="groups", caption=caption)
    return make_section("Across clinical groups", *material.make_pictures("groups"), table, _spread(material))


def _spread(material: Material) -> Block | None:
    table_rows: TableRows = tuple(
        (
            *_setting(material, row), _scale(row.scale), table_cells.count(row.groups),
            _without_sign(_percent(row.relative)), _without_sign(_interval(row.skill)),
        )
        for row in material.tables.compute(make_interplay).spread
    )  # fmt: skip
    names = ("scale", "groups", "spread of relative change", "spread of Δ skill")
    caption = (
        "How much the effect of sharing differs between clinical groups: standard deviation of their true mean "
        "differences, after removing random variation. Small means similar."
    )
    return (
        TextTable((*_settings(material), *names), table_rows, names, name="spread", caption=caption)
        if table_rows
        else None
    )


def _settings(material: Material) -> tuple[str, ...]:
    return ("grouping", "variant") if len(material.study.variants) > 1 else ("grouping",)


def _setting(material: Material, row: _Setting) -> tuple[str, ...]:
    label = grouping_label(row.grouping)
    return (label, row.variant) if len(material.study.variants) > 1 else (label,)


def _scale(scale: float | int) -> Cell:
    return Cell(f"{scale:g}", float(scale))


def _scope(row: Slope | ScaleCrossing) -> str:
    return "all types" if row.level == "all" else row.scope.replace(" - ", " minus ")


def _interval(effect: Quantity | Spread) -> Cell:
    return table_cells.number(text.difference(effect.value, effect.low, effect.high, "skill"), effect.value)


def _percent(effect: Quantity | Spread) -> Cell:
    return table_cells.number(text.percent(effect.value, effect.low, effect.high), effect.value)


def _without_sign(cell: Cell) -> Cell:
    return replace(cell, text=cell.text.replace("+", ""))
