"""The answer at each scale: the grouping to use for each task, the evidence for it, and its cost."""

from collections.abc import Sequence

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.compare_study import Scale
from usaggr.analysis.recommendations import Recommendation, list_doubts, recommend_at_scale
from usaggr.analysis.row_tables import group_rows
from usaggr.analysis.summary import SummaryLine
from usaggr.document import numbers as text
from usaggr.document.display_names import (
    QUALIFIED_MARK,
    QUALIFIED_MEANING,
    grouping_label,
    join_names,
)
from usaggr.document.elements import Block, Cell, Section, TextTable, escape_markdown
from usaggr.metrics import score_texts
from usaggr.metrics.names import get_metric_label
from usaggr.report import table_cells
from usaggr.report.answer.best_average import describe_best_average
from usaggr.report.answer.missing_verdicts import explain_missing_verdict
from usaggr.report.answer.opening import CONDITION, write_answer_sentences
from usaggr.report.grouping_names import explain_label
from usaggr.report.material import Material, capitalize, make_paragraph, make_section
from usaggr.report.score_means import describe_mean
from usaggr.report.what_was_run.exposure_section import warn_of_unequal_exposure


def write_answer(material: Material) -> Section | None:
    """Write a section for each scale and variant; return None if no run is finished."""
    if not material.comparison.runs_done:
        return None
    scales = tuple(_write_scale(material, variant, scale) for variant, scale in material.comparison.scales_by_variant)
    intro = make_paragraph(
        f"Verdicts compare each grouping with the reference, {explain_label(material.study.reference)}, on the main "
        "metric of a task.",
        "Gain: better than the reference. Loss: worse. No loss: not worse by as much as the margin, the largest loss",
        f"that we accept. These verdicts are corrected for the number of {_name_tests(material)}. Undecided: more",
        f"seeds or more test patients are needed. {QUALIFIED_MARK}: {QUALIFIED_MEANING}.",
        CONDITION,
        "delta_m is the mean relative change of the main metrics. delta_skill is the mean change in skill, where 0 is",
        "a predictor that ignores the image and 1 is perfect.",
        "Parameters are counted over all models of a grouping, training time over all seeds.",
    )
    return make_section(
        "The answer",
        intro if material.comparison.other_groupings else None,
        *material.make_pictures("cost"),
        sections=scales,
    )


def _write_scale(material: Material, variant: str, scale: Scale) -> Section | None:
    setting = material.describe_setting(variant, scale)
    recommendations = recommend_at_scale(material.comparison, variant, scale)
    return make_section(
        capitalize(setting),
        make_paragraph(
            warn_of_unequal_exposure(material, variant),
            write_answer_sentences(material, recommendations, variant, scale) if recommendations else "",
            describe_best_average(material, variant, scale),
            _name_dominant_tasks(material, variant, scale),
        ),
        _tabulate_groupings(material, variant, scale),
        _tabulate_tasks(material, recommendations, variant, scale),
    )


def _name_dominant_tasks(material: Material, variant: str, scale: Scale) -> str:
    """Write which tasks dominate the variance of delta_m, so that the width of its interval mainly reflects them."""
    phrases = [
        f"{escape_markdown(line.dominant_task)} {100 * line.dominant_share:.0f} % "
        f"({escape_markdown(grouping_label(line.grouping))})"
        for line in material.comparison.get_summary(variant, scale)
        if line.dominant_task
    ]
    if not phrases:
        return ""
    return (
        "One task has more than half of the sum of the tasks' variances of the relative change: "
        f"{join_names(phrases)}. The width of delta_m's interval mainly reflects this task, as where the reference's "
        "score is near 0. delta_skill does not divide by that score."
    )


def _tabulate_groupings(material: Material, variant: str, scale: Scale) -> Block | None:
    """Return a table of the groupings with their verdicts, mean differences and costs."""
    lines = material.comparison.get_summary(variant, scale)
    order = {name: i for i, name in enumerate(material.comparison.groupings)}
    table = [_make_grouping_row(material, line) for line in sorted(lines, key=lambda line: order[line.grouping])]
    names = [
        "models", "▲ gain", "= no loss", "▼ loss", "? undecided", "– no verdict", "same run", "delta_m", "delta_skill",
        "parameters", "training time",
    ]  # fmt: skip
    setting = escape_markdown(material.describe_setting(variant, scale))
    caption = (
        f"Scores and costs of each grouping, {setting}: number of tasks with each verdict, and mean differences with "
        "their intervals. Same run: the task uses the same model as the reference. In brackets: "
        f"{QUALIFIED_MARK}, verdicts of no loss that hold only apart from rare failures; too few, tasks in the mean "
        "with too few test subjects for an interval of their own."
    )
    name = _name_file(material, "options", variant, scale)
    return TextTable(("grouping", *names), tuple(table), tuple(names), name=name, caption=caption) if table else None


def _make_grouping_row(material: Material, line: SummaryLine) -> tuple[Cell, ...]:
    """Return the cells of a grouping; the reference has no verdicts and no differences."""
    is_reference = line.grouping == material.study.reference
    label = grouping_label(line.grouping) + (" (reference)" if is_reference else "")
    runs = material.comparison.list_runs(line.variant, line.scale, line.grouping)
    counts = (line.gain, line.no_loss, line.loss, line.undecided, line.no_verdict)
    if is_reference:
        verdicts, effects = [Cell(text.MISSING)] * len(counts), [Cell(text.MISSING)] * 3
    else:
        verdicts = [table_cells.make_count_cell(count) for count in counts]
        if line.no_loss_qualified:
            verdicts[1] = Cell(f"{line.no_loss} ({line.no_loss_qualified}{QUALIFIED_MARK})", line.no_loss)
        few = f" ({line.too_few} too few)" if line.too_few else ""
        skill = score_texts.format_difference(line.delta_skill, line.skill_low, line.skill_high, "skill")
        effects = [
            table_cells.make_count_cell(line.same),
            table_cells.make_number_cell(text.format_percent(line.delta_m, line.low, line.high) + few, line.delta_m),
            table_cells.make_number_cell(skill + few, line.delta_skill),
        ]
    is_finished = any(run.result is not None for run in runs)
    time = text.format_duration(line.train_seconds) if is_finished else text.MISSING
    cost = [
        table_cells.make_count_cell(line.parameters),
        table_cells.make_number_cell(time, line.train_seconds if is_finished else None),
    ]
    return (
        Cell(label),
        table_cells.make_count_cell(material.comparison.count_models(line.grouping)),
        *verdicts,
        *effects,
        *cost,
    )


def _tabulate_tasks(
    material: Material, recommendations: Sequence[Recommendation], variant: str, scale: Scale
) -> Block | None:
    """Return a table of the grouping to use for each task, with the evidence for it."""
    if not recommendations:
        return None
    by_task = group_rows(material.comparison.get_main_verdicts(variant, scale), lambda row: row.task)
    table = []
    for recommendation in recommendations:
        task = material.collection.data.tasks[recommendation.task].task
        grouping = Cell(_name_grouping(recommendation), kind=_find_verdict(recommendation))
        evidence = Cell(_explain_recommendation(material, recommendation, by_task[recommendation.task]))
        table.append((Cell(recommendation.task), Cell(task.clinical_group), Cell(task.type), grouping, evidence))
    reference = escape_markdown(material.reference)
    caption = (
        f"What to use for each task, {escape_markdown(material.describe_setting(variant, scale))}. Differences are "
        f"from {reference}, with the {text.format_share(material.study.confidence)} interval of that task alone; "
        "positive is better, also for errors in pixels. p values are adjusted for the number of "
        f"{_name_tests(material)}. `usaggr predict --recommended` uses {reference} for tasks that are undecided or "
        f"have no verdict. {describe_mean(material)}"
    ).rstrip()
    name = _name_file(material, "use", variant, scale)
    columns = ("task", "clinical group", "type", "use", "because")
    return TextTable(columns, tuple(table), name=name, caption=caption)


def _name_grouping(recommendation: Recommendation) -> str:
    """Return the label of the grouping to use, or words for a task without one."""
    return recommendation.kind if recommendation.grouping is None else grouping_label(recommendation.grouping)


def _find_verdict(recommendation: Recommendation) -> str:
    """Return the verdict whose color the cell has; empty for no color."""
    return {"gain": "gain", "fewer models": "no_loss", "undecided": "undecided"}.get(recommendation.kind, "")


def _explain_recommendation(material: Material, recommendation: Recommendation, verdicts: Sequence[CellVerdict]) -> str:
    """Return the evidence for a recommendation in a few words, with what makes it doubtful."""
    row = recommendation.evidence
    if row is None:
        return _explain_missing_verdicts(material, verdicts)
    evidence = f"{grouping_label(row.grouping)}: {_format_difference(row)}"
    losses = join_names(
        [grouping_label(row.grouping) for row in verdicts if row.verdict == "loss" and not row.has_collapsed_seeds]
    )
    if recommendation.kind == "gain":
        why = f"{evidence}, adjusted p {text.format_p_value(row.p_adjusted)}"
    elif recommendation.kind == "fewer models":
        margin = score_texts.format_score(row.margin, row.metric)
        why = f"{evidence}, not worse by {margin} or more, adjusted p {text.format_p_value(row.p_ni_adjusted)}"
    elif recommendation.kind == "reference":
        why = f"worse under {losses}; {evidence}" if losses else f"no gain; {evidence}"
    else:
        why = f"{evidence}{f'; worse under {losses}' if losses else ''}; {_describe_need(recommendation, row)}"
    doubts = ", ".join(list_doubts(row, material.reference))
    return f"{why}; {doubts}" if doubts else why


def _describe_need(recommendation: Recommendation, row: CellVerdict) -> str:
    """Return what is likely to decide an undecided task.

    Args:
        recommendation: Recommendation for the task, of the kind "undecided".
        row: Its evidence.
    """
    if recommendation.seeds_needed is not None:
        return f"{recommendation.seeds_needed} seeds are likely to decide"
    # The number of seeds is estimated from the variation between seeds, which a single seed does not show.
    return "a second seed is needed to decide" if row.seeds == 1 else "more test patients are needed to decide"


def _format_difference(row: CellVerdict) -> str:
    unit = get_metric_label(row.metric, True)
    qualified = f", no loss {row.rarer_failures}" if row.rarer_failures else ""
    difference = score_texts.format_difference(row.delta, row.delta_low, row.delta_high, row.metric)
    return f"{unit} {difference}{qualified}"


def _explain_missing_verdicts(material: Material, verdicts: Sequence[CellVerdict]) -> str:
    """Return each reason once, with the groupings that it applies to."""
    labels_by_reason: dict[str, list[str]] = {}
    for row in verdicts:
        # A verdict of one grouping alone, such as no loss without fewer models, recommends nothing.
        is_evidence = row.verdict and not row.has_collapsed_seeds
        reason = _format_difference(row) if is_evidence else explain_missing_verdict(row, material.reference)
        labels_by_reason.setdefault(reason, []).append(grouping_label(row.grouping))
    return "; ".join(f"{', '.join(labels)}: {reason}" for reason, labels in labels_by_reason.items())


def _name_tests(material: Material) -> str:
    """Return what verdicts and p values are corrected for."""
    return "tests in the study" if material.study.family == "study" else "tasks"


def _name_file(material: Material, table: str, variant: str, scale: Scale) -> str:
    suffix = f"-{variant}" if len(material.study.variants) > 1 else ""
    return f"{table}-s{scale:g}{suffix}"
