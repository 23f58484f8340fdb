"""Chapter on the effect of the amount of training data, the task type and the clinical group."""

from dataclasses import replace
from typing import Protocol

from usaggr.analysis.weighted_sums import NOT_ESTIMATED
from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label, join_names
from usaggr.document.elements import Block, Cell, Items, Section, TextTable, escape_markdown
from usaggr.metrics import score_texts
from usaggr.report import table_cells
from usaggr.report.differences_in_means import describe_scarce_differences
from usaggr.report.grouping_names import explain_labels
from usaggr.report.material import Material, make_paragraph, make_section
from usaggr.report.scale.slopes import TRANSFORMED, ScaleCrossing, Slope
from usaggr.report.scale.tables import analyze_effects
from usaggr.statistics.claims import Quantity
from usaggr.statistics.group_sd import GroupSd

TableRows = tuple[tuple[str | Cell, ...], ...]


class _Setting(Protocol):
    """Result of one grouping and variant."""

    @property
    def grouping(self) -> str: ...

    @property
    def variant(self) -> str: ...


def write_effects(material: Material) -> Section | None:
    """Write sections on training data, task types and clinical groups; return None if nothing is compared."""
    if not material.comparison.runs_done or not material.comparison.other_groupings:
        return None
    sections = (_write_scale_section(material), _write_type_section(material), _write_group_section(material))
    intro = make_paragraph(
        f"Groupings: {explain_labels(material.comparison.groupings)}. Differences are from the reference,",
        f"{escape_markdown(material.reference)}; positive is better. Means are over a fixed set of tasks, as a "
        "difference in",
        "skill (0 is a predictor that ignores the image, 1 is perfect) or as relative change. Their intervals account",
        "for seeds and test patients, jointly over all tasks of a mean, and are not adjusted. Tasks that use the same",
        "run as the reference are left out. scale is the amount of training data: a share of each task's samples, or a",
        "largest number of them.",
        describe_scarce_differences(material.comparison.verdicts),
    )
    if not any(sections):
        return None
    return make_section("Data scale, task types and clinical groups", intro, sections=sections)


def _write_scale_section(material: Material) -> Section | None:
    pictures = material.make_pictures("scale")
    if not any(row.unit == "skill" for row in material.tables.compute(analyze_effects).slopes):
        reason = make_paragraph(
            "The effect of the amount of training data cannot be estimated: no task has results at two amounts."
        )
        return make_section("With more training data", reason, *pictures)
    return make_section(
        "With more training data",
        *pictures,
        _tabulate_slopes(material),
        _EXPLAIN_SLOPES,
        *_list_crossings(material),
        *_tabulate_between(material),
    )


def _tabulate_slopes(material: Material) -> TextTable:
    """Return the table of slopes in skill and its transformations, with a remark where a slope starts at the floor."""
    slopes = [row for row in material.tables.compute(analyze_effects).slopes if row.level != "task"]
    by_unit = {(row.unit, *_identify(row)): row.slope for row in slopes}
    other_slopes = tuple(f"slope of Δ {name}" for name in TRANSFORMED.values())
    names = ("tasks", "slope of Δ skill per tenfold samples", "p, adjusted", *other_slopes)
    table_rows: TableRows = tuple(
        (
            *_make_setting_cells(material, row), _name_scope(row), table_cells.make_count_cell(row.tasks),
            _format_interval(row.slope), table_cells.make_p_value_cell(row.p_adjusted),
            *(_format_interval(by_unit.get((unit, *_identify(row)), NOT_ESTIMATED)) for unit in TRANSFORMED),
            _note_floor(row),
        )
        for row in slopes
        if row.unit == "skill"
    )  # fmt: skip
    caption = (
        "Within tasks: change of the difference with ten times the training samples, by least squares over the amounts "
        "of data of each task, in skill, log error and log skill. p is that in skill, adjusted for the number of task "
        "types (Holm)."
    )
    columns = (*_name_setting_columns(material), "tasks of", *names, "remark")
    return TextTable(columns, table_rows, names, name="slopes", caption=caption)


_EXPLAIN_SLOPES = make_paragraph(
    "Δ log error is the logarithm of the reference's error over that of the grouping, Δ log skill that of the",
    "grouping's skill over that of the reference (positive is better). A difference in skill must shrink where scores",
    "approach their ceiling, and start at 0 where nothing is learned. Only slopes that exclude 0 with the same sign in",
    "all three are more than an effect of the scale of measurement (Loftus 1978; Wagenmakers et al. 2012). An error",
    "that no model can avoid, such as that of the annotation, has the same effect and cannot be excluded.",
)


def _identify(row: Slope) -> tuple[str, ...]:
    """Return what identifies a slope, apart from its unit."""
    return (row.variant, row.grouping, row.level, row.scope)


def _note_floor(row: Slope) -> str:
    """Return a remark if tasks of a slope are at the floor at their smallest scale; a dash if none is."""
    if not row.at_floor:
        return text.MISSING
    return f"{row.at_floor} of {row.tasks} tasks start at the floor: neither model learned them from the fewest samples"


def _list_crossings(material: Material) -> tuple[Block, ...]:
    """Write the sizes at which sharing turns from help to harm, and the reason where none can be estimated."""
    sentences = []
    subjects_by_reason: dict[str, list[str]] = {}
    for row in material.tables.compute(analyze_effects).crossings:
        if row.unit != "skill" or row.level not in ("all", "type"):
            continue
        subject = f"{', '.join(_make_setting_cells(material, row))} on {_name_scope(row)}"
        crossing = row.crossing
        if crossing.size is None:
            subjects_by_reason.setdefault(crossing.reason, []).append(subject)
            continue
        assert crossing.low is not None
        assert crossing.high is not None
        bounds = f"{text.format_count(crossing.low)} to {text.format_count(crossing.high)}"
        sentences.append(
            f"{escape_markdown(subject)}: sharing helps {row.helps} about {text.format_count(crossing.size)} training "
            f"samples per task (Fieller's interval {bounds})."
        )
    sentences += [
        f"No estimate for {escape_markdown(join_names(subjects))}: {escape_markdown(reason)}."
        for reason, subjects in subjects_by_reason.items()
    ]
    heading = make_paragraph(
        "**Training samples at which sharing turns from help to harm**, only where the data allow an estimate:"
    )
    return (heading, Items(tuple(sentences))) if sentences and heading is not None else ()


def _tabulate_between(material: Material) -> tuple[Block, ...]:
    trends = [row for row in material.tables.compute(analyze_effects).between if row.unit == "skill"]
    if not trends:
        return ()
    table_rows: TableRows = tuple(
        (
            *_make_setting_cells(material, row), row.over, table_cells.make_count_cell(trend.points),
            table_cells.make_number_cell(score_texts.format_signed(trend.rho, "skill"), trend.rho),
            table_cells.make_p_value_cell(trend.p),
            _format_interval(Quantity(trend.slope, trend.low, trend.high)), row.note,
        )
        for row, trend in ((row, row.association) for row in trends)
    )  # fmt: skip
    names = ("number", "rank correlation", "p", "slope per tenfold samples")
    caption = (
        "Between tasks and between clinical groups, as in the paper. These comparisons are **confounded** and "
        "descriptive: tasks and groups differ in more than size."
    )
    columns = (*_name_setting_columns(material), "between", *names, "remark")
    return (TextTable(columns, table_rows, names, name="between", caption=caption),)


def _write_type_section(material: Material) -> Section | None:
    means = material.tables.compute(analyze_effects).type_means
    if not means:
        return None
    names = ("tasks", "Δ skill", "relative change")
    table_rows: TableRows = tuple(
        (
            *_make_setting_cells(material, row),
            _format_scale(row.scale),
            row.group,
            table_cells.make_count_cell(row.tasks),
            _format_interval(row.skill),
            _format_percent(row.relative),
        )
        for row in means
    )
    caption = "Mean difference from the reference over the tasks of each type."
    columns = (*_name_setting_columns(material), "scale", "task type", *names)
    table = TextTable(columns, table_rows, ("scale", *names), name="types", caption=caption)
    return make_section("By task type", *material.make_pictures("types"), table)


def _write_group_section(material: Material) -> Section | None:
    means = material.tables.compute(analyze_effects).group_means
    if not means:
        return None
    names = ("tasks", "training samples", "relative change", "Δ skill")
    table_rows: TableRows = tuple(
        (
            *_make_setting_cells(material, row), _format_scale(row.scale), row.group,
            table_cells.make_count_cell(row.tasks), table_cells.make_count_cell(row.n_train),
            _format_percent(row.relative), _format_interval(row.skill),
        )
        for row in means
    )  # fmt: skip
    columns = (*_name_setting_columns(material), "scale", "clinical group", *names)
    caption = "Mean difference from the reference over the tasks of each clinical group."
    table = TextTable(columns, table_rows, ("scale", *names), name="groups", caption=caption)
    return make_section("Across clinical groups", *material.make_pictures("groups"), table, _tabulate_spreads(material))


def _tabulate_spreads(material: Material) -> Block | None:
    table_rows: TableRows = tuple(
        (
            *_make_setting_cells(material, row), _format_scale(row.scale), table_cells.make_count_cell(row.groups),
            _remove_sign(_format_percent(row.relative)), _remove_sign(_format_interval(row.skill)),
        )
        for row in material.tables.compute(analyze_effects).group_sds
    )  # fmt: skip
    names = ("scale", "groups", "spread of relative change", "spread of Δ skill")
    caption = (
        "How much the effect of sharing differs between clinical groups: standard deviation of their true mean "
        "differences, after removing random variation. Small means similar."
    )
    return (
        TextTable((*_name_setting_columns(material), *names), table_rows, names, name="spread", caption=caption)
        if table_rows
        else None
    )


def _name_setting_columns(material: Material) -> tuple[str, ...]:
    return ("grouping", "variant") if len(material.study.variants) > 1 else ("grouping",)


def _make_setting_cells(material: Material, row: _Setting) -> tuple[str, ...]:
    label = grouping_label(row.grouping)
    return (label, row.variant) if len(material.study.variants) > 1 else (label,)


def _format_scale(scale: float | int) -> Cell:
    return Cell(f"{scale:g}", float(scale))


def _name_scope(row: Slope | ScaleCrossing) -> str:
    return "all types" if row.level == "all" else row.scope.replace(" - ", " minus ")


def _format_interval(effect: Quantity | GroupSd) -> Cell:
    return table_cells.make_number_cell(
        score_texts.format_difference(effect.value, effect.low, effect.high, "skill"), effect.value
    )


def _format_percent(effect: Quantity | GroupSd) -> Cell:
    return table_cells.make_number_cell(text.format_percent(effect.value, effect.low, effect.high), effect.value)


def _remove_sign(cell: Cell) -> Cell:
    """Return a cell without plus signs: a standard deviation is never negative."""
    return replace(cell, text=cell.text.replace("+", ""))
