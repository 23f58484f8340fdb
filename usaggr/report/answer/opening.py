"""First lines of the report: the question, the finished runs, and the answer with its certainty."""

from collections.abc import Sequence

from usaggr.analysis.compare_study import Scale
from usaggr.analysis.recommendations import Recommendation, RecommendationKind, list_training_doubts, recommend_at_scale
from usaggr.analysis.row_tables import group_rows
from usaggr.document.display_names import join_names, pluralize
from usaggr.document.elements import Block, Paragraph, escape_markdown
from usaggr.metrics.names import get_metric
from usaggr.report.answer.missing_verdicts import has_few_patients
from usaggr.report.grouping_names import describe_model, explain_label, explain_labels
from usaggr.report.material import Material, make_paragraph
from usaggr.statistics.verdicts import PROVISIONAL_SEEDS

CONDITION = "All of this holds for this training fold; other training data may give other verdicts."
"""Condition of every verdict: training data are fixed, apart from the subset of a scale."""
_MAX_NAMES = 6
"""Largest number of tasks that a sentence names; a larger number is given as a count."""


def write_lead(material: Material) -> tuple[Block, ...]:
    """Write what the page shows before its first chapter."""
    runs = material.collection.planned
    finished = sum(run.state == "done" for run in runs)
    if not runs:
        return (Paragraph("**This folder has no planned runs, so there is nothing to report.**"),)
    question = _write_question(material)
    if not material.comparison.runs_done:
        state = f"**{finished:,} of {pluralize(len(runs), 'planned run')} are finished, so there is no answer yet.**"
        if all(run.state == "failed" for run in runs):
            state = (
                f"**All {pluralize(len(runs), 'planned run')} failed, so there is no answer.** The section on failed "
                "runs gives the reasons."
            )
        return (Paragraph(f"{question} {state} The chapters below describe the settings of the study."),)
    state = f"**{finished:,} of {pluralize(len(runs), 'planned run')} are finished.**"
    if finished < len(runs):
        state += " Tables mark the results of the other runs as missing."
    blocks = (_warn_of_overlap(material), make_paragraph(question, state), _write_answer(material))
    return tuple(block for block in blocks if block is not None)


def _warn_of_overlap(material: Material) -> Block | None:
    """Write a warning if a patient, an image or a file is in two subsets."""
    if material.collection.disjoint:
        return None
    return Paragraph(
        "**The training, validation and test subsets overlap: models were tested on patients or images that they may "
        "have been trained on. No score in this report can be trusted.** The chapter on data names the overlaps."
    )


def _write_question(material: Material) -> str:
    study, tasks = material.study, material.collection.tasks
    scales = {scale for _, scale in material.comparison.scales_by_variant}
    question = (
        f"Which of these {len(tasks):,} tasks should share one model?"
        if len(tasks) > 1
        else f"This study has one task, {escape_markdown(tasks[0])}, so no tasks can share a model."
    )
    return (
        f"{question} All groupings use the same network, data set and split. The study compares "
        f"{pluralize(len(study.groupings), 'grouping')} of the tasks: {explain_labels(material.comparison.groupings)}; "
        f"{pluralize(len(scales), 'amount')} of training data; {pluralize(len(study.seeds), 'seed')}."
    )


def _write_answer(material: Material) -> Block:
    if not material.comparison.other_groupings:
        only = explain_label(material.study.reference)
        return Paragraph(f"The only grouping is {only}, so nothing is compared.")
    # The first entry is the first variant at the largest scale; the chapter below answers all others.
    variant, scale = material.comparison.scales_by_variant[0]
    recommendations = recommend_at_scale(material.comparison, variant, scale)
    if all(recommendation.kind == "no verdict" for recommendation in recommendations):
        return Paragraph("**No difference can be tested.** The table below gives the reason for each task.")
    answer = write_answer_sentences(material, recommendations, variant, scale)
    return Paragraph(
        f"**With {escape_markdown(material.describe_setting(variant, scale))}: {answer}** "
        f"{describe_certainty(material)}"
    )


def write_answer_sentences(
    material: Material, recommendations: Sequence[Recommendation], variant: str, scale: Scale
) -> str:
    """Write which tasks to train together, which to leave as in the reference, and how many are undecided.

    Args:
        material: Content of the report.
        recommendations: One per task, of this variant and scale.
        variant: The variant of the study.
        scale: The amount of training data.
    """
    reference = explain_label(material.study.reference)
    sentences = [
        *(
            f"{tasks} {_conjugate(number)} better {describe_model(grouping)}."
            for grouping, tasks, number in _group_tasks(material, recommendations, "gain")
        ),
        *(
            f"{tasks} {_conjugate(number)} no worse {describe_model(grouping)}"
            f"{_qualify_no_loss(recommendations, grouping)}, and this grouping needs fewer models."
            for grouping, tasks, number in _group_tasks(material, recommendations, "fewer models")
        ),
        *(f"Keep {reference} for {tasks}." for _, tasks, _ in _group_tasks(material, recommendations, "reference")),
        _name_losses(material, variant, scale),
        _count_unanswered(material, recommendations, variant, scale),
        _count_doubtful(material, recommendations),
        _count_collapses(material, variant, scale),
    ]  # fmt: skip
    return " ".join(sentence for sentence in sentences if sentence)


def _group_tasks(
    material: Material, recommendations: Sequence[Recommendation], kind: RecommendationKind
) -> list[tuple[str, str, int]]:
    """Return each recommended grouping with the names and the number of its tasks, in the order of the study."""
    by_grouping = group_rows(
        (recommendation for recommendation in recommendations if recommendation.kind == kind),
        lambda recommendation: recommendation.grouping or "",
    )
    return [
        (name, _name_tasks([recommendation.task for recommendation in by_grouping[name]]), len(by_grouping[name]))
        for name in material.comparison.groupings
        if name in by_grouping
    ]


def _qualify_no_loss(recommendations: Sequence[Recommendation], grouping: str) -> str:
    """Return which failures the recommendations of a grouping do not exclude, in brackets; empty if they do."""
    recommended = [r.evidence for r in recommendations if r.kind == "fewer models" and r.grouping == grouping]
    qualified = [row for row in recommended if row is not None and row.rarer_than is not None]
    if not qualified:
        return ""
    number = f"{len(qualified)} of them " if len(qualified) < len(recommended) else ""
    # N counts all test subjects or those of the rarer class. In each group, the smallest N excludes the least.
    by_count = group_rows(qualified, lambda row: get_metric(row.metric).is_per_sample)
    weakest = [min(cells, key=lambda row: row.rarer_than or 0) for cells in by_count.values()]
    return f" ({number}{' or '.join(row.rarer_failures for row in weakest)})"


def _name_tasks(tasks: Sequence[str]) -> str:
    """Return the names of a few tasks, or the number of many."""
    return join_names([escape_markdown(task) for task in tasks]) if len(tasks) <= _MAX_NAMES else f"{len(tasks)} tasks"


def _conjugate(number: int) -> str:
    """Return the verb of a sentence on a number of tasks."""
    return "is" if number == 1 else "are"


def _count_unanswered(material: Material, recommendations: Sequence[Recommendation], variant: str, scale: Scale) -> str:
    """Write how many tasks have no answer: undecided, too few test patients, collapsed runs, or another reason."""
    n_undecided = sum(recommendation.kind == "undecided" for recommendation in recommendations)
    untested = {recommendation.task for recommendation in recommendations if recommendation.kind == "no verdict"}
    by_task = group_rows(
        (row for row in material.comparison.get_main_verdicts(variant, scale) if row.task in untested),
        lambda row: row.task,
    )
    n_few = sum(any(has_few_patients(row) for row in verdicts) for verdicts in by_task.values())
    n_collapsed = sum(
        any(row.has_collapsed_seeds for row in verdicts) and not any(has_few_patients(row) for row in verdicts)
        for verdicts in by_task.values()
    )
    sentences = []
    if n_undecided:
        sentences.append(f"For {pluralize(n_undecided, 'task')} these data do not decide.")
    if n_few:
        sentences.append(f"{pluralize(n_few, 'task')} {'has' if n_few == 1 else 'have'} too few test patients.")
    if n_collapsed:
        sentences.append(f"For {pluralize(n_collapsed, 'task')} there is no answer, because runs collapsed.")
    if len(untested) > n_few + n_collapsed:
        number = pluralize(len(untested) - n_few - n_collapsed, "task")
        sentences.append(f"{number} cannot be tested for another reason, which the table below gives.")
    return " ".join(sentences)


def _count_collapses(material: Material, variant: str, scale: Scale) -> str:
    """Write in how many tasks a run collapsed, and what that means for the others; empty if none did."""
    verdicts = material.comparison.get_main_verdicts(variant, scale)
    tasks = {row.task for row in verdicts}
    n_collapsed = len({row.task for row in verdicts if row.has_collapsed_seeds})
    if not n_collapsed:
        return ""
    number = f"{n_collapsed} of {pluralize(len(tasks), 'task')}"
    return f"A run collapsed on {number}, so that gains and no loss of others hold only for runs that do not collapse."


def _count_doubtful(material: Material, recommendations: Sequence[Recommendation]) -> str:
    """Write how many answers rest on models that failed to train, in a sentence; empty if none does."""
    verdicts = [
        recommendation.evidence
        for recommendation in recommendations
        if recommendation.grouping is not None and recommendation.evidence is not None
    ]
    # That verdicts are provisional is stated by `describe_certainty`.
    n_doubtful = sum(bool(list_training_doubts(row, material.reference)) for row in verdicts)
    if not n_doubtful:
        return ""
    answers = "1 of these answers is" if n_doubtful == 1 else f"{n_doubtful} of these answers are"
    return (
        f"{answers} less certain, because models failed to converge or performed no better than the trivial predictor "
        "(which ignores the image)."
    )


def _name_losses(material: Material, variant: str, scale: Scale) -> str:
    """Write which tasks are worse under which groupings, in sentences; empty if there is no loss."""
    verdicts = material.comparison.get_main_verdicts(variant, scale)
    # No headline rests on a cell with a collapsed seed.
    losses = group_rows(
        (row for row in verdicts if row.verdict == "loss" and not row.has_collapsed_seeds), lambda row: row.grouping
    )
    groupings_by_tasks: dict[tuple[str, ...], list[str]] = {}
    for grouping in material.comparison.other_groupings:
        tasks = tuple(row.task for row in losses.get(grouping, []))
        if tasks:
            groupings_by_tasks.setdefault(tasks, []).append(describe_model(grouping))
    return " ".join(
        f"{_name_tasks(tasks)} {_conjugate(len(tasks))} worse {join_names(models)}."
        for tasks, models in groupings_by_tasks.items()
    )


def describe_certainty(material: Material) -> str:
    """Write which random variation the verdicts account for, and how often they may be wrong."""
    if len(material.study.seeds) < 2:
        return (
            "All verdicts are provisional. With one seed, intervals account for which patients are in the test set, "
            f"but not for random variation between training runs. {CONDITION}"
        )
    sentences = (
        "Verdicts account for random variation between training runs (seeds) and for which patients are in the test "
        f"set. {CONDITION}",
        _bound_false_verdicts(material),
        _count_provisional(material),
        _count_looks(material),
    )
    return " ".join(sentence for sentence in sentences if sentence)


def _count_provisional(material: Material) -> str:
    """Write that verdicts from two seeds or one are provisional; empty if every cell with a verdict has more."""
    if len(material.study.seeds) <= PROVISIONAL_SEEDS:
        return (
            "All verdicts are provisional: two seeds hardly show how training runs vary, so false verdicts may be more "
            "frequent than stated."
        )
    verdicts = [row for row in material.comparison.verdicts if row.main and row.verdict]
    number = sum(row.seeds <= PROVISIONAL_SEEDS for row in verdicts)
    if not number:
        return ""
    are_provisional = "is provisional, because it is" if number == 1 else "are provisional, because they are"
    return (
        f"{number} of {pluralize(len(verdicts), 'verdict')} in this report {are_provisional} from one or two seeds: "
        "one seed does not show how training runs vary, and two hardly do. False verdicts may be more frequent than "
        "stated."
    )


def _bound_false_verdicts(material: Material) -> str:
    """Write how often verdicts are false: within a family, and anywhere in the report if it has several."""
    bounds = "the chance of any false gain is at most 2.5 %, and the chance of any false difference is at most 5 %."
    if material.study.family == "study":
        return f"Among all tests of this study, {bounds}"
    sentence = f"Among the tasks of one grouping and amount of training data, {bounds}"
    families = material.comparison.tested_families
    if families < 2:
        return sentence
    # Bonferroni's bound: it holds however the families depend on each other.
    return (
        f"{sentence} This report has {families} such families, each tested at 5 %: if nothing differed, the chance of "
        f"a false difference anywhere would be up to {min(5 * families, 100)} %. `usaggr report DIR "
        "report.family=study` corrects for all of them."
    )


def _count_looks(material: Material) -> str:
    """Write at which numbers of seeds reports gave verdicts; empty if this is the only one."""
    sentences = []
    numbers = material.comparison.reported_seeds
    if len(numbers) > 1:
        sentences.append(
            f"Reports of this sweep looked at its results with {join_names([str(number) for number in numbers])} "
            "seeds; p values are not adjusted for it, so that false verdicts are more frequent than stated."
        )
    if material.comparison.collection.is_record_damaged:
        sentences.append(
            "Warning: the record of earlier reports, `reported_seeds.csv`, was damaged. It is kept, but numbers of "
            "seeds of earlier reports may be missing here. Remove the files `reported_seeds.damaged*.csv` to end this "
            "warning."
        )
    return " ".join(sentences)
