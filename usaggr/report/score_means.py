"""Sentences that say over what a score is a mean: over test subjects or over test samples."""

from usaggr.document.display_names import join_names
from usaggr.document.elements import escape_markdown
from usaggr.metrics.names import METRICS
from usaggr.report.material import Material
from usaggr.tasks import has_class_label


def describe_mean(material: Material) -> str:
    """Return a short sentence for readers of scores; empty if subjects have equally many samples."""
    unequal, weighted = _list_unequal(material), material.collection.weighted
    if not unequal:
        return ""
    if all(task in weighted for task in unequal):
        return "A score is a mean over test subjects, each of which counts once."
    if not any(task in weighted for task in unequal):
        return "A score is a mean over test samples, so that a subject counts by the number of its samples."
    return f"A score is a mean over test subjects, each of which counts once{_describe_exceptions(material)}."


def describe_aggregation(material: Material) -> str:
    """Return the sentences of the methods; empty if the test samples of the tasks are unknown."""
    collection = material.collection
    tasks, unequal = [task for task in collection.tasks if task in collection.folds], _list_unequal(material)
    if not tasks:
        return ""
    if not unequal:
        return "All test subjects of a task have the same number of samples, so each subject counts equally."
    if not any(task in collection.weighted for task in unequal):
        return (
            "A score is a mean over test samples, or computed from all of them, so that a patient or video counts by "
            "the number of its samples (`report.aggregate: sample`, or runs without predictions). Tests and intervals "
            "apply to these scores."
        )
    types = sorted({collection.data.tasks[task].task.type for task in unequal})
    labels = [metric.label for kind in types for metric in METRICS[kind] if not metric.is_per_sample]
    weights = (
        f" In scores of the whole test set ({', '.join(labels)}), each sample has the weight 1 / number of its "
        "subject's test samples."
        if labels
        else ""
    )
    return (
        "A score is the mean over test subjects (patients or videos) of the means over each subject's samples, so that "
        "a subject counts once, however many samples it has (Maier-Hein, Reinke et al. "
        f"2024){_describe_exceptions(material)}.{weights}{_describe_trivial(material)}"
    )


def _describe_trivial(material: Material) -> str:
    """Return a sentence about tasks whose trivial predictor has only means over samples; empty without one.

    A constant answer has the same AUC with any weights, so that classification tasks need no such sentence.
    """
    collection = material.collection
    tasks = [
        task
        for task in collection.tasks
        if task in collection.weighted
        and not has_class_label(collection.data.tasks[task].task.type)
        and any(
            task in run.row.tasks and run.result is not None and task not in run.result.trivial_by_subject
            for run in collection.runs
        )
    ]
    if not tasks:
        return ""
    names = join_names([escape_markdown(task) for task in tasks])
    return (
        f" The trivial predictor's scores of {names} are means over samples, because runs of older versions stored no "
        "others; skill is therefore approximate if the trivial predictor depends on the number of samples."
    )


def _list_unequal(material: Material) -> list[str]:
    """Return the tasks whose test subjects have unequal numbers of samples."""
    folds = material.collection.folds
    return [task for task in material.collection.tasks if task in folds and folds[task].weights is not None]


def _describe_exceptions(material: Material) -> str:
    """Return the end of a sentence about tasks whose scores are means over samples; empty without one."""
    tasks = [task for task in _list_unequal(material) if task not in material.collection.weighted]
    if not tasks:
        return ""
    names = join_names([escape_markdown(task) for task in tasks])
    return f"; scores of {names} are means over samples, because runs without predictions have no others"
