"""Metrics that this version computes but that a stored result of an older version does not have."""

from collections.abc import Iterable, Mapping

from usaggr.metrics.names import METRICS

REMEDY = (
    "no command scores stored predictions again, and the runs keep their other scores; remove their folders, and the "
    "same `usaggr sweep` trains them again with all metrics"
)
"""Advice to the user about runs without some metrics."""


def find_missing_metrics(
    scores: Mapping[str, Mapping[str, float]], notes: Mapping[str, Iterable[str]]
) -> dict[str, tuple[str, ...]]:
    """Return the missing metrics of each task that has missing metrics.

    A metric that a note explains is not missing: for example, AUC is not defined for a test set with a single class.

    Args:
        scores: Value by task and metric, as in result.json. The type of a task follows from its metrics.
        notes: Remarks by task, as in result.json.
    """
    missing: dict[str, tuple[str, ...]] = {}
    for task_id, values in scores.items():
        explained = {parse_noted_metric(note) for note in notes.get(task_id, ())}
        expected = next((m for m in METRICS.values() if any(metric.name in values for metric in m)), ())
        names = [metric.name for metric in expected]
        if absent := tuple(name for name in names if name not in values and name not in explained):
            missing[task_id] = absent
    return missing


def parse_noted_metric(note: str) -> str | None:
    """Return the metric with whose name a note begins; None for a note about all metrics."""
    first = note.split(maxsplit=1)[0].rstrip(":,").lower() if note.strip() else ""
    return first if any(first == metric.name for metrics in METRICS.values() for metric in metrics) else None
