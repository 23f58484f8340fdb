"""Check that plan.csv lists the runs of its study: a file that was cut off between two lines is a valid table.

Only what every version plans is required. Runs of further scales can be equal to those of the first one, as for a task
with fewer samples than a cap, and variants of equal settings have one run.
"""

from collections.abc import Sequence

from usaggr.errors import RunError
from usaggr.results import contract
from usaggr.results.plan import PlanRow
from usaggr.results.stored_study import Source


def check_coverage(source: Source) -> None:
    """Refuse a folder whose plan.csv does not list the runs of its study; one without any run is accepted.

    A report of a folder without planned runs says so.

    Raises:
        RunError: Runs are missing; the message names some.
    """
    gap = _find_gap(source) if source.plan else None
    if gap is not None:
        raise RunError(
            f"{source.directory / contract.PLAN}: does not list the runs of study.yaml ({gap}); it was cut off or "
            "changed: restore it, or run the same `usaggr sweep`, which writes it again"
        )


def _find_gap(source: Source) -> str | None:
    """Return what plan.csv does not list, in words; None if it lists every grouping, seed and task of its study."""
    study = source.study
    tasks = set(study.setting("tasks") or source.data.tasks)
    if not study.scales or not study.variants:
        return None
    first_scale, first_variant = study.scales[0], next(iter(study.variants))
    rows_at_first = [row for row in source.plan if row.scale == first_scale]
    for grouping in (*study.groupings, *study.controls):
        members = [row for row in rows_at_first if grouping in row.groupings]
        for seed in study.seeds:
            planned = {t for row in members if (row.seed, row.variant) == (seed, first_variant) for t in row.tasks}
            if missing := sorted(tasks - planned):
                return f"{grouping}, seed {seed}, scale {first_scale:g}: no run of {', '.join(missing[:3])}"
            if _list_blocks(members, seed) != _list_blocks(members, study.seeds[0]):
                return f"{grouping}, scale {first_scale:g}: seeds {study.seeds[0]} and {seed} have different runs"
    return None


def _list_blocks(plan_rows: Sequence[PlanRow], seed: int) -> set[tuple[str, tuple[str, ...]]]:
    """Return the variants and tasks of the runs of a seed."""
    return {(row.variant, row.tasks) for row in plan_rows if row.seed == seed}
