"""Plain names of groupings for sentences, where their labels (TS, CG, AU) are not explained yet."""

from collections.abc import Iterable

from usaggr.document.display_names import grouping_label, join_names
from usaggr.document.elements import escape_markdown

_SHORT_NAMES = {
    "task_specific": "one model per task",
    "clinical": "one model per clinical group",
    "unified": "one model for all tasks",
    "organ": "one model per organ",
    "image_source": "one model per image source",
    "task_type": "one model per task type",
}
"""Names of groupings, as in `CG (one model per clinical group)`."""
_MODEL_PHRASES = {
    "task_specific": "in a model of its own",
    "clinical": "in a model shared by clinical group",
    "unified": "in one model for all tasks",
    "organ": "in a model shared by organ",
    "image_source": "in a model shared by image source",
    "task_type": "in a model shared by task type",
}
"""Phrases after `is better`, for the model of a task under a grouping."""


def explain_label(name: str) -> str:
    """Return a grouping's label with its plain name, as in `CG (one model per clinical group)`; escaped for pages."""
    label = escape_markdown(grouping_label(name))
    return f"{label} ({_SHORT_NAMES[name]})" if name in _SHORT_NAMES else label


def explain_labels(names: Iterable[str]) -> str:
    """Return the labels of groupings with their plain names, as a sentence lists them."""
    return join_names([explain_label(name) for name in names])


def describe_model(name: str) -> str:
    """Return words for the model that a task has under a grouping, as in `in a model shared by clinical group (CG)`."""
    label = escape_markdown(grouping_label(name))
    return f"{_MODEL_PHRASES[name]} ({label})" if name in _MODEL_PHRASES else f"under the grouping {label}"
