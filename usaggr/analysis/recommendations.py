"""Recommends a grouping for each task, by fixed rules over the verdicts of its cells.

1. The grouping with the largest gain.
2. Without a gain: of the groupings with the verdict no loss that need fewer models than the reference, the one with the
   fewest models.
3. Otherwise the reference, if each other grouping has the verdict loss, has no loss without needing fewer models, or
   uses the reference's runs. At least one grouping must have a verdict.

If no rule applies, no grouping is recommended: the task is undecided, or has no verdict. Rules 1 and 2 apply even if
another grouping is undecided or has no verdict. A cell with a collapsed seed is treated as if it had no verdict, even
if its verdict is loss.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.compare_study import Scale, StudyComparison
from usaggr.analysis.row_tables import group_rows
from usaggr.document.display_names import grouping_label
from usaggr.metrics.names import compute_improvement, get_metric
from usaggr.statistics.verdicts import PROVISIONAL_SEEDS

RecommendationKind = Literal["gain", "fewer models", "reference", "undecided", "no verdict"]
"""Result of the rules for a task.

- gain: Rule 1.
- fewer models: Rule 2, no loss with fewer models than the reference.
- reference: Rule 3.
- undecided: No rule applies, and a grouping has the verdict undecided.
- no verdict: No rule applies, and verdicts are missing.
"""


@dataclass(frozen=True)
class Recommendation:
    """Recommended grouping for a task at a scale."""

    task: str
    kind: RecommendationKind
    grouping: str | None
    """Grouping to use; None if no rule applies."""
    evidence: CellVerdict | None
    """Verdict to show as evidence; None if the kind is "no verdict".

    This is the chosen gain or no loss; for the reference, the verdict with the smallest delta; for an undecided task,
    the undecided verdict that needs the fewest seeds.
    """
    seeds_needed: int | None = None
    """Number of seeds that is likely to decide each undecided grouping, with the probability `statistics.power.POWER`.

    Groupings that more seeds cannot decide, or with a single seed, from which no number can be estimated, do not count.
    None if no undecided grouping has a number, and for all other kinds.
    """


def recommend(verdicts: Sequence[CellVerdict], reference: str, models: Mapping[str, int]) -> Recommendation:
    """Return the recommended grouping for a task.

    Args:
        verdicts: Verdicts of one task on its main metric, at one scale and variant: one per grouping other than the
            reference.
        reference: Grouping with which they are compared.
        models: Number of models that each grouping needs for all tasks.

    Raises:
        ValueError: There are no verdicts.
    """
    if not verdicts:
        raise ValueError("a recommendation needs at least one comparison")
    task = verdicts[0].task
    # A grouping with the reference's runs needs no verdict.
    all_have_verdicts = all(row.same or (row.verdict and not row.has_collapsed_seeds) for row in verdicts)
    verdicts = [row for row in verdicts if not row.has_collapsed_seeds]
    gains = [row for row in verdicts if row.verdict == "gain"]
    if gains:
        best = max(gains, key=lambda row: row.delta)
        return Recommendation(task, "gain", best.grouping, best)
    cheaper = [row for row in verdicts if row.verdict == "no_loss" and models[row.grouping] < models[reference]]
    if cheaper:
        # The fewest models; if equal, the largest delta.
        best = min(cheaper, key=lambda row: (models[row.grouping], -row.delta))
        return Recommendation(task, "fewer models", best.grouping, best)
    undecided = [row for row in verdicts if row.verdict == "undecided"]
    if undecided:
        # A single seed comes before cells that more seeds cannot decide.
        quickest = min(undecided, key=lambda row: (row.seeds_needed or math.inf, row.seeds > 1))
        # The largest number is enough for every undecided grouping, as far as more seeds can decide it.
        largest = max((row.seeds_needed for row in undecided if row.seeds_needed is not None), default=None)
        return Recommendation(task, "undecided", None, quickest, largest)
    judged = [row for row in verdicts if row.verdict in ("loss", "no_loss")]
    if judged and all_have_verdicts:
        worst = min(judged, key=lambda row: row.delta)
        return Recommendation(task, "reference", reference, worst)
    return Recommendation(task, "no verdict", None, None)


def list_doubts(row: CellVerdict, reference: str) -> list[str]:
    """Return reasons to doubt a verdict: it is provisional, or models did not learn the task.

    Args:
        row: The verdict.
        reference: Display name of the reference grouping.
    """
    if row.seeds > PROVISIONAL_SEEDS:
        return list_training_doubts(row, reference)
    number = "one seed" if row.seeds == 1 else f"{row.seeds} seeds"
    return [f"provisional ({number})", *list_training_doubts(row, reference)]


def list_training_doubts(row: CellVerdict, reference: str) -> list[str]:
    """Return which models behind a verdict did not learn the task.

    Args:
        row: The verdict.
        reference: Display name of the reference grouping.
    """
    doubts = []
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
