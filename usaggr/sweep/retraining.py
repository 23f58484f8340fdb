"""Training of finished runs that have no weights, to keep their weights alone (`usaggr sweep --weights`).

A run is trained again in `retrained/` of the study's folder, so that its own folder stays as it is. If the scores are
the same, its weights are moved into its own folder, and the rest is removed. All state is on disk: an interrupted
training continues with the same command.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from usaggr.config.logger import NoLogger
from usaggr.config.study import StudyConfig
from usaggr.document.display_names import pluralize
from usaggr.errors import ConfigError, RunError
from usaggr.io.atomic_files import make_write_error
from usaggr.io.checksums import SUFFIX
from usaggr.progress import Progress
from usaggr.results import contract
from usaggr.results.contract import WEIGHTS
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import RunResult, Scores
from usaggr.results.trained_model import has_weights
from usaggr.sweep.execution.jobs import Executor
from usaggr.sweep.execution.loop import Loop
from usaggr.sweep.execution.signals import INTERRUPTED
from usaggr.sweep.execution.timing import SweepClock
from usaggr.sweep.executors.choose_executor import make_executor
from usaggr.sweep.inspect.planned_networks import check_planned_networks
from usaggr.sweep.kept_weights import KeptWeights, decide_kept_weights, list_lacking
from usaggr.sweep.planning.study_plan import Plan, PlannedRun
from usaggr.sweep.queued_runs import describe_assigned_to_jobs, select_runs
from usaggr.sweep.sweep import Check, Prepare, make_sweep_console, open_sweep_caches, print_line, train_runs

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class RetrainOutcome:
    """Numbers of finished runs that had no weights, by what has become of them."""

    with_weights: int
    """Number of runs that have their weights now."""
    differing: int
    """Number of runs whose new scores differ from the stored ones, so that the new weights were not kept."""
    remaining: int
    """Number of runs that failed or are left."""
    interrupted: bool

    @property
    def exit_status(self) -> int:
        """0 if all runs have their weights; 1 if one has none; 130 if the training was interrupted."""
        return INTERRUPTED if self.interrupted else int(self.differing > 0 or self.remaining > 0)


def check_request(plan: Plan) -> KeptWeights:
    """Check that a study keeps weights, before anything is trained for them; return the decision.

    Raises:
        ConfigError: no run keeps its weights, or a network cannot be built.
    """
    decision = decide_kept_weights(plan, check_planned_networks(plan))
    if not any(decision.keeps(run) for run in plan.runs):
        raise ConfigError(f"--weights: this study keeps none; add training.keep_weights=scored ({decision.describe()})")
    return decision


def retrain_for_weights(
    plan: Plan,
    decision: KeptWeights,
    *,
    console: "Console | None" = None,
    executor: Executor | None = None,
    prepare: Prepare | None = None,
) -> RetrainOutcome:
    """Train the finished runs without weights again, and keep the weights of those with the stored scores.

    Args:
        plan: runs of the study.
        decision: states which runs keep their weights.
        console: Console for messages. Default: standard error.
        executor: Trains the runs. Default: the executor of the study, after a check of the networks.
        prepare: Prepares the data of the runs. Default: builds or opens their image caches.

    Raises:
        ConfigError: see `run_sweep`.
        DataError: the data cannot be read.
        RunError: no worker can be started, or a stored result is damaged.
    """
    console = console or make_sweep_console()
    lacking = list_lacking(plan, decision)
    if not lacking:
        print_line(console, "weights: every finished run that keeps its weights has them")
        return RetrainOutcome(0, 0, 0, interrupted=False)
    count = "1 finished run has" if len(lacking) == 1 else f"{len(lacking)} finished runs have"
    print_line(console, f"{count} no weights; trained again in {plan.directory / contract.RETRAINED}")
    retrained_plan = _make_plan(plan, lacking, decision)
    states = {run.spec.run_id: run.read_state() for run in retrained_plan.runs}
    # A run that failed here may succeed now: its stored result shows that it can be trained.
    runs, left_to_jobs = select_runs(retrained_plan, states, retry_failed=True)
    if left_to_jobs:
        print_line(console, describe_assigned_to_jobs(left_to_jobs))
    loop = Loop(retrained_plan.runs, runs, states, plan.study.executor.attempts)
    if runs:
        check = None if executor else _make_check(plan, lacking)
        executor = executor or make_executor(plan.study)
        train_runs(retrained_plan, runs, loop, console, executor, prepare or open_sweep_caches, check, SweepClock(0.0))
    kept_runs, differing = _keep_equal(lacking, retrained_plan, console)
    remaining = len(lacking) - len(kept_runs) - len(differing)
    for line in _summarize(len(kept_runs), len(differing), remaining, loop):
        print_line(console, line)
    return RetrainOutcome(len(kept_runs), len(differing), remaining, loop.interrupted)


def _make_plan(plan: Plan, lacking: Sequence[PlannedRun], decision: KeptWeights) -> Plan:
    """Return the plan with the lacking runs in other folders, and with the runs that these start from.

    Args:
        plan: runs of the study.
        lacking: finished runs without weights.
        decision: replaces `training.keep_weights=auto`.
    """
    lacking_ids = {run.spec.run_id for run in lacking}
    parent_ids = {run.spec.parent for run in lacking if run.spec.parent is not None}
    runs = []
    for run in plan.runs:
        if run.spec.run_id in lacking_ids:
            directory = plan.directory / contract.RETRAINED / run.spec.run_id
            runs.append(replace(run, directory=directory, study=_without_tracker(decision.resolve(run.study))))
        elif run.spec.run_id in parent_ids:
            runs.append(run)
    return replace(plan, study=_without_tracker(plan.study), runs=tuple(runs))


def _without_tracker(study: StudyConfig) -> StudyConfig:
    """Return a study without a logger: the tracker has the run already."""
    return study.model_copy(update={"logger": NoLogger(name="none")})


def _make_check(plan: Plan, lacking: Sequence[PlannedRun]) -> Check:
    """Return a check of the networks of runs; it knows the study's finished runs, and decides nothing.

    Args:
        plan: runs of the study.
        lacking: runs whose networks are checked.
    """
    from usaggr.sweep.network_checks import check_networks

    def check(retrained_plan: Plan, runs: Sequence[PlannedRun], progress: Progress) -> None:
        """Check the networks of those runs that are trained again.

        Args:
            retrained_plan: plan of the runs in `retrained/`; their networks are those of the study's runs.
            runs: runs to train.
            progress: receives the number of networks.
        """
        ids = {run.spec.run_id for run in runs}
        check_networks(plan, [run for run in lacking if run.spec.run_id in ids], progress)

    return check


def _keep_equal(
    lacking: Sequence[PlannedRun], retrained_plan: Plan, console: "Console"
) -> tuple[list[PlannedRun], list[PlannedRun]]:
    """Keep the weights of the runs with the stored scores.

    Args:
        lacking: runs as they are in the study.
        retrained_plan: the same runs in the folders in which they were trained again.
        console: prints a line for each run with other scores.

    Returns:
        The runs whose weights were kept, and those with other scores.

    Raises:
        RunError: a stored result is damaged.
        WriteError: the weights cannot be moved.
    """
    retrained = {run.spec.run_id: run for run in retrained_plan.runs}
    kept_runs, differing = [], []
    for run in lacking:
        again = retrained[run.spec.run_id]
        if again.read_state() != "done":
            continue
        stored, new = RunDirectory(run.directory).read_result(), RunDirectory(again.directory).read_result()
        differences = list(_list_differences(stored, new))
        if differences:
            differing.append(run)
            print_line(
                console,
                f"{run.directory.name}: the scores are not those of its result ({differences[0]}; {len(differences)} "
                "in total), as on a GPU, on other hardware, or with other versions or threads; the weights were not "
                "kept. Remove the run's folder and sweep again to replace both",
            )
        else:
            _move_weights(again, run)
            kept_runs.append(run)
        shutil.rmtree(again.directory, ignore_errors=True)
    with suppress(OSError):  # runs that are left are in it
        (retrained_plan.directory / contract.RETRAINED).rmdir()
    return kept_runs, differing


def _list_differences(stored: RunResult, new: RunResult) -> Iterator[str]:
    """Yield each score that differs, with both values; scores are compared to their last digit."""
    pairs: Mapping[str, tuple[Scores, Scores]] = {
        "test": (stored.scores, new.scores),
        "validation": (stored.validation, new.validation),
    }
    for subset, (before, after) in pairs.items():
        for task_id in sorted(before.keys() | after.keys()):
            old_scores, new_scores = before.get(task_id, {}), after.get(task_id, {})
            for metric in sorted(old_scores.keys() | new_scores.keys()):
                old, value = old_scores.get(metric), new_scores.get(metric)
                if old != value:
                    yield f"{subset} {metric} of {task_id}: {value} instead of {old}"


def _move_weights(again: PlannedRun, run: PlannedRun) -> None:
    """Move the weights of a run that was trained again into its own folder.

    Raises:
        RunError: there are no weights.
        WriteError: they cannot be moved.
    """
    if not has_weights(again.directory):
        raise RunError(f"{again.directory}: trained without keeping {WEIGHTS}")
    source, target = again.directory / WEIGHTS, run.directory / WEIGHTS
    try:
        target.parent.mkdir(exist_ok=True)
        # The checksum first: weights without their checksum would be read unchecked.
        for file in (source.with_suffix(SUFFIX), source):
            file.replace(target.parent / file.name)
    except OSError as error:
        raise make_write_error(target, error) from error


def _summarize(n_kept: int, n_differing: int, n_remaining: int, loop: Loop) -> Iterator[str]:
    """Yield the lines about the end.

    Args:
        n_kept: number of runs whose weights were kept.
        n_differing: number of runs with other scores.
        n_remaining: number of runs that failed or are left.
        loop: the loop that has trained the runs.
    """
    yield f"weights: kept of {pluralize(n_kept, 'run')}, with the scores of their results"
    if n_differing:
        yield f"weights: not kept of {pluralize(n_differing, 'run')} with other scores, see above"
    if n_remaining:
        stopped = "stopped; " if loop.interrupted else ""
        yield f"{stopped}{pluralize(n_remaining, 'run is', 'runs are')} left; run the same command to continue"
