"""Trains the studies of docs/planted.md, and shares out what is done with their results over processes."""

import multiprocessing
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from usaggr.analysis.collect import Collection, collect
from usaggr.config.compose import compose_study
from usaggr.progress import RichProgress
from usaggr.sweep.planning.study_plan import make_plan
from usaggr.sweep.sweep import run_sweep

HERE = Path(__file__).parent
"""Folder of the studies and their groupings."""
PART = 10
"""Draws that a process judges at a time."""

Result = TypeVar("Result")


def train(
    study: str, words: Sequence[str], seeds: int, jobs: int, outputs: Path, config_dir: Path = HERE
) -> Collection:
    """Train what is not trained yet of a study, and read its results.

    Raises:
        SystemExit: not all runs are done.
    """
    composed = compose_study(study, [*own_words(seeds, jobs, outputs), *words], config_dir)
    plan = make_plan(composed, RichProgress())
    outcome = run_sweep(plan, build_report=lambda folders: folders[0])
    if outcome.exit_status:
        sys.exit(outcome.exit_status)
    return collect([plan.directory], RichProgress())


def own_words(seeds: int, jobs: int, outputs: Path) -> list[str]:
    """Overrides of every study."""
    numbers = ",".join(map(str, range(seeds)))
    return [f"seeds=[{numbers}]", f"executor.workers={jobs}", "executor.threads=1", f"outputs={outputs}"]


def cost_of(collection: Collection) -> tuple[int, float]:
    """Runs that are done, those of controls too, and their seconds together."""
    both = (*collection.runs, *(() if collection.controls is None else collection.controls.runs))
    seconds = {run.row.fingerprint: run.result.cost.seconds for run in both if run.result is not None}
    return len(seconds), sum(seconds.values())


def in_parts(
    work: Callable[[Sequence[tuple[int, ...]]], Result], draws: Sequence[tuple[int, ...]], jobs: int, what: str
) -> list[Result]:
    """Results of each PART of the draws, in their order, by so many processes."""
    parts = [draws[start : start + PART] for start in range(0, len(draws), PART)]
    progress = RichProgress()
    progress.start(what, len(parts))
    found = []
    with multiprocessing.get_context("fork").Pool(jobs) as processes:
        for result in processes.imap(work, parts):
            found.append(result)
            progress.advance()
    progress.finish()
    return found
