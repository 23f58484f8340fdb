"""Names of groupings with a short explanation, for their first use in a chapter."""

from usaggr.document.display_names import grouping_label
from usaggr.document.elements import literal

_EXPLANATIONS = {
    "task_specific": "one model per task",
    "clinical": "one per clinical group",
    "unified": "one for all tasks",
}


def explain_grouping(name: str) -> str:
    """Return a grouping's label with its explanation, such as `TS (one model per task)`, as inline Markdown.

    Groupings whose label is their name are returned without an explanation.
    """
    label = literal(grouping_label(name))
    return f"{label} ({_EXPLANATIONS[name]})" if name in _EXPLANATIONS else label
