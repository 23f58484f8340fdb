"""Names of groupings, scales and verdicts in tables and figures, and their explanations for readers."""

from collections.abc import Iterable, Sequence

from usaggr.tasks import TASK_TYPES

GROUPING_LABELS = {"task_specific": "TS", "clinical": "CG", "unified": "AU"}
"""Labels of three groupings as in the paper; other groupings are labeled by their names."""

_VERDICTS = {
    "gain": ("▲ gain", "better than the reference"),
    "no_loss": ("= no loss", "worse than the reference by less than the margin, if at all"),
    "loss": ("▼ loss", "worse than the reference, and not certain to be worse by less than the margin"),
    "undecided": ("? undecided", "the seeds and test subjects do not suffice for any of these verdicts"),
    "": ("– no verdict", "too few test subjects, or nothing to compare; the reason is given"),
}
"""Mark with word, and meaning, of each verdict. The marks distinguish verdicts in print and without color vision."""
QUALIFIED_MARK = "‡"
"""Mark of a no loss that holds only apart from rare failures."""
QUALIFIED_MEANING = (
    "no loss apart from failures rarer than 1 in N (AUC: in the rarer class), which these test subjects may not show"
)
"""Meaning of `QUALIFIED_MARK` with a number N."""

_GROUPINGS = {
    "task_specific": "task-specific: one model per task",
    "clinical": "clinically grouped: one model per clinical group (organ system or field)",
    "unified": "all-task unified: one model for all tasks",
    "organ": "one model per organ",
    "image_source": "one model per image source: tasks that share image files, directly or through other tasks",
    "task_type": f"one model per task type ({', '.join(TASK_TYPES)})",
    "staged_task": "first one model for all tasks, then one per task that starts from its weights; "
    "the same number of training examples in total",
    "staged_type": "first one model for all tasks, then one per task type that starts from its weights; "
    "the same number of training examples in total",
    "staged_clinical": "first one model for all tasks, then one per clinical group that starts from its weights; "
    "the same number of training examples in total",
    "staged_task_extra": "first the fully trained model for all tasks, then one per task that starts from its weights; "
    "more training examples in total",
    "staged_task_frozen": "as staged_task, with the encoder frozen in the second stage",
}


def grouping_label(name: str) -> str:
    """Return TS, CG or AU, or the name of any other grouping."""
    return GROUPING_LABELS.get(name, name)


def scale_label(scale: float | int) -> str:
    """Return a description of how much of each task's training data a scale uses."""
    if isinstance(scale, int):
        return f"at most {scale:,} training samples per task"
    return "all training samples" if scale == 1 else f"{100 * scale:.4g} % of the training samples"


def verdict_label(name: str) -> str:
    """Return a verdict with its mark; the name "" stands for no verdict."""
    return _VERDICTS[name][0]


def verdict_mark(name: str) -> str:
    """Return the mark of a verdict, without its word."""
    return _VERDICTS[name][0].split()[0]


def describe_verdicts() -> list[tuple[str, str]]:
    """Return each verdict with its mark, and its meaning."""
    return [*_VERDICTS.values(), (f"= no loss {QUALIFIED_MARK}N", QUALIFIED_MEANING)]


def describe_rarer_failures(rarer_than: int, in_rarer_class: bool = False) -> str:
    """Return the note on a no loss that does not exclude failures rarer than 1 in `rarer_than`.

    Args:
        rarer_than: The number N: fewer than one in N test subjects may fail.
        in_rarer_class: True if these are the subjects of the rarer class, as for AUC. Failures are then also excluded
            if they are more frequent than 1 in N of all subjects, because every other class has more of them.
    """
    return f"apart from failures rarer than 1 in {rarer_than:,}{' in the rarer class' if in_rarer_class else ''}"


def pluralize(number: int, noun: str, nouns: str | None = None) -> str:
    """Return a number with its noun, as in `1 task` and `2 tasks`.

    Args:
        number: The number.
        noun: The noun in the singular.
        nouns: The noun in the plural. Default: the singular with an s.
    """
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def join_names(names: Sequence[str], joint: str = "and") -> str:
    """Return names as a sentence lists them: `a, b and c`."""
    return f" {joint} ".join(text for text in (", ".join(names[:-1]), *names[-1:]) if text)


def describe_groupings(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the label and meaning of each grouping; the meaning includes the name if the label differs from it."""
    described = []
    for name in names:
        meaning = _GROUPINGS.get(name, f"the grouping conf/grouping/{name}.yaml")
        label = grouping_label(name)
        described.append((label, meaning if label == name else f"grouping {name}, {meaning}"))
    return described
