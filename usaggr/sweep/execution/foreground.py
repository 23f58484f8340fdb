"""Training of one run in this process, for debugging: output goes to the terminal, and breakpoints work."""

import traceback
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from usaggr import stopping
from usaggr.config.study import StudyConfig
from usaggr.data.batches.cache import build_or_open
from usaggr.data.batches.run_data import select_run_data
from usaggr.errors import ConfigError, RunError, UsaggrError, WriteError, explain_unknown_name
from usaggr.progress import Progress
from usaggr.results.run_directory import RunDirectory
from usaggr.stopping import RunInterrupted
from usaggr.sweep.execution.parent_weights import find_weightless, provide_parent_weights
from usaggr.sweep.execution.provenance import collect_provenance
from usaggr.sweep.execution.signals import handle_interrupts
from usaggr.sweep.executors.local.placement import count_usable_cores, make_placements
from usaggr.sweep.inspect.planned_networks import check_networks_here, check_planned_networks
from usaggr.sweep.kept_weights import decide_kept_weights
from usaggr.sweep.planning.study_plan import Plan, PlannedRun
from usaggr.sweep.sweep_tracking import make_tracked_study

if TYPE_CHECKING:
    from rich.console import Console


def choose_run(plan: Plan, block: str | None, scale: float | None, seed: int | None, variant: str | None) -> PlannedRun:
    """Return the first unfinished run that matches the options; an option that is None matches all runs.

    Args:
        plan: runs of the study.
        block: name of the block.
        scale: fraction or number of training samples.
        seed: seed of the run.
        variant: name of the variant.

    Raises:
        ConfigError: no run of the study matches, or all that match are done.
    """
    options = {"block": block, "scale": scale, "seed": seed, "variant": variant}
    runs: Iterable[PlannedRun] = plan.runs
    for name, value in options.items():
        if value is None:
            continue
        existing = {getattr(run.spec, name) for run in runs}
        if value not in existing:
            raise ConfigError(explain_unknown_name(f"--{name}", value, map(str, existing)))
        runs = [run for run in runs if getattr(run.spec, name) == value]
    for run in runs:
        if run.read_state() != "done":
            return run
    raise ConfigError(
        "train: all matching runs are done; to train a run again, remove its directory: "
        + ", ".join(r.directory.name for r in runs)
    )


def train_run(plan: Plan, run: PlannedRun, progress: Progress) -> None:
    """Train a run to its end. An error is written into the run's status and raised again.

    Args:
        plan: runs of the study.
        run: the run to train.
        progress: counts the images of the cache.

    Raises:
        RunError: another process trains the run, or the run cannot continue.
        ConfigError: a package that its logger needs is missing, or its parent is not done.
        RunInterrupted: Ctrl-C or SIGTERM has stopped it. A second signal ends the process at once.
    """
    parent = _find_parent(plan, run)
    # Imported here: it imports torch, which nothing else of the sweep needs.
    from usaggr.training.run import execute_run

    study = _decide_weights(plan, make_tracked_study(plan, run))
    data = select_run_data(plan.manifest, run.spec, build_or_open(plan.manifest.dataset, run.study.data, progress))
    directory = RunDirectory(run.directory)
    status = directory.read_status()
    attempt = status.attempt + 1 if status else 1
    # The same number of threads as in a sweep, so that a run computes the same; Lightning chooses the device.
    executor = run.study.executor.machine.model_copy(update={"devices": None})
    placement = make_placements(executor, gpus=0, cores=count_usable_cores())[0]
    with directory.claim(attempt) as has_claim:
        if not has_claim:
            raise RunError(f"{run.directory.name}: another process trains it; wait until it ends, or stop it")
        directory.clear()
        if parent is not None:
            provide_parent_weights(parent, run)
        directory.write_spec(run.spec, **collect_provenance(), threads=placement.threads)
        try:
            stopping.withdraw_request()
            with handle_interrupts(lambda: None, on_request=stopping.request_stop):
                execute_run(run.spec, run.directory, study, placement, data)
        except RunInterrupted as stop:
            with suppress(WriteError):  # a claim that is not released becomes stale, with the same effect
                directory.release(attempt)
            raise RunInterrupted(f"{run.directory.name}: {stop}; run the same command to continue") from stop
        except Exception as error:
            reason = str(error) if isinstance(error, UsaggrError) else f"{type(error).__name__}: {error}"
            with suppress(WriteError):
                directory.mark_failed(f"{reason}\n\n{traceback.format_exc()}", attempt)
            raise


def _decide_weights(plan: Plan, study: StudyConfig) -> StudyConfig:
    """Return the study of a run with `training.keep_weights=auto` replaced, as a sweep of the plan does.

    Raises:
        ConfigError: a network of the plan cannot be built.
    """
    if study.training.keep_weights != "auto":
        return study
    return decide_kept_weights(plan, check_planned_networks(plan, check_networks_here)).resolve(study)


def _find_parent(plan: Plan, run: PlannedRun) -> PlannedRun | None:
    """Return the run whose weights this one starts from; None for a run without a parent.

    Raises:
        ConfigError: the parent is not done, or has no weights.
    """
    if run.spec.parent is None:
        return None
    parent = next(candidate for candidate in plan.runs if candidate.spec.run_id == run.spec.parent)
    is_parent_done = parent.read_state() == "done"
    if not is_parent_done or parent in find_weightless(plan.runs):
        problem = "done, but without weights" if is_parent_done else parent.read_state()
        # `usaggr train` skips finished runs, so only a sweep trains a parent without weights again.
        other = "" if is_parent_done else f" or `usaggr train --block {parent.spec.block}`"
        raise ConfigError(
            f"train: {run.directory.name} starts from the weights of {parent.directory.name}, which is {problem}; "
            f"run `usaggr sweep`{other} first to train it"
        )
    return parent


def print_scores(run: PlannedRun, console: "Console") -> None:
    """Print a finished run's scores next to those of the trivial predictor, which ignores the image."""
    from rich.table import Table

    result = RunDirectory(run.directory).read_result()
    table = Table("task", "metric", "score", "trivial", title=run.directory.name, title_justify="left")
    for task_id, scores in result.scores.items():
        for metric, value in scores.items():
            trivial = result.trivial.get(task_id, {}).get(metric)
            table.add_row(task_id, metric, f"{value:.4g}", "" if trivial is None else f"{trivial:.4g}")
    console.print(table)
    console.print(f"{result.cost.seconds:.1f} s, {result.cost.parameters:,} parameters", highlight=False)
