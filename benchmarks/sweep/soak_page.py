"""What a soak tells: the part of docs/reliability.md."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.generated import prose, table
from benchmarks.sweep.soak_kills import Pace


@dataclass(frozen=True)
class Soaked:
    """A study that is done in spite of kills; all checks have passed."""

    runs: int
    seed: int
    pace: Pace
    kills: Mapping[str, int]
    """By kind."""
    invocations: int
    calm_seconds: float
    """Of the undisturbed sweep."""
    seconds: float
    """Of all invocations under kills."""
    executions: Mapping[int, int]
    """How often a run was begun: number of such runs."""
    continued: int
    """How often a run went on from a checkpoint."""
    rows: int
    """Of scores.csv, which are the same."""
    leftovers: int
    """Temporary files, all of which `usaggr clean` has removed."""


def report(found: Soaked, where: str) -> str:
    """The part of the page."""
    pace = found.pace
    again = sum(runs for times, runs in found.executions.items() if times > 1)
    rows = [
        ["runs, all done", str(found.runs)],
        ["main processes killed", str(found.kills.get("main", 0))],
        ["workers killed", str(found.kills.get("worker", 0))],
        ["invocations of the command", str(found.invocations)],
        ["wall time under kills (s)", f"{found.seconds:.0f}"],
        ["wall time undisturbed (s)", f"{found.calm_seconds:.0f}"],
        ["runs begun more than once", str(again)],
        ["the most beginnings of one run", str(max(found.executions))],
        ["runs that went on from a checkpoint", str(found.continued)],
        ["rows of scores.csv, all equal to the undisturbed sweep's", str(found.rows)],
        ["finished runs that were trained again", "0"],
        ["processes left", "0"],
        ["temporary files left, which `usaggr clean` removes", str(found.leftovers)],
        ["temporary files left in the cache", "0"],
    ]
    text = _TEXT.format(
        runs=found.runs,
        worker=_span(pace.worker),
        late=_span(pace.late),
        early=_span(pace.early),
        share=f"{pace.share_early:.0%}",
        seed=found.seed,
        where=where,
    )
    return f"{prose(text)}\n\n{table(('what', 'found'), rows)}"


def _span(seconds: tuple[float, float]) -> str:
    return f"{seconds[0]:g} to {seconds[1]:g} s"


_TEXT = """
`make soak`: {runs} real trainings of a fraction of a second each (32 pixels, a tiny network), with `usaggr sweep` given
again until it ends by itself. A random worker is killed (SIGKILL) every {worker}; the main process {late} after the
first run that this invocation has done, or, in {share} of them, {early} after its start, so that plans, imports and
caches are hit too. Starting takes some 6 s: kills that came faster than that throughout would let nothing be done.
Seed of the kills {seed}; {where}.
"""
