"""Check that plan.csv lists the runs of its study: a file that was cut off between two lines is a valid table.

Only what every version plans is required. Runs of further scales can be equal to those of an earlier one, as for a task
with fewer samples than a cap, and variants of equal settings have one run. So a plan may lack all lines of such a scale
or variant: then only the folders of finished runs show that they were planned.
"""

from collections.abc import Sequence
from pathlib import Path

from usaggr.errors import RunError
from usaggr.results import contract
from usaggr.results.contract_sums import has_sum
from usaggr.results.data_description import TaskFacts
from usaggr.results.find_runs import find_runs, is_done
from usaggr.results.plan import PlanRow
from usaggr.results.run_settings import read_cell
from usaggr.results.sample_counts import count_at_scale
from usaggr.results.stored_study import Source, StudyFacts
from usaggr.tasks import has_class_label


def check_coverage(source: Source) -> None:
    """Refuse a folder whose plan.csv does not list the runs of its study; one without any run is accepted.

    A report of a folder without planned runs says so.

    Raises:
        RunError: Runs are missing; the message names some.
    """
    gap = (_find_gap(source) or _find_unlisted_run(source)) if source.plan else None
    if gap is not None:
        raise RunError(
            f"{source.directory / contract.PLAN}: does not list the runs of study.yaml ({gap}); it was cut off or "
            "changed: restore it, or run the same `usaggr sweep`, which writes it again"
        )


def check_not_empty(source: Source) -> None:
    """Refuse a folder whose plan.csv lists no run.

    Raises:
        RunError: There is no planned run.
    """
    if not source.plan:
        raise RunError(
            f"{source.directory / contract.PLAN}: lists no run, so that it is unknown which runs are planned; run the "
            "same `usaggr sweep`, which writes it again"
        )


def _find_gap(source: Source) -> str | None:
    """Return what plan.csv does not list, in words; None if it lists every grouping, seed and task of its study."""
    study = source.study
    tasks = set(study.get_setting("tasks") or source.data.tasks)
    if not study.scales or not study.variants:
        return None
    first_variant = next(iter(study.variants))
    for scale in study.scales:
        new_tasks = _list_new_tasks(source, scale, tasks)
        rows_at_scale = [row for row in source.plan if row.scale == scale]
        for grouping in (*study.groupings, *study.controls):
            members = [row for row in rows_at_scale if grouping in row.groupings]
            for seed in study.seeds:
                planned = {t for row in members if (row.seed, row.variant) == (seed, first_variant) for t in row.tasks}
                if missing := sorted(new_tasks - planned):
                    return f"{grouping}, seed {seed}, scale {scale:g}: no run of {', '.join(missing[:3])}"
                if _list_blocks(members, seed) != _list_blocks(members, study.seeds[0]):
                    return f"{grouping}, scale {scale:g}: seeds {study.seeds[0]} and {seed} have different runs"
    return None


def _list_new_tasks(source: Source, scale: float | int, tasks: set[str]) -> set[str]:
    """Return the tasks that have other training samples at a scale than at all earlier ones, so that runs are planned.

    A plan with a checksum is complete. In others, classifications count at the first scale only: a scale has at least a
    sample of each class, and how many samples that takes is not stored.

    Args:
        source: folder of results.
        scale: scale of the study.
        tasks: ids of the study's tasks.
    """
    position = source.study.scales.index(scale)
    if position == 0:
        return tasks
    if has_sum(source.directory / contract.PLAN):
        return set()

    def count(task: TaskFacts, at_scale: float | int) -> int:
        return count_at_scale(at_scale, task.n_train, cover=min(1, task.n_train))

    described = {task_id: source.data.tasks[task_id] for task_id in tasks & source.data.tasks.keys()}
    return {
        task_id
        for task_id, task in described.items()
        if not has_class_label(task.task.type)
        and count(task, scale) not in {count(task, earlier) for earlier in source.study.scales[:position]}
    }


def _find_unlisted_run(source: Source) -> str | None:
    """Return the name of a finished run of the study that plan.csv does not list; None if there is none.

    A plan with a checksum is complete: then such runs are those of an edited study.
    """
    if has_sum(source.directory / contract.PLAN):
        return None
    planned = {row.fingerprint for row in source.plan}
    for fingerprint, path in find_runs(source.directory).items():
        if fingerprint not in planned and is_done(path) and is_unlisted(path, source.study, source.plan):
            return f"not {path.name}, which is done"
    return None


def is_unlisted(path: Path, study: StudyFacts, plan_rows: Sequence[PlanRow]) -> bool:
    """Return whether a run belongs to the study, and plan.csv lists neither it nor another run in its place.

    Args:
        path: directory of the run.
        study: the study.
        plan_rows: the planned runs.
    """
    cell = read_cell(path)
    if cell is None or cell.seed not in study.seeds or cell.variant not in study.variants:
        return False
    if cell.scale not in study.scales or cell.tasks not in {row.tasks for row in plan_rows}:
        return False
    planned = {(row.tasks, row.scale, row.seed, row.variant) for row in plan_rows}
    return (cell.tasks, cell.scale, cell.seed, cell.variant) not in planned


def _list_blocks(plan_rows: Sequence[PlanRow], seed: int) -> set[tuple[str, tuple[str, ...]]]:
    """Return the variants and tasks of the runs of a seed."""
    return {(row.variant, row.tasks) for row in plan_rows if row.seed == seed}
