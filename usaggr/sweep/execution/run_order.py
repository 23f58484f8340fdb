"""The order in which runs are started: the longest first, parents before the runs that start from their weights."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from usaggr.sweep.planning.study_plan import PlannedRun


def sort_longest_first(runs: Sequence["PlannedRun"]) -> list["PlannedRun"]:
    """Sort runs by the training examples on the longest path from each run to its last descendant, longest first.

    With several workers, all of them finish at about the same time. A run always comes before its descendants.
    """
    children: dict[str | None, list[PlannedRun]] = {}
    for run in runs:
        children.setdefault(run.spec.parent, []).append(run)
    examples = {run.spec.run_id: run.examples for run in runs}

    @cache
    def path_length(run_id: str) -> int:
        return examples[run_id] + max((path_length(child.spec.run_id) for child in children.get(run_id, ())), default=0)

    # sorted() is stable: runs of equal length keep the order of the plan.
    return sorted(runs, key=lambda run: -path_length(run.spec.run_id))
