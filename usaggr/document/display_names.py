"""What tables and figures call groupings, scales and verdicts, and how a reader is told what the words mean."""

from collections.abc import Iterable, Sequence

GROUPING_LABELS = {"task_specific": "TS", "clinical": "CG", "unified": "AU"}
"""As in the paper; other groupings go by their own name."""

_VERDICTS = {
    "gain": ("▲ gain", "better than the reference with certainty"),
    "no_loss": ("= no loss", "with certainty not worse than the reference by as much as the margin"),
    "loss": ("▼ loss", "worse than the reference with certainty, and not with certainty by less than the margin"),
    "undecided": ("? undecided", "none of these can be said with the seeds and test subjects at hand"),
    "": ("– no verdict", "too few test subjects or nothing to compare; the reason stands beside it"),
}
"""Marks tell verdicts apart where there is no colour."""

_GROUPINGS = {
    "task_specific": "task-specific: a model of its own for every task",
    "clinical": "clinically-grouped: the tasks of one clinical group (organ system or field) share a model",
    "unified": "all-task unified: one model for all tasks",
    "organ": "the tasks of one organ share a model",
    "image_source": "tasks that share image files, directly or through others, share a model",
    "task_type": "the tasks of one type (segmentation, classification, detection, regression) share a model",
    "staged_task": "a model for all tasks first, then one for each task from its weights, in as many examples together",
    "staged_type": "a model for all tasks first, then one for each type of task from its weights, in as many examples",
    "staged_clinical": "a model for all tasks first, then one for each clinical group from its weights, in as many "
    "examples together",
    "staged_task_extra": "the whole all-task model first, then one for each task from its weights: more examples",
    "staged_task_frozen": "as staged_task, with the encoder frozen in the second stage",
}


def grouping_label(name: str) -> str:
    """TS, CG, AU, or the grouping's own name."""
    return GROUPING_LABELS.get(name, name)


def scale_label(scale: float | int) -> str:
    """How much of each task's training data a scale takes."""
    if isinstance(scale, int):
        return f"at most {scale:,} training samples a task"
    return "all training samples" if scale == 1 else f"{100 * scale:.4g} % of the training samples"


def verdict_label(name: str) -> str:
    """A verdict with its mark; "" is no verdict."""
    return _VERDICTS[name][0]


def verdict_mark(name: str) -> str:
    """The mark alone."""
    return _VERDICTS[name][0].split()[0]


def describe_verdicts() -> list[tuple[str, str]]:
    """Each verdict with its mark, and what it means."""
    return list(_VERDICTS.values())


def plural(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: 1 task, 2 tasks."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(names: Sequence[str], joint: str = "and") -> str:
    """Names as a sentence has them: a, b and c."""
    return f" {joint} ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def describe_groupings(names: Iterable[str]) -> list[tuple[str, str]]:
    """Label and meaning of each grouping; the meaning names the grouping where its label does not."""
    described = []
    for name in names:
        meaning = _GROUPINGS.get(name, f"the grouping conf/grouping/{name}.yaml")
        label = grouping_label(name)
        described.append((label, meaning if label == name else f"grouping {name}, {meaning}"))
    return described
