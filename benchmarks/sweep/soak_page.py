"""The section of docs/reliability.md about the soak test."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.generated import prose, table
from benchmarks.sweep.soak_kills import Pace


@dataclass(frozen=True)
class Soaked:
    """Facts about a study that finished in spite of kills and passed all checks."""

    runs: int
    seed: int
    pace: Pace
    kills: Mapping[str, int]
    """Number of kills by kind."""
    invocations: int
    calm_seconds: float
    """Wall time of the undisturbed sweep."""
    seconds: float
    """Wall time of all invocations under kills."""
    executions: Mapping[int, int]
    """Number of runs by their number of attempts."""
    continued: int
    """Number of times that a run continued from a checkpoint."""
    rows: int
    """Number of rows of scores.csv, which are the same in both sweeps."""
    leftovers: int
    """Number of temporary files left by kills, all of which `usaggr clean` has removed."""


def report(soaked: Soaked, where: str) -> str:
    """Return the section of the page."""
    pace = soaked.pace
    again = sum(runs for times, runs in soaked.executions.items() if times > 1)
    lines = [
        ["runs, all finished", str(soaked.runs)],
        ["main processes killed", str(soaked.kills.get("main", 0))],
        ["workers killed", str(soaked.kills.get("worker", 0))],
        ["invocations of the command", str(soaked.invocations)],
        ["wall time under kills (s)", f"{soaked.seconds:.0f}"],
        ["wall time undisturbed (s)", f"{soaked.calm_seconds:.0f}"],
        ["runs with more than one attempt", str(again)],
        ["most attempts of one run", str(max(soaked.executions))],
        ["continuations from a checkpoint", str(soaked.continued)],
        ["rows of scores.csv, all equal to the undisturbed sweep's", str(soaked.rows)],
        ["temporary files left, which `usaggr clean` removes", str(soaked.leftovers)],
        ["finished runs trained again, processes left, temporary files left in the cache", "0"],
    ]
    text = _TEXT.format(
        runs=soaked.runs,
        worker=_span(pace.worker),
        late=_span(pace.late),
        early=_span(pace.early),
        share=f"{pace.share_early:.0%}",
        seed=soaked.seed,
        where=where,
    )
    return f"{prose(text)}\n\n{table(('quantity', 'result'), lines)}"


def _span(seconds: tuple[float, float]) -> str:
    return f"{seconds[0]:g} to {seconds[1]:g} s"


_TEXT = """
`make soak` trains {runs} runs of a fraction of a second each (32 pixels, a tiny network) and repeats `usaggr sweep`
until it finishes. A random worker is killed (SIGKILL) every {worker}. The main process is killed {late} after the
invocation's first finished run. In {share} of the invocations it is killed {early} after its start, to interrupt
planning, imports and caches. Starting takes about 6 s, so kills at that rate alone would let no run finish. Seed of the
kills: {seed}. {where}.
"""
