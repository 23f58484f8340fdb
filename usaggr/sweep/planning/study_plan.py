"""The plan of a study: its distinct runs, from groupings x scales x seeds x variants, with their parents.

planned_runs.py lists the runs; this module reads the data for it and writes the plan's files. Planning needs the data's
manifest but no network, so it imports no torch. docs/glossary.md defines study, grouping, scale, variant and run.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from usaggr.config.compose import describe_study
from usaggr.config.study import StudyConfig
from usaggr.config.unused_keys import PlannedTasks
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.split.manifest import Manifest, check_same_data, make_manifest, write_manifest
from usaggr.errors import ConfigError, explain_unknown_name
from usaggr.progress import NoProgress, Progress
from usaggr.results import contract
from usaggr.results.contract_sums import write_contract_file
from usaggr.results.plan import PlanRow, write_plan_rows
from usaggr.results.stored_study import check_replaceable
from usaggr.results.versions import STUDY_HEAD
from usaggr.sweep.planning.grouping import Grouping
from usaggr.sweep.planning.planned_runs import PlannedRun as PlannedRun
from usaggr.sweep.planning.planned_runs import plan_runs
from usaggr.sweep.planning.proposal import propose
from usaggr.sweep.planning.study_groupings import describe_groupings, make_groupings


@dataclass(frozen=True)
class Plan:
    """All runs of a study, in the order of groupings, variants, scales, seeds and blocks."""

    study: StudyConfig
    directory: Path
    manifest: Manifest
    groupings: dict[str, Grouping]
    runs: tuple[PlannedRun, ...]
    proposals: tuple[str, ...] = ()
    """Lines about the keys of the study that were proposed from the data."""

    @cached_property
    def runs_without_sharing(self) -> int:
        """Number of runs if groupings shared no blocks; a first stage whose scores no grouping uses counts once."""
        return sum(max(1, len(run.groupings)) for run in self.runs)

    def describe_tasks(self) -> PlannedTasks:
        """Return what the check of keys without effect needs to know about the tasks."""
        tasks = self.manifest.dataset.tasks
        planned = {task_id for run in self.runs for task_id in run.spec.tasks}
        types = frozenset(tasks[task_id].type for task_id in planned)
        return PlannedTasks(types, has_shared_models=any(len(run.spec.tasks) > 1 for run in self.runs))


def make_plan(study: StudyConfig, progress: Progress | None = None) -> Plan:
    """Read the data, partition the tasks, and list the distinct runs.

    Raises:
        ConfigError: a task or grouping does not fit the data, or the directory holds results of other data.
        DataError: the data are invalid.
    """
    with _disable_garbage_collector():
        return _make_plan(study, progress or NoProgress())


def _make_plan(study: StudyConfig, progress: Progress) -> Plan:
    dataset = load_dataset(study.data, progress)
    for task_id in study.tasks or ():
        if task_id not in dataset.tasks:
            raise ConfigError(explain_unknown_name("tasks", task_id, dataset.tasks))
    proposal = propose(study, dataset)
    study = proposal.study
    tasks = {t: dataset.tasks[t] for t in sorted(study.tasks or dataset.tasks)}
    for task_id in study.training.task_weights:
        if task_id not in dataset.tasks:
            raise ConfigError(explain_unknown_name("training.task_weights", task_id, dataset.tasks))
    manifest = make_manifest(dataset, study.data, study.seeds)
    # Before the groupings are made: other data or a newer version may be the cause of an error in a grouping.
    check_replaceable(study.directory)
    check_same_data(manifest, study.directory)
    groupings = make_groupings(study, tasks, dataset)
    runs = tuple(plan_runs(study, manifest, groupings))
    return Plan(study, study.directory, manifest, groupings, runs, proposal.lines)


def write_plan(plan: Plan) -> None:
    """Write study.yaml, groupings.yaml, data.json, split.csv and plan.csv into the study's directory.

    Raises:
        ConfigError: the directory holds another data set or another split.
        RunError: a newer version of usaggr wrote it, or it is not writable.
    """
    check_replaceable(plan.directory)
    write_manifest(plan.manifest, plan.directory)
    write_contract_file(plan.directory / contract.STUDY, STUDY_HEAD + describe_study(plan.study))
    write_contract_file(plan.directory / contract.GROUPINGS, describe_groupings(plan.groupings))
    write_states(plan)


def write_states(plan: Plan) -> None:
    """Write plan.csv with the runs' current states."""
    write_plan_rows(plan.directory, ((_make_row(run), run.read_state()) for run in plan.runs))


def _make_row(run: PlannedRun) -> PlanRow:
    spec = run.spec
    return PlanRow(
        run_id=run.directory.name,
        block=spec.block,
        groupings=run.groupings,
        tasks=spec.tasks,
        scale=spec.scale,
        seed=spec.seed,
        variant=spec.variant,
        fingerprint=spec.fingerprint,
        parent=spec.parent or "",
    )


@contextmanager
def _disable_garbage_collector() -> Iterator[None]:
    """Switch off the garbage collector, which would only cost time: planning makes many small objects that all stay."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
