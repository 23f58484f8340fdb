"""Trains one run of a plan in this process, for debugging: output and errors come to the terminal, breakpoints work."""

import traceback
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from usaggr import stopping
from usaggr.data.batches.cache import build_or_open
from usaggr.data.batches.run_data import run_data
from usaggr.errors import ConfigError, RunError, UsaggrError, WriteError, one_of
from usaggr.progress import Progress
from usaggr.results.run_directory import RunDirectory
from usaggr.stopping import RunInterrupted
from usaggr.sweep.execution.parent_weights import hand_down, weightless
from usaggr.sweep.execution.provenance import provenance
from usaggr.sweep.execution.signals import interruptible
from usaggr.sweep.executors.local.placement import placements, usable_cores
from usaggr.sweep.planning.study_plan import Plan, PlannedRun
from usaggr.sweep.sweep_tracking import tracked_run

if TYPE_CHECKING:
    from rich.console import Console


def choose_run(plan: Plan, block: str | None, scale: float | None, seed: int | None, variant: str | None) -> PlannedRun:
    """The first run that has what is asked for and is not done; None asks for nothing.

    Raises:
        ConfigError: no run of the study has it, or all that have it are done.
    """
    asked = {"block": block, "scale": scale, "seed": seed, "variant": variant}
    runs: Iterable[PlannedRun] = plan.runs
    for name, value in asked.items():
        if value is None:
            continue
        there = {getattr(run.spec, name) for run in runs}
        if value not in there:
            raise ConfigError(one_of(f"--{name}", value, map(str, there)))
        runs = [run for run in runs if getattr(run.spec, name) == value]
    for run in runs:
        if run.state() != "done":
            return run
    raise ConfigError(
        "train: done already, remove the run to train it again: " + ", ".join(r.directory.name for r in runs)
    )


def train_run(plan: Plan, run: PlannedRun, progress: Progress) -> None:
    """Train a run to its end. An error leaves as it is, after it has been written into the run's status.

    Raises:
        RunError: another process has the run, or the run cannot go on.
        ConfigError: its logger cannot be used: a package is missing; or its parent is not done.
        RunInterrupted: Ctrl-C or SIGTERM asked it to stop; the second ends the process at once.
    """
    parent = _parent_of(plan, run)
    # Nothing else of the sweep needs torch.
    from usaggr.training.run import execute_run

    study = tracked_run(plan, run)
    data = run_data(plan.manifest, run.spec, build_or_open(plan.manifest.dataset, run.study.data, progress))
    directory = RunDirectory(run.directory)
    earlier = directory.status()
    attempt = earlier.attempt + 1 if earlier else 1
    # As many threads as in a sweep, so that a run computes the same here; the device is Lightning's choice.
    executor = run.study.executor.machine.model_copy(update={"devices": None})
    placement = placements(executor, gpus=0, cores=usable_cores())[0]
    with directory.claim(attempt) as mine:
        if not mine:
            raise RunError(f"{run.directory.name}: another process trains it")
        directory.clear()
        if parent is not None:
            hand_down(parent, run)
        directory.write_spec(run.spec, **provenance(), threads=placement.threads)
        try:
            stopping.forget()
            with interruptible(lambda: None, asked=stopping.ask):
                execute_run(run.spec, run.directory, study, placement, data)
        except RunInterrupted as stop:
            with suppress(WriteError):  # a claim that is not given back is stale, which is the same
                directory.give_back(attempt)
            raise RunInterrupted(f"{run.directory.name}: {stop}; the same command goes on") from stop
        except Exception as error:
            reason = str(error) if isinstance(error, UsaggrError) else f"{type(error).__name__}: {error}"
            with suppress(WriteError):
                directory.fail(f"{reason}\n\n{traceback.format_exc()}", attempt)
            raise


def _parent_of(plan: Plan, run: PlannedRun) -> PlannedRun | None:
    """The run whose weights this one starts from; None: it starts afresh.

    Raises:
        ConfigError: its parent is not done, or without weights.
    """
    if run.spec.parent is None:
        return None
    parent = next(one for one in plan.runs if one.spec.run_id == run.spec.parent)
    if parent.state() != "done" or parent in weightless(plan.runs):
        first = f", or `usaggr train --block {parent.spec.block}` does" if parent.state() != "done" else ""
        what = parent.state() if parent.state() != "done" else "done, but without weights"
        raise ConfigError(
            f"train: {run.directory.name} starts from the weights of {parent.directory.name}, which is {what}; "
            f"`usaggr sweep` trains it{first}"
        )
    return parent


def print_scores(run: PlannedRun, console: "Console") -> None:
    """A table of a finished run's scores, beside those of the predictor that ignores the image."""
    from rich.table import Table

    result = RunDirectory(run.directory).result()
    table = Table("task", "metric", "score", "trivial", title=run.directory.name, title_justify="left")
    for task_id, scores in result.scores.items():
        for metric, value in scores.items():
            trivial = result.trivial.get(task_id, {}).get(metric)
            table.add_row(task_id, metric, f"{value:.4g}", "" if trivial is None else f"{trivial:.4g}")
    console.print(table)
    console.print(f"{result.cost.seconds:.1f} s, {result.cost.parameters:,} parameters", highlight=False)
