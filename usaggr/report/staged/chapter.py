"""Chapter on staged groupings: a shared model is trained first, and other models start from its weights."""

from collections.abc import Sequence

from usaggr.analysis.collect import CollectedRun
from usaggr.analysis.compare_study import Scale
from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label
from usaggr.document.elements import Block, Cell, Items, Section, TextTable, escape_markdown
from usaggr.metrics import score_texts
from usaggr.report import table_cells
from usaggr.report.grouping_names import explain_label
from usaggr.report.material import Material, capitalize, make_paragraph, make_section
from usaggr.report.staged.tables import StagedRow, make_staged
from usaggr.results.stored_study import StagedFacts
from usaggr.statistics.verdicts import ALPHA, PROVISIONAL_SEEDS

_MORE_BUDGET = 1.01
"""Ratio to the reference's examples above which a grouping has more budget; rounding changes less than this."""


def write_staged(material: Material) -> Section | None:
    """Compare staged groupings with the same blocks in one stage, and with the models they start from.

    Returns:
        The chapter; None if the study has no staged groupings.
    """
    staged = {name: facts for name, facts in material.study.staged.items() if name in material.study.groupings}
    if not staged:
        return None
    intro = make_paragraph(
        "A staged grouping trains a shared model first. Each of its own models then starts from those weights and",
        "continues its tasks' sequences of examples where the first stage stops.",
        "With an equal budget, both stages together see as many examples of a task as one stage does. With more",
        "budget, the second stage is added to a complete first stage, so additional examples may explain a difference.",
    )
    descriptions = Items(tuple(_describe_grouping(name, facts) for name, facts in staged.items()))
    comparisons = material.tables.compute(make_staged)
    estimated = [row for row in comparisons if not table_cells.is_missing(row.delta_skill)]
    results = Items(tuple(_describe_result(material, row) for row in estimated)) if estimated else None
    exposure = [
        _tabulate_exposure(material, variant, scale) for variant, scale in material.comparison.scales_by_variant
    ]
    return make_section(
        "Staged strategies", intro, descriptions, results, _make_table(material, comparisons), *exposure
    )


def _describe_grouping(name: str, facts: StagedFacts) -> str:
    """Return a sentence on both stages of a grouping, and on its budget."""
    parent = explain_label(facts.parent)
    if facts.budget == "equal":
        first = f"{parent} is trained on the first {text.format_share(facts.share)} of each task's examples"
        second, remark = "the others", ""
    else:
        first = f"{parent} is trained completely"
        second = f"{text.format_share(1 - facts.share)} as many additional examples"
        # The second stage adds the fraction 1 - share to a complete first stage.
        remark = f" **More budget**: {2 - facts.share:.3g} times the examples of one stage."
    overrides = f", with {escape_markdown(' '.join(facts.overrides))}" if facts.overrides else ""
    return f"**{_make_label(name)}**: first {first}, then its own models on {second}{overrides}.{remark}"


def _make_label(name: str) -> str:
    return escape_markdown(grouping_label(name))


def _describe_result(material: Material, row: StagedRow) -> str:
    """Return a sentence on the difference of a staged grouping from one of its counterparts."""
    setting = capitalize(escape_markdown(material.describe_setting(row.variant, row.scale)))
    against = f"{_make_label(row.against)} ({_describe_relation(row)})"
    size = score_texts.format_difference(row.delta_skill, row.low, row.high, "skill")
    if not table_cells.is_missing(row.p_adjusted) and row.p_adjusted < ALPHA:
        result = f"is {'better' if row.delta_skill > 0 else 'worse'} than {against}, by {size} in skill"
    else:
        result = f"does not differ detectably from {against}: {size} in skill"
    number = "one seed" if row.seeds == 1 else f"{row.seeds} seeds"
    provisional = f" ({number}: provisional)" if row.seeds <= PROVISIONAL_SEEDS else ""
    is_better_with_more = row.budget == "extra" and row.delta_skill > 0
    caution = " It has more budget, so the extra training examples may explain this." if is_better_with_more else ""
    return f"**{setting}.** {_make_label(row.grouping)} {result}{provisional}.{caution}"


def _describe_relation(row: StagedRow) -> str:
    return "the same blocks in one stage" if row.relation == "same blocks" else "the models it starts from"


def _make_table(material: Material, comparisons: Sequence[StagedRow]) -> Block | None:
    if not comparisons:
        return make_paragraph(
            "The study contains neither the same blocks in one stage nor the groupings that these start from, so they",
            "are compared only with the reference.",
        )
    has_variants = len(material.study.variants) > 1
    table = [
        (
            grouping_label(row.grouping),
            "more" if row.budget == "extra" else "equal",
            grouping_label(row.against),
            _describe_relation(row),
            *((str(row.variant),) if has_variants else ()),
            Cell(f"{row.scale:g}", float(row.scale)),
            table_cells.make_number_cell(
                score_texts.format_difference(row.delta_skill, row.low, row.high, "skill"), row.delta_skill
            ),
            table_cells.make_p_value_cell(row.p_adjusted),
            table_cells.make_count_cell(row.tasks),
            table_cells.make_count_cell(row.seeds),
            row.note,
        )
        for row in comparisons
    ]
    numbers = ("scale", "Δ skill", "p", "tasks", "seeds")
    columns = (
        "staged",
        "budget",
        "compared with",
        "which is",
        *(("variant",) if has_variants else ()),
        *numbers,
        "note",
    )
    caption = (
        "Mean difference in skill over tasks, positive if the staged grouping is better, with its interval over seeds "
        "and test subjects. p is adjusted by Holm over the comparisons of one scale and variant."
    )
    return TextTable(columns, tuple(table), numbers, name="staged", caption=caption)


def _tabulate_exposure(material: Material, variant: str, scale: Scale) -> Block | None:
    """Return a table of the examples, models and training time of each grouping, over all stages."""
    by_grouping = {name: material.comparison.list_runs(variant, scale, name) for name in material.comparison.groupings}
    examples = {name: _count_examples(material, runs) for name, runs in by_grouping.items()}
    reference_examples = examples[material.study.reference]
    lines = []
    for name, runs in by_grouping.items():
        if not runs:
            continue
        # By fingerprint, because several second stages may start from the same first stage.
        stages = {stage.row.fingerprint: stage for run in runs for stage in material.collection.list_stages(run)}
        last_stages = {run.row.fingerprint for run in runs}
        ratios = [
            count / reference_examples[task] for task, count in examples[name].items() if reference_examples.get(task)
        ]
        first_stages = {stage.row.tasks for fingerprint, stage in stages.items() if fingerprint not in last_stages}
        results = [stage.result for stage in stages.values()]
        finished = [result for result in results if result is not None]
        # A sum without the unfinished runs would make a grouping look cheaper than it is.
        seconds = sum(result.cost.train_seconds for result in finished) if len(finished) == len(results) else None
        trained = _count_trained_parameters(runs)
        lines.append(
            (
                grouping_label(name),
                _describe_budget(ratios),
                _format_range(examples[name]),
                table_cells.make_count_cell(len({run.row.tasks for run in runs})),
                table_cells.make_count_cell(len(first_stages)),
                table_cells.make_number_cell(text.format_count(trained), trained),
                table_cells.make_number_cell(text.format_duration(seconds), seconds),
            )
        )
    numbers = ("examples per task", "models", "first stages", "trained parameters", "training time")
    setting = escape_markdown(material.describe_setting(variant, scale))
    caption = (
        f"Training examples and costs of each grouping over all stages, {setting}: examples per task (lowest to "
        "highest over tasks, mean over seeds), models that make the predictions, models that these start from, "
        "parameters trained in the last stage (sum over models), and training time over all seeds and stages. A first "
        "stage that several groupings start from counts in each of them."
    )
    return TextTable(
        ("grouping", "budget", *numbers), tuple(lines), numbers, name=f"stages-{variant}-s{scale:g}", caption=caption
    )


def _count_examples(material: Material, runs: Sequence[CollectedRun]) -> dict[str, float]:
    """Return each task's examples over all stages, as the mean over seeds whose stages have all finished."""
    counts: dict[str, list[int]] = {}
    for run in runs:
        results = [stage.result for stage in material.collection.list_stages(run)]
        finished = [result for result in results if result is not None]
        # A run with a parent has two stages; the first one is missing if only one is found.
        if len(finished) < len(results) or len(results) < 1 + bool(run.row.parent):
            continue
        for task in run.row.tasks:
            counts.setdefault(task, []).append(sum(result.examples[task] for result in finished))
    return {task: sum(numbers) / len(numbers) for task, numbers in counts.items()}


def _describe_budget(ratios: Sequence[float]) -> str:
    """Return the budget of a grouping in words, from the ratio of each task's examples to those of the reference."""
    if not ratios:
        return text.MISSING
    return f"more: {max(ratios):.3g} times" if max(ratios) > _MORE_BUDGET else "equal"


def _format_range(examples: dict[str, float]) -> Cell:
    """Return the lowest and the highest number of examples over tasks."""
    if not examples:
        return Cell(text.MISSING)
    low, high = min(examples.values()), max(examples.values())
    numbers = (
        text.format_count(low)
        if round(low) == round(high)
        else f"{text.format_count(low)} to {text.format_count(high)}"
    )
    return table_cells.make_number_cell(numbers, high)


def _count_trained_parameters(runs: Sequence[CollectedRun]) -> int | None:
    """Return the trained parameters of a grouping's models; None if the number of any model is not available."""
    # By block, because the models of all seeds have the same number.
    counts = {run.row.tasks: None if run.result is None else run.result.cost.trained_parameters for run in runs}
    available = [count for count in counts.values() if count is not None]
    return sum(available) if len(available) == len(counts) else None
