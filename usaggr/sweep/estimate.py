"""What the rest of a study will take, estimated from its finished runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from usaggr.errors import RunError
from usaggr.runs import RunDirectory
from usaggr.sweep.plan import PlannedRun
from usaggr.sweep.store import is_done

SAMPLE = 60
"""So many finished runs say what the others will take."""


@dataclass(frozen=True)
class Estimate:
    """Of the runs that are not done; None where no finished run tells."""

    seconds: float | None
    """Of one worker: two workers take half."""
    bytes: int | None
    """On disk, of all runs of the study together."""


def estimate(runs: Sequence[PlannedRun]) -> Estimate:
    """Time of the runs to come, by their training examples, and disk of all runs."""
    done = [run for run in runs if is_done(run.directory)]
    picked = done[:: max(1, len(done) // SAMPLE)]
    paces, sizes = [], []
    for run in picked:
        try:
            paces.append(RunDirectory(run.directory).result().cost.seconds / run.examples)
        except RunError:
            continue
        sizes.append(sum(f.stat().st_size for f in run.directory.rglob("*") if f.is_file()) / len(run.spec.tasks))
    if not paces:
        return Estimate(None, None)
    remaining = sum(run.examples for run in runs) - sum(run.examples for run in done)
    return Estimate(median(paces) * remaining, round(median(sizes) * sum(len(run.spec.tasks) for run in runs)))
