"""What the rest of a study will take, estimated from its finished runs."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

from usaggr.errors import RunError
from usaggr.results.find_runs import is_done
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.planning.study_plan import PlannedRun

SAMPLE = 60
"""So many finished runs say what the others will take."""


@dataclass(frozen=True)
class Estimate:
    """Of the runs that are not done; None where no finished run tells."""

    seconds: float | None
    """Of one worker: two workers take half."""
    bytes: int | None
    """On disk, of all runs of the study together."""


def pace_of(runs: Sequence[PlannedRun]) -> float | None:
    """Seconds of one worker that a training example takes, by the runs that are done; None where none is."""
    paces = []
    for run in _picked([run for run in runs if is_done(run.directory)]):
        with suppress(RunError):
            paces.append(RunDirectory(run.directory).result().cost.seconds / run.examples)
    return median(paces) if paces else None


def _picked(done: Sequence[PlannedRun]) -> Sequence[PlannedRun]:
    """A sample of finished runs, where there are many."""
    return done[:: max(1, len(done) // SAMPLE)]


def estimate(runs: Sequence[PlannedRun]) -> Estimate:
    """Time of the runs to come, by their training examples, and disk of all runs."""
    done = [run for run in runs if is_done(run.directory)]
    paces, sizes = [], []
    for run in _picked(done):
        try:
            paces.append(RunDirectory(run.directory).result().cost.seconds / run.examples)
        except RunError:
            continue
        sizes.append(sum(f.stat().st_size for f in run.directory.rglob("*") if f.is_file()) / len(run.spec.tasks))
    if not paces:
        return Estimate(None, None)
    remaining = sum(run.examples for run in runs) - sum(run.examples for run in done)
    return Estimate(median(paces) * remaining, round(median(sizes) * sum(len(run.spec.tasks) for run in runs)))
