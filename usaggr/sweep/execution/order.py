"""In which order runs are started: the longest first, parents before the runs that start from their weights."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from usaggr.sweep.planning.study_plan import PlannedRun


def longest_first(runs: Sequence["PlannedRun"]) -> list["PlannedRun"]:
    """Runs by falling length (training examples) of the longest way from each to the end of its last descendant.

    With several workers this keeps their ends close together, and a run never comes after one that waits for it.
    """
    children: dict[str | None, list[PlannedRun]] = {}
    for run in runs:
        children.setdefault(run.spec.parent, []).append(run)
    examples = {run.spec.run_id: run.examples for run in runs}

    @cache
    def way(run_id: str) -> int:
        return examples[run_id] + max((way(child.spec.run_id) for child in children.get(run_id, ())), default=0)

    return sorted(runs, key=lambda run: -way(run.spec.run_id))
