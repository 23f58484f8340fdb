"""Where the time of a sweep goes: an account in core-seconds, and the part of docs/performance.md that shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.generated import prose, table, three_digits
from benchmarks.sweep.sweep_limit import Arithmetic

TARGET = 0.75
"""Of wall time x workers is to be arithmetic of training and evaluation."""
AROUND = {
    "planning": "planning",
    "networks": "check of the networks, with the one import of torch",
    "caches": "image caches",
    "start": "start of the workers",
    "report": "report",
}
"""Columns of sweeps.csv in which one process is at work, or none, and the workers wait."""
_OF_RUNS = ("network", "streams", "trivial", "fit", "test", "write")
"""Keys of a run's timings that do not overlap."""


@dataclass(frozen=True)
class Swept:
    """A sweep that has ended."""

    command: str
    wall: float
    """Seconds from the command to its end."""
    workers: int
    threads: int
    runs: int
    timings: Mapping[str, float]
    """Sums over runs, by key."""
    run_seconds: float
    """Sum over runs."""
    row: Mapping[str, float] | None
    """Its numbers in sweeps.csv; None where there are none."""
    processes: int | None
    """The most that lived at once; None where nobody looked."""
    loaders: int | None
    """Processes that runs have started."""


def account(of: Swept, limit: Arithmetic) -> list[tuple[str, float]]:
    """Parts of wall time x workers, core-seconds each; they sum to the whole, and the first three are arithmetic."""
    took = {name: of.timings.get(name, 0.0) for name in (*_OF_RUNS, "train", "validation")}
    took["fit"] = took["fit"] or took["train"] + took["validation"]
    evaluation = took["validation"] + took["test"] - limit.forward - limit.scores
    parts = [
        ("training steps, at the limit", limit.training),
        ("forward passes of validation and test, at the limit", limit.forward),
        ("scores, at the limit", limit.scores),
        ("training beyond its limit: batches, augmentation, Lightning", took["train"] - limit.training),
        ("validation and test beyond theirs: reading, encoding of masks", evaluation),
        ("trivial predictors", took["trivial"]),
        ("building networks", took["network"]),
        ("streams", took["streams"]),
        ("trainer: set-up and end", took["fit"] - took["train"] - took["validation"]),
        ("writing", took["write"]),
        ("rest of the runs", of.run_seconds - sum(took[name] for name in _OF_RUNS)),
    ]
    if of.row is not None:
        slots = of.row["slot_seconds"]
        parts.append(("from submission to the run's start, and from its end", slots - of.run_seconds))
        parts.append(("workers without a run, while others train", of.row["runs"] * of.workers - slots))
        parts += [(f"{words}, x workers", of.row[name] * of.workers) for name, words in AROUND.items()]
    whole = of.wall * of.workers
    return [*parts, ("start of the command, and the rest", whole - sum(seconds for _, seconds in parts))]


def share_of_arithmetic(of: Swept, limit: Arithmetic) -> float:
    """Of wall time x workers."""
    return limit.total / (of.wall * of.workers)


def report(of: Swept, limit: Arithmetic, imports: float, where: str) -> str:
    """The part of the page; `imports` is what a process pays for importing all that a run needs."""
    whole = of.wall * of.workers
    parts = account(of, limit)
    subtotal = ("**arithmetic of training and evaluation**", limit.total)
    rows = [_row(*part, whole) for part in (*parts[:3], subtotal, *parts[3:], ("**wall time x workers**", whole))]
    share = share_of_arithmetic(of, limit)
    opening = _OPENING.format(
        command=of.command, runs=of.runs, wall=f"{of.wall:.0f}", workers=of.workers, threads=of.threads,
        threads_word="thread" if of.threads == 1 else "threads", where=where,
    )  # fmt: skip
    target = f"Aimed at: {100 * TARGET:.0f} % arithmetic; it is {100 * share:.0f} %."
    closing = [prose(target), prose(_started(of, imports))]
    return "\n\n".join([prose(opening), table(("part", "core-seconds", "share"), rows), *closing])


def _started(of: Swept, imports: float) -> str:
    """How runs come to life."""
    sentences = [f"Importing what a run needs takes {three_digits(imports)} s in a process of its own"]
    if of.row is not None:
        wait = (of.row["slot_seconds"] - of.run_seconds) / max(of.runs, 1)
        sentences[0] += (
            f", {three_digits(imports * of.runs)} s for {of.runs} runs; here it is paid once, and a run waits "
            f"{three_digits(1000 * wait)} ms in all, from its submission to its first line and from its last one to "
            "the sweep's notice"
        )
    if of.loaders is not None:
        many = "no process" if of.loaders == 0 else f"{of.loaders} processes"
        sentences.append(f"Runs started {many} of their own (looked for every half second); at most {of.processes} "
                         "lived at once, the command itself counted")  # fmt: skip
    return ". ".join(sentences) + "."


def _row(name: str, seconds: float, whole: float) -> Sequence[str]:
    sign = "-" if seconds < 0 else ""
    return name, sign + three_digits(abs(seconds)), f"{100 * seconds / whole:.1f} %"


_OPENING = """
`{command}` trains {runs} runs in {wall} s with {workers} workers, {threads} {threads_word} each. The phantoms are drawn
and hashed beforehand, their cache of images is built in the sweep. *At the limit*: the run's number of training steps
by the time of a step in a plain loop over batches in memory, one for each set of tasks; forward passes of the whole
validation fold (as often as the run validates) and of the test fold over batches in memory, with predictions at
original resolution; and the scores of what the runs predicted. That was measured afterwards, in as many processes at
once as the sweep had workers. All parts are in core-seconds: where one process is at work and the others wait, seconds
times workers. A part below zero says that the limit was measured slower than the sweep was. {where}.
"""
