"""Training of the studies of docs/planted.md, and evaluation of draws from them in parallel processes."""

import multiprocessing
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks.planted.draws import Draw
from usaggr.analysis.collect import Collection, collect
from usaggr.config.compose import compose_study
from usaggr.progress import RichProgress
from usaggr.sweep.planning.study_plan import make_plan
from usaggr.sweep.sweep import run_sweep

FOLDER = Path(__file__).parent
"""Folder of the studies and their groupings."""
DRAWS_PER_CALL = 10
"""Number of draws that a process judges at a time."""

Result = TypeVar("Result")


def train(
    study: str, words: Sequence[str], seeds: int, jobs: int, outputs: Path, config_dir: Path = FOLDER
) -> Collection:
    """Train the unfinished runs of a study, and read all results.

    Args:
        study: Name of the study.
        words: Overrides of its configuration.
        seeds: Number of seeds.
        jobs: Number of workers.
        outputs: Folder of the results.
        config_dir: Folder of the study's configuration.

    Raises:
        SystemExit: if not all runs finish.
    """
    composed = compose_study(study, [*make_overrides(seeds, jobs, outputs), *words], config_dir)
    plan = make_plan(composed, RichProgress())
    outcome = run_sweep(plan, build_report=lambda folders: folders[0])
    if outcome.exit_status:
        sys.exit(outcome.exit_status)
    return collect([plan.directory], RichProgress())


def make_overrides(seeds: int, jobs: int, outputs: Path) -> list[str]:
    """Return overrides that all studies have."""
    numbers = ",".join(map(str, range(seeds)))
    return [f"seeds=[{numbers}]", f"executor.workers={jobs}", "executor.threads=1", f"outputs={outputs}"]


def sum_cost(collection: Collection) -> tuple[int, float]:
    """Return the number of finished runs, including those of controls, and the sum of their seconds."""
    runs = (*collection.runs, *(() if collection.controls is None else collection.controls.runs))
    seconds = {run.row.fingerprint: run.result.cost.seconds for run in runs if run.result is not None}
    return len(seconds), sum(seconds.values())


def map_draws(work: Callable[[Sequence[Draw]], Result], draws: Sequence[Draw], jobs: int, what: str) -> list[Result]:
    """Call a function on sets of DRAWS_PER_CALL draws in parallel processes.

    Args:
        work: Function of several draws.
        draws: Seeds and components of each drawn study.
        jobs: Number of processes.
        what: Description for the progress display.

    Returns:
        Results in the order of the draws.
    """
    parts = [draws[start : start + DRAWS_PER_CALL] for start in range(0, len(draws), DRAWS_PER_CALL)]
    progress = RichProgress()
    progress.start(what, len(parts))
    results = []
    with multiprocessing.get_context("fork").Pool(jobs) as processes:
        for result in processes.imap(work, parts):
            results.append(result)
            progress.advance()
    progress.finish()
    return results
