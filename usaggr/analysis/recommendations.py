"""Recommends a grouping for each task, by fixed rules over the verdicts of its cells.

1. The grouping with the largest gain.
2. Without a gain, the grouping with the fewest models among those that lose nothing and need fewer than the reference.
3. Otherwise the reference, if every other grouping loses or saves no model.

If a missing verdict could change this, no grouping is recommended. A cell with a collapsed seed counts as one without a
verdict, also if it is a loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.compare_study import Scale, StudyComparison
from usaggr.analysis.row_tables import group_rows
from usaggr.document.display_names import grouping_label
from usaggr.metrics.names import compute_improvement, get_metric

Kind = Literal["gain", "good enough", "keep", "not known", "no verdict"]
KINDS: tuple[Kind, ...] = ("gain", "good enough", "keep", "not known", "no verdict")

_NEVER = float("inf")
"""Sorts behind any number of seeds, for cells that more seeds cannot decide."""


@dataclass(frozen=True)
class Recommendation:
    """Recommended grouping for a task at a scale."""

    task: str
    kind: Kind
    grouping: str | None
    """Grouping to use; None if the verdicts do not determine one."""
    row: CellVerdict | None
    """Verdict that determines the recommendation; None if there is no verdict that decides."""
    seeds_needed: int | None = None
    """Seeds that decide each undecided grouping with the probability `power.POWER`, as far as seeds can.

    None if there is an answer, or if more seeds cannot give one.
    """


def recommend(verdicts: Sequence[CellVerdict], reference: str, models: Mapping[str, int]) -> Recommendation:
    """Return the recommended grouping for a task.

    Args:
        verdicts: Verdicts of one task on its main metric, at one scale and variant: one per grouping.
        reference: Grouping with which they are compared.
        models: Number of models that each grouping needs for all tasks.

    Raises:
        ValueError: There are no verdicts.
    """
    if not verdicts:
        raise ValueError("a recommendation needs at least one comparison")
    task = verdicts[0].task
    is_answered = all(row.same or (row.verdict and not row.has_collapsed_seeds) for row in verdicts)
    verdicts = [row for row in verdicts if not row.has_collapsed_seeds]
    gains = [row for row in verdicts if row.verdict == "gain"]
    if gains:
        best = max(gains, key=lambda row: row.delta)
        return Recommendation(task, "gain", best.grouping, best)
    cheaper = [row for row in verdicts if row.verdict == "no_loss" and models[row.grouping] < models[reference]]
    if cheaper:
        # Fewest models first; of equally many, the grouping with the better mean.
        best = min(cheaper, key=lambda row: (models[row.grouping], -row.delta))
        return Recommendation(task, "good enough", best.grouping, best)
    undecided = [row for row in verdicts if row.verdict == "undecided"]
    if undecided:
        first = min(undecided, key=_get_seeds_needed)
        # The smallest of several estimated numbers would be too small: this one is enough for each undecided grouping.
        numbers = [row.seeds_needed for row in undecided if row.seeds_needed is not None]
        return Recommendation(task, "not known", None, first, max(numbers, default=None))
    judged = [row for row in verdicts if row.verdict in ("loss", "no_loss")]
    if judged and is_answered:
        worst = min(judged, key=lambda row: row.delta)
        return Recommendation(task, "keep", reference, worst)
    return Recommendation(task, "no verdict", None, None)


def _get_seeds_needed(row: CellVerdict) -> float:
    return _NEVER if row.seeds_needed is None else row.seeds_needed


def list_doubts(row: CellVerdict, reference: str) -> list[str]:
    """Return reasons to doubt a verdict: a single seed, or models that did not learn the task.

    Args:
        row: The verdict.
        reference: Display name of the reference grouping.
    """
    doubts = ["provisional (one seed)"] if row.seeds == 1 else []
    sides = (
        (grouping_label(row.grouping), row.collapsed, row.unconverged),
        (reference, row.collapsed_reference, row.unconverged_reference),
    )
    for label, collapsed, unconverged in sides:
        if collapsed:
            doubts.append(f"{label} collapsed")
        elif unconverged:
            doubts.append(f"{label} has not converged")
    metric = get_metric(row.metric)
    best = max(compute_improvement(score, row.trivial, metric) for score in (row.mean, row.reference_mean))
    if best <= 0:
        doubts.append("neither is better than the trivial predictor")
    return doubts


def recommend_at_scale(comparison: StudyComparison, variant: str, scale: Scale) -> tuple[Recommendation, ...]:
    """Return the recommendation for each task that has verdicts, in the order of the study's tasks.

    Args:
        comparison: Comparison of the study.
        variant: Name of the variant.
        scale: Amount of training data.
    """
    models = {name: comparison.count_models(name) for name in comparison.study.groupings}
    by_task = group_rows(comparison.get_main_verdicts(variant, scale), lambda row: row.task)
    return tuple(
        recommend(by_task[task], comparison.study.reference, models)
        for task in comparison.collection.tasks
        if task in by_task
    )
