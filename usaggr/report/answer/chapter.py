"""The answer: scale by scale which grouping to use for which tasks, how sure that is, and what it costs."""

import math

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.compare_study import Scale
from usaggr.analysis.recommendations import Recommendation, doubts_of, recommendations_at
from usaggr.analysis.row_tables import group_rows
from usaggr.analysis.summary import SummaryLine
from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label, listed
from usaggr.document.elements import Block, Cell, Section, TextTable, literal
from usaggr.metrics.names import metric_label
from usaggr.report import table_cells
from usaggr.report.answer.opening import count_answers, name_losses
from usaggr.report.material import Material, capital, paragraph, section
from usaggr.report.what_was_run.exposure_section import say_unequal


def write_answer(material: Material) -> Section | None:
    """A section for each scale and variant; none where no run is done."""
    if not material.comparison.runs_done:
        return None
    scales = tuple(_at_scale(material, variant, scale) for variant, scale in material.comparison.scales_by_variant)
    intro = paragraph(
        f"Verdicts compare each grouping with {literal(material.reference)}, the reference, on a task's main metric:",
        "a gain or a loss is a difference that is certain, no loss means certainly not worse by as much as the margin,",
        "and undecided that the seeds and subjects at hand cannot tell. delta_m is the mean relative change of the "
        "main",
        "metrics, delta_skill the mean change of skill; parameters are those of all models of a grouping, training "
        "time",
        "is that of all seeds.",
    )
    return section(
        "The answer", intro if material.comparison.others else None, *material.pictures("cost"), sections=scales
    )


def _at_scale(material: Material, variant: str, scale: Scale) -> Section | None:
    where = material.where(variant, scale)
    found = recommendations_at(material.comparison, variant, scale)
    said = count_answers(material, found) if found else ""
    return section(
        capital(where),
        paragraph(
            say_unequal(material, variant),
            f"{capital(said)}." if said else "",
            name_losses(material, variant, scale),
            _overall(material, variant, scale),
        ),
        _options(material, variant, scale),
        _by_task(material, found, variant, scale),
    )


def _overall(material: Material, variant: str, scale: Scale) -> str:
    """If one grouping has to serve all tasks: what is best on the mean, and whether that is certain."""
    rows = material.comparison.summary_at(variant, scale)
    others = [row for row in rows if row.grouping != material.study.reference and not math.isnan(row.delta_m)]
    if not others:
        return ""
    best = max(others, key=lambda row: row.delta_m)
    label, reference = literal(grouping_label(best.grouping)), literal(material.reference)
    change = text.percent(best.delta_m, best.low, best.high)
    if math.isnan(best.low):
        sure = "without an interval, so that it may be chance"
    elif best.low > 0:
        sure = f"certainly better than {reference}"
    elif best.high < 0:
        sure = f"certainly worse than {reference}"
    else:
        sure = f"not certainly different from {reference}"
    return f"If one grouping has to serve all tasks, {label} has the highest mean relative change, {change}: {sure}."


def _options(material: Material, variant: str, scale: Scale) -> Block | None:
    """Each grouping: verdicts and means beside what it costs."""
    rows = material.comparison.summary_at(variant, scale)
    order = {name: i for i, name in enumerate(material.comparison.groupings)}
    shown = [_option(material, row) for row in sorted(rows, key=lambda row: order[row.grouping])]
    names = [
        "models", "▲ gain", "= no loss", "▼ loss", "? undecided", "– no verdict", "same run", "delta_m", "delta_skill",
        "parameters", "training time",
    ]  # fmt: skip
    where = literal(material.where(variant, scale))
    caption = f"Score against cost, {where}: tasks by verdict, means with intervals."
    name = _file_name(material, "options", variant, scale)
    return TextTable(("grouping", *names), tuple(shown), tuple(names), name=name, caption=caption) if shown else None


def _option(material: Material, row: SummaryLine) -> tuple[Cell, ...]:
    is_reference = row.grouping == material.study.reference
    label = grouping_label(row.grouping) + (" (reference)" if is_reference else "")
    runs = material.comparison.runs(row.variant, row.scale, row.grouping)
    counts = (row.gain, row.no_loss, row.loss, row.undecided, row.no_verdict)
    verdicts = [Cell(text.MISSING) if is_reference else table_cells.count(count) for count in counts]
    if is_reference:
        effects = [Cell(text.MISSING)] * 3
    else:
        effects = [
            table_cells.count(row.same),
            table_cells.number(text.percent(row.delta_m, row.low, row.high), row.delta_m),
            table_cells.number(
                text.difference(row.delta_skill, row.skill_low, row.skill_high, "skill"), row.delta_skill
            ),
        ]
    done = any(run.result is not None for run in runs)
    time = text.duration(row.train_seconds) if done else text.MISSING
    cost = [table_cells.count(row.parameters), table_cells.number(time, row.train_seconds if done else None)]
    return (Cell(label), table_cells.count(material.comparison.models(row.grouping)), *verdicts, *effects, *cost)


def _by_task(material: Material, found: tuple[Recommendation, ...], variant: str, scale: Scale) -> Block | None:
    """What to use for each task, and how sure that is."""
    if not found:
        return None
    by_task = group_rows(material.comparison.main_verdicts(variant, scale), lambda row: row.task)
    rows = []
    for one in found:
        facts = material.collection.data.tasks[one.task].task
        use = Cell(_use(material, one), kind=_kind(one))
        why = _why(material, one, by_task[one.task])
        rows.append((Cell(one.task), Cell(facts.clinical_group), Cell(facts.type), use, Cell(why)))
    caption = (
        f"What to use for each task, {literal(material.where(variant, scale))}. Intervals are of that task alone; p "
        f"values are adjusted within its family. `usaggr predict --recommended` takes {literal(material.reference)} "
        "where the answer is not known or there is no verdict."
    )
    name = _file_name(material, "use", variant, scale)
    columns = ("task", "clinical group", "type", "use", "because")
    return TextTable(columns, tuple(rows), name=name, caption=caption)


def _use(material: Material, one: Recommendation) -> str:
    if one.kind in ("gain", "good enough", "keep") and one.grouping is not None:
        return grouping_label(one.grouping)
    return "not known" if one.kind == "not known" else "no verdict"


def _kind(one: Recommendation) -> str:
    return {"gain": "gain", "good enough": "no_loss", "not known": "undecided"}.get(one.kind, "")


def _why(material: Material, one: Recommendation, rows: list[CellVerdict]) -> str:
    row = one.row
    if row is None:
        return _no_verdict(material, rows)
    said = f"{grouping_label(row.grouping)} {_difference(row)}"
    if one.kind == "gain":
        why = f"{said}, adjusted p {text.p_value(row.p_adjusted)}"
    elif one.kind == "good enough":
        why = f"{said}, above −{_margin(row)} with adjusted p {text.p_value(row.p_ni_adjusted)}"
    elif one.kind == "keep":
        lost = [grouping_label(other.grouping) for other in rows if other.verdict == "loss"]
        why = f"{listed(lost)} {'lose' if len(lost) > 1 else 'loses'}: {said}" if lost else f"no gain: {said}"
    else:
        lost = [grouping_label(other.grouping) for other in rows if other.verdict == "loss"]
        said = f"{said} ({listed(lost)} {'lose' if len(lost) > 1 else 'loses'})" if lost else said
        seeds = f"about {one.seeds_needed} seeds would tell" if one.seeds_needed else "more test subjects are needed"
        why = f"{said}; {seeds}"
    doubts = ", ".join(doubts_of(row, material.reference))
    return f"{why}; {doubts}" if doubts else why


def _difference(row: CellVerdict) -> str:
    unit = metric_label(row.metric, True)
    return f"{unit} {text.difference(row.delta, row.delta_low, row.delta_high, row.metric)}"


def _margin(row: CellVerdict) -> str:
    return text.score(row.margin, row.metric)


def _no_verdict(material: Material, rows: list[CellVerdict]) -> str:
    """Why there is nothing to go by: each reason once, with the groupings it holds for."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.same:
            reason = f"the very run of {material.reference}"
        elif math.isnan(row.delta):
            reason = "runs are missing"
        elif row.verdict:
            reason = f"{_difference(row)}"
        else:
            reason = row.note.split("; ")[0] or "cannot be judged"
        reasons.setdefault(reason, []).append(grouping_label(row.grouping))
    return "; ".join(f"{', '.join(labels)}: {reason}" for reason, labels in reasons.items())


def _file_name(material: Material, what: str, variant: str, scale: Scale) -> str:
    several = f"-{variant}" if len(material.study.variants) > 1 else ""
    return f"{what}-s{scale:g}{several}"
