"""Account of a sweep's time in core-seconds, and the section of docs/performance.md that shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.generated import prose, table, three_digits
from benchmarks.sweep.sweep_limit import Arithmetic

TARGET = 0.75
"""Share of wall time x workers that should be arithmetic of training and evaluation."""
SMALL = 0.01
"""Parts below this share of wall time x workers are shown together."""
AROUND = {
    "planning": "planning",
    "networks": "check of the networks, including the only import of torch",
    "caches": "image caches",
    "start": "start of the workers",
    "report": "report",
}
"""Columns of sweeps.csv for steps in which at most one process works and the workers wait."""
_OF_RUNS = ("network", "streams", "trivial", "fit", "test", "write")
"""Keys of a run's timings that do not overlap."""


@dataclass(frozen=True)
class Swept:
    """Times of a finished sweep."""

    command: str
    wall: float
    """Seconds from the start of the command to its end."""
    workers: int
    threads: int
    runs: int
    timings: Mapping[str, float]
    """Sums over runs, by key of their timings."""
    run_seconds: float
    """Seconds of all runs together."""
    row: Mapping[str, float] | None
    """Numbers of the sweep in sweeps.csv; None if the file is missing."""
    processes: int | None
    """Most processes that ran at once; None if they were not observed."""
    loaders: int | None
    """Number of processes that runs have started; None if they were not observed."""


def divide_time(swept: Swept, limit: Arithmetic) -> list[tuple[str, float]]:
    """Divide wall time x workers into named parts, in core-seconds; the first three are arithmetic."""
    took = {name: swept.timings.get(name, 0.0) for name in (*_OF_RUNS, "train", "validation")}
    took["fit"] = took["fit"] or took["train"] + took["validation"]
    evaluation = took["validation"] + took["test"] - limit.forward - limit.scores
    parts = [
        ("training steps, at the limit", limit.training),
        ("forward passes of validation and test, at the limit", limit.forward),
        ("scores, at the limit", limit.scores),
        ("training beyond its limit: batches, augmentation, Lightning", took["train"] - limit.training),
        ("validation and test beyond their limit", evaluation),
        ("trivial predictors", took["trivial"]),
        ("building networks", took["network"]),
        ("streams", took["streams"]),
        ("trainer: setup and end", took["fit"] - took["train"] - took["validation"]),
        ("writing", took["write"]),
        ("other parts of runs", swept.run_seconds - sum(took[name] for name in _OF_RUNS)),
    ]
    if swept.row is not None:
        slots = swept.row["slot_seconds"]
        parts.append(("submission and notice of runs", slots - swept.run_seconds))
        parts.append(("idle workers", swept.row["runs"] * swept.workers - slots))
        parts += [(words, swept.row[name] * swept.workers) for name, words in AROUND.items()]
    total = swept.wall * swept.workers
    return [*parts, ("remainder", total - sum(seconds for _, seconds in parts))]


def compute_arithmetic_share(swept: Swept, limit: Arithmetic) -> float:
    """Return the share of arithmetic in wall time x workers."""
    return limit.total / (swept.wall * swept.workers)


def report(swept: Swept, limit: Arithmetic, imports: float, where: str) -> str:
    """Return the section of the page.

    Args:
        swept: Times of the sweep.
        limit: Its arithmetic.
        imports: Seconds in which a process imports everything that a run needs.
        where: Machine and versions.
    """
    total = swept.wall * swept.workers
    parts = divide_time(swept, limit)
    small = [(name, seconds) for name, seconds in parts[3:] if abs(seconds) < SMALL * total]
    subtotal = ("**arithmetic of training and evaluation**", limit.total)
    entries = [*parts[:3], subtotal, *(entry for entry in parts[3:] if entry not in small)]
    if small:
        names = "; ".join(name for name, _ in small)
        entries.append((f"below {100 * SMALL:.0f} % each: {names}", sum(seconds for _, seconds in small)))
    entries.append(("**wall time x workers**", total))
    lines = [_row(name, seconds, total) for name, seconds in entries]
    share = compute_arithmetic_share(swept, limit)
    negative = _NEGATIVE if any(seconds < 0 for _, seconds in parts) else ""
    opening = _OPENING.format(
        command=swept.command, runs=swept.runs, wall=f"{swept.wall:.0f}", workers=swept.workers, threads=swept.threads,
        threads_word="thread" if swept.threads == 1 else "threads", where=where, negative=negative,
    )  # fmt: skip
    target = f"Target: at least {100 * TARGET:.0f} % arithmetic; measured: {100 * share:.0f} %."
    closing = [prose(target), prose(_started(swept, imports))]
    return "\n\n".join([prose(opening), table(("part", "core-seconds", "share"), lines), *closing])


def _started(swept: Swept, imports: float) -> str:
    """Return sentences on the cost of starting runs."""
    sentences = [f"Importing what a run needs takes {three_digits(imports)} s in a new process"]
    if swept.row is not None:
        wait = (swept.row["slot_seconds"] - swept.run_seconds) / max(swept.runs, 1)
        sentences[0] += (
            f", that is, {three_digits(imports * swept.runs)} s for {swept.runs} runs; the sweep pays it once"
        )
        sentences.append(
            f"A run waits {three_digits(1000 * wait)} ms in total, before its first line and after its last"
        )
    if swept.loaders is not None:
        number = "no process" if swept.loaders == 0 else f"{swept.loaders} processes"
        sentences.append(
            f"Runs started {number} (checked every half second); at most {swept.processes} processes ran at once"
        )
    return ". ".join(sentences) + "."


def _row(name: str, seconds: float, total: float) -> Sequence[str]:
    sign = "-" if seconds < 0 else ""
    return name, sign + three_digits(abs(seconds)), f"{100 * seconds / total:.1f} %"


_OPENING = """
`{command}` trains {runs} runs in {wall} s with {workers} workers, {threads} {threads_word} each. *At the limit*: the
arithmetic alone, measured afterwards in as many processes, in a plain loop over batches in memory. Core-seconds are
seconds times workers, also while one process works and the others wait.{negative} {where}.
"""
_NEGATIVE = " A negative part means that the limit was measured slower than the sweep was."
