"""Glossary of the report: terms, abbreviations, marks and column names, with the words of docs/glossary.md.

Terms that only one topic uses are defined in the topic's folder.
"""

from collections.abc import Sequence

from usaggr.document.display_names import describe_groupings, describe_verdicts
from usaggr.document.elements import Block, Details, Items, Section, escape_markdown
from usaggr.metrics.names import METRICS
from usaggr.report.material import Material, make_section
from usaggr.report.topic import Entry, Term
from usaggr.statistics.minimum_evidence import FEWEST_SUBJECTS

_COLUMNS = (
    ("grouping, scale, variant, task, metric", "the cell that a row describes"),
    ("n_train, n_test, n_subjects", "training samples of the task at this scale, test samples, test subjects"),
    ("reference_mean, mean", "mean score of the reference and of the grouping, over the seeds that both have"),
    (
        "delta, delta_low, delta_high",
        "difference from the reference, positive if better, with its interval, not adjusted for the number of tasks",
    ),
    ("df", "degrees of freedom of Student's t for the interval"),
    ("relative", "delta divided by the absolute value of the reference's mean"),
    ("p, p_adjusted", "two-sided p value for no difference; the same with Holm's adjustment over the family"),
    ("p_ni, p_ni_adjusted", "one-sided p value of a loss of at least the margin; the same, adjusted likewise"),
    ("margin", "loss that is accepted as unimportant, in units of the metric"),
    (
        "seeds, seeds_needed",
        "seeds that grouping and reference both have; for undecided cells, number of seeds needed to decide",
    ),
    ("verdict, note", "the verdict, and notes on it"),
    (
        "tasks, same, missing",
        "in summary.csv: tasks counted, tasks that use the same model as under the reference, missing runs",
    ),
    ("low, high; skill_low, skill_high", "interval of delta_m; interval of delta_skill"),
    ("negative_transfer", "share of losses among the cells that have a verdict"),
    ("…_valid", "the same without cells that have a collapsed seed or are unconverged"),
    ("parameters, train_seconds", "parameters of all models of a grouping; training time of all its runs"),
)
PAPER_GROUPINGS = ("task_specific", "clinical", "unified")
_NOTES = (
    ("same run", "the task uses the same model as under the reference, so there is nothing to compare"),
    (
        "too few",
        f"fewer than {FEWEST_SUBJECTS} independent test subjects (those that share images count as one), in total or "
        "in the rarer class, or a difference that depends on fewer: no verdict, and an interval that cannot be trusted",
    ),
    (
        "apart from failures rarer than 1 in N",
        "no loss, unless the grouping fails on so few subjects that a test set of this size may show none of them; for "
        "AUC, failures and N count subjects of the rarer class",
    ),
    (
        "provisional",
        "a verdict from one seed, whose interval covers test subjects only, or from two seeds, whose tests may err "
        "more often than stated in large families, because two seeds hardly show the variance between seeds",
    ),
    ("small loss", "worse than the reference, but by less than the margin"),
    ("weak", "the interval of the cell's mean score includes the trivial predictor's score"),
)


def write_glossary(material: Material, topic_terms: Sequence[Term], topic_columns: Sequence[Term]) -> Section | None:
    """Write the glossary.

    Args:
        material: Tables and collected runs of the report.
        topic_terms: Terms that the report's topics add.
        topic_columns: Columns of the topics' tables.
    """
    study, data = material.study, material.collection.data
    types = {data.tasks[task].task.type for task in material.collection.tasks}
    metrics = [metric for task_type, metrics in METRICS.items() if task_type in types for metric in metrics]
    reference = escape_markdown(material.reference)
    # The claims chapter mentions the paper's groupings even if the study has others.
    groupings = dict.fromkeys([*study.groupings, *(PAPER_GROUPINGS if material.comparison.runs_done else ())])
    terms = [
        ("task", "one annotated problem, with its type and its classes or landmarks"),
        ("block", "tasks that share one model"),
        ("run", "one trained model: block × scale × seed × variant"),
        ("grouping", "a division of all tasks into blocks"),
        ("cell", "one task under one grouping, scale and variant, over all seeds"),
        *((escape_markdown(label), escape_markdown(meaning)) for label, meaning in describe_groupings(groupings)),
        ("reference", f"the grouping that the others are compared with, here {reference}"),
        ("scale", "the amount of each task's training data: a fraction, or a maximum number of samples; validation and "
         "test data stay the same"),
        ("seed", "the number that fixes initial weights, the order of samples and, by default, which training samples "
         "a scale takes"),
        ("variant", "a named list of configuration overrides; each grouping is trained under each "
         "variant"),
        ("subject", "the patient or video that a sample comes from"),
        ("component", "samples connected by the same image or subject, in any task; a component is never divided "
         "between training, validation and test data"),
        ("trivial predictor", "a baseline that ignores the image, fitted to the training labels (class frequencies, "
         "mean mask, mean box or mean landmarks)"),
        ("skill", "(score − trivial) / (best possible − trivial), clipped to −1 to 1: 0 is no better than the trivial "
         "predictor, 1 is perfect; makes scores of different task types comparable"),
        ("main metric", "the primary metric of a task, on which its verdict is based"),
        ("Δ, delta", "difference from the reference; positive is better for every metric"),
        ("relative change", "Δ divided by the absolute value of the reference's mean"),
        ("delta_m, delta_skill", "mean over tasks of the relative change of the main metric, and of the difference in "
         "skill, without tasks that use the same model as under the reference"),
        ("margin", "the loss that is accepted as unimportant"),
        ("family", "the comparisons that Holm's adjustment counts together: the tasks of one grouping, scale and "
         "variant"),
        ("adjusted p", "p value adjusted by Holm's method for the number of tasks in its family"),
        ("negative transfer", "a task is worse with sharing than without: the verdict loss"),
        ("↑, ↓", "higher is better, lower is better"),
    ]  # fmt: skip
    return make_section(
        "Glossary",
        _make_items(_insert_terms(terms, topic_terms)),
        _make_details(
            "Metrics", [(escape_markdown(metric.label), escape_markdown(metric.meaning)) for metric in metrics]
        ),
        _make_details("Verdicts", describe_verdicts()),
        _make_details("Notes", _NOTES),
        _make_details("Columns of the CSV tables", _insert_terms(_COLUMNS, topic_columns)),
    )


def _insert_terms(general: Sequence[Entry], topic_terms: Sequence[Term]) -> list[Entry]:
    """Return the general terms with those of the topics inserted after the general terms that they name.

    Raises:
        ValueError: A term follows one that is not a general term.
    """
    following: dict[str, list[Entry]] = {}
    for term in topic_terms:
        following.setdefault(term.after, []).append(term.entry)
    # Terms that name no general term come last.
    last = following.pop("", [])
    entries: list[Entry] = []
    for entry in general:
        entries += [entry, *following.pop(entry[0], [])]
    if following:
        raise ValueError(f"the glossary has no general term {', '.join(following)} for a topic's term to follow")
    return entries + last


def _make_items(entries: Sequence[Entry]) -> Items:
    return Items(tuple(f"**{term}**: {meaning}." for term, meaning in entries))


def _make_details(title: str, entries: Sequence[Entry]) -> Block | None:
    return Details(title, (_make_items(entries),)) if entries else None
