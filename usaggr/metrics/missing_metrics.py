"""The metrics that this version computes and a stored result lacks, because an older version wrote it."""

from collections.abc import Iterable, Mapping

from usaggr.metrics.names import METRICS

REMEDY = (
    "no command scores stored predictions again, and the runs keep their other scores; remove their folders, and the "
    "same `usaggr sweep` trains them again with all metrics"
)
"""What a user can do about runs that lack metrics."""


def missing_metrics(
    scores: Mapping[str, Mapping[str, float]], notes: Mapping[str, Iterable[str]]
) -> dict[str, tuple[str, ...]]:
    """Return the missing metrics of each task that lacks any.

    A metric that a note explains is not missing: of a test fold with a single class, AUC is not defined.

    Args:
        scores: task: metric: value, as in result.json. The task's type follows from the metrics that are there.
        notes: task: remarks, as in result.json.
    """
    missing: dict[str, tuple[str, ...]] = {}
    for task_id, values in scores.items():
        explained = {noted_metric(note) for note in notes.get(task_id, ())}
        expected = next((m for m in METRICS.values() if any(metric.name in values for metric in m)), ())
        names = [metric.name for metric in expected]
        if absent := tuple(name for name in names if name not in values and name not in explained):
            missing[task_id] = absent
    return missing


def noted_metric(note: str) -> str | None:
    """Return the metric that a note is about, with whose name it begins; None for a note on all metrics."""
    first = note.split(maxsplit=1)[0].rstrip(":,").lower() if note.strip() else ""
    return first if any(first == metric.name for metrics in METRICS.values() for metric in metrics) else None
