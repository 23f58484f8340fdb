"""Which grouping to use for a task, by the verdicts of its cells; pure rules over rows of the comparison.

A gain wins; else a shared model that costs nothing and saves models is good enough; else the reference, where all
others lose or save nothing. Where a verdict that could change this is not there, the answer is that it is not known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.compare_study import Scale, StudyComparison
from usaggr.analysis.row_tables import group_rows
from usaggr.document.display_names import grouping_label
from usaggr.metrics.names import improvement
from usaggr.metrics.names import metric as metric_of

Kind = Literal["gain", "good enough", "keep", "not known", "no verdict"]
KINDS: tuple[Kind, ...] = ("gain", "good enough", "keep", "not known", "no verdict")


@dataclass(frozen=True)
class Recommendation:
    """What to use for a task at a scale."""

    task: str
    kind: Kind
    grouping: str | None
    """To be used; None where it is not known, or cannot be told."""
    row: CellVerdict | None
    """The comparison's row that the recommendation rests on; None where it rests on all of them."""
    seeds_needed: int | None = None
    """With how many seeds the answer would be known; None where it is known, or no number of seeds would do."""


def recommend(rows: Sequence[CellVerdict], reference: str, models: Mapping[str, int]) -> Recommendation:
    """The grouping to use for the task of these rows.

    Args:
        rows: the task's rows of the comparison at one scale and variant, for its main metric: one a grouping.
        reference: the grouping they are compared with.
        models: how many models a grouping needs for all tasks.

    Raises:
        ValueError: no rows.
    """
    if not rows:
        raise ValueError("a recommendation needs at least one comparison")
    task = rows[0].task
    gains = [row for row in rows if row.verdict == "gain"]
    if gains:
        best = max(gains, key=lambda row: row.delta)
        return Recommendation(task, "gain", best.grouping, best)
    cheaper = [row for row in rows if row.verdict == "no_loss" and models[row.grouping] < models[reference]]
    if cheaper:
        best = min(cheaper, key=lambda row: (models[row.grouping], -row.delta))
        return Recommendation(task, "good enough", best.grouping, best)
    undecided = [row for row in rows if row.verdict == "undecided"]
    if undecided:
        first = min(undecided, key=_seeds)
        needed = _seeds(first)
        return Recommendation(task, "not known", None, first, None if needed == _NEVER else int(needed))
    judged = [row for row in rows if row.verdict in ("loss", "no_loss")]
    if judged and all(row.verdict or row.same for row in rows):
        worst = min(judged, key=lambda row: row.delta)
        return Recommendation(task, "keep", reference, worst)
    return Recommendation(task, "no verdict", None, None)


_NEVER = float("inf")


def _seeds(row: CellVerdict) -> float:
    return _NEVER if row.seeds_needed is None else row.seeds_needed


def doubts_of(row: CellVerdict, reference: str) -> list[str]:
    """Return what makes a verdict less than it seems: one seed, or models that did not learn the task.

    Args:
        row: The verdict.
        reference: Its reference's label.
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
    metric = metric_of(row.metric)
    best = max(improvement(score, row.trivial, metric) for score in (row.mean, row.reference_mean))
    if best <= 0:
        doubts.append("neither beats the trivial predictor")
    return doubts


def recommendations_at(comparison: StudyComparison, variant: str, scale: Scale) -> tuple[Recommendation, ...]:
    """Return what to use at a scale, for each task that has a comparison, in the order of the study's tasks."""
    models = {name: comparison.models(name) for name in comparison.study.groupings}
    by_task = group_rows(comparison.main_verdicts(variant, scale), lambda row: row.task)
    return tuple(
        recommend(by_task[task], comparison.study.reference, models)
        for task in comparison.collection.tasks
        if task in by_task
    )
