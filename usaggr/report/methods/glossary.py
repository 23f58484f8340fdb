"""Glossary of the report: every abbreviation, mark and name of a column that appears, explained.

Terms that only one topic uses are in the topic's folder.
"""

from collections.abc import Sequence

from usaggr.document.display_names import describe_groupings, describe_verdicts
from usaggr.document.elements import Block, Details, Items, Section, literal
from usaggr.metrics.names import METRICS
from usaggr.report.material import Material, section
from usaggr.report.topic import Entry, Term

_COLUMNS = (
    ("grouping, scale, variant, task, metric", "the cell that a row is about"),
    ("n_train, n_test, n_subjects", "training samples of the task at this scale, test samples, test subjects"),
    ("reference_mean, mean", "mean score over the seeds that both have: of the reference, of the grouping"),
    ("delta, delta_low, delta_high", "the difference, positive where better, with its unadjusted interval"),
    ("df", "degrees of freedom of the Student's t that has the interval's critical value"),
    ("relative", "delta divided by the size of the reference's mean"),
    ("p, p_adjusted", "two-sided p value of no difference; adjusted by Holm within the family"),
    ("p_ni, p_ni_adjusted", "one-sided p value of a difference of at most minus the margin; adjusted likewise"),
    ("margin", "how much worse still counts as no loss, in the metric's own units"),
    ("seeds, seeds_needed", "seeds that both have; for undecided cells, seeds with which such a difference is decided"),
    ("verdict, note", "the verdict, and what is to be known of it"),
    (
        "tasks, same, missing",
        "in summary.csv: tasks counted, tasks whose model is the reference's own run, missing runs",
    ),
    ("low, high; skill_low, skill_high", "interval of delta_m; of delta_skill"),
    ("negative_transfer", "losses among the cells that have a verdict"),
    ("…_valid", "the same without collapsed and unconverged cells"),
    ("parameters, train_seconds", "of all models of a grouping; of training all its runs"),
)
PAPERS = ("task_specific", "clinical", "unified")
_NOTES = (
    ("same run", "block and reference are one and the same run: there is nothing to compare"),
    ("few subjects", "under 5 test subjects: scores, but no verdict"),
    ("too few", "the evidence rests on under 10 test subjects (in the rarer class, or that differ): no verdict"),
    ("provisional", "a verdict from a single seed, whose interval covers test subjects alone"),
    ("small loss", "certainly worse, yet certainly by less than the margin"),
    ("weak", "the interval of the cell's mean score includes the trivial predictor's score"),
)


def write_words(material: Material, terms: Sequence[Term], columns: Sequence[Term]) -> Section | None:
    """Write the glossary.

    Args:
        material: of the report.
        terms: terms that topics of the report add.
        columns: columns of the topics' tables.
    """
    study, data = material.study, material.collection.data
    types = {data.tasks[task].task.type for task in material.collection.tasks}
    metrics = [metric for task_type, of_type in METRICS.items() if task_type in types for metric in of_type]
    reference = literal(material.reference)
    # The paper's claims speak of its groupings, whether or not the study has them.
    known = dict.fromkeys([*study.groupings, *(PAPERS if material.comparison.runs_done else ())])
    words = [
        ("task", "one annotated problem"),
        ("block", "the tasks that share one model, trained as one **run** (block × scale × seed × variant)"),
        ("grouping", "a way to put all tasks into blocks"),
        ("cell", "task × grouping × scale × variant"),
        *((literal(label), literal(meaning)) for label, meaning in describe_groupings(known)),
        ("reference", f"the grouping that the others are compared with, here {reference}"),
        ("scale", "how much of a task's training data is used; validation and test data never shrink"),
        ("variant", "a named change of the network or its training, under which all groupings are trained"),
        ("subject", "the patient or video that a sample is from"),
        ("component", "samples tied by one image or subject, in any task: the split and the intervals rest on these"),
        ("trivial predictor", "ignores the image and answers from the training labels alone (most frequent class, mean "
         "mask, mean box, mean landmarks)"),
        ("skill", "(score − trivial) / (best possible − trivial), between −1 and 1: 0 is as good as the trivial "
         "predictor, 1 is perfect; it makes scores of different task types comparable"),
        ("Δ, delta", "difference from the reference; positive is better, whatever the metric's direction"),
        ("relative change", "Δ divided by the size of the reference's mean"),
        ("delta_m, delta_skill", "mean over tasks of the relative change of the main metric, and of the difference in "
         "skill; tasks whose model is the reference's own run are not counted"),
        ("margin", "how much worse than the reference still counts as no loss"),
        ("family", "the tasks of one grouping, scale and variant, whose p values are adjusted together"),
        ("adjusted p", "a p value raised by Holm's method, so that all of a family can be read together"),
        ("negative transfer", "sharing makes a task worse: a loss"),
        ("spread", "standard deviation over clinical groups of their true mean differences; small is consistent"),
        ("slope per tenfold samples", "by how much the difference changes with ten times the training samples"),
        ("↑, ↓", "higher, lower is better"),
    ]  # fmt: skip
    return section(
        "Words",
        _items(_with_topics(words, terms)),
        _fold("Metrics", [(literal(metric.label), literal(metric.meaning)) for metric in metrics]),
        _fold("Verdicts", describe_verdicts()),
        _fold("Notes", _NOTES),
        _fold("Columns of the tables on disk", _with_topics(_COLUMNS, columns)),
    )


def _with_topics(general: Sequence[Entry], of_topics: Sequence[Term]) -> list[Entry]:
    """Return the general terms with those of topics among them.

    Raises:
        ValueError: a term follows one that is no general term.
    """
    following: dict[str, list[Entry]] = {}
    for term in of_topics:
        following.setdefault(term.after, []).append(term.entry)
    at_the_end = following.pop("", [])
    entries: list[Entry] = []
    for entry in general:
        entries += [entry, *following.pop(entry[0], [])]
    if following:
        raise ValueError(f"the glossary has no general term {', '.join(following)} for a topic's term to follow")
    return entries + at_the_end


def _items(words: Sequence[Entry]) -> Items:
    return Items(tuple(f"**{word}**: {meaning}." for word, meaning in words))


def _fold(title: str, words: Sequence[Entry]) -> Block | None:
    return Details(title, (_items(words),)) if words else None
