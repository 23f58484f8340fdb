"""Workers against threads: whole small sweeps with the cores given to several runs, or to one; for docs/performance.md.

    python -m benchmarks.training.workers [--rounds 3] [--page docs/performance.md]

Each round trains the same runs under every setup, in turn; what is compared is compared within a round.
"""

import argparse
import csv
import io
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.generated import machine, prose, table, three_digits, write_part
from benchmarks.training.training_step import TASKS, study_of
from usaggr.errors import RunError
from usaggr.sweep.execution.timing import FILE
from usaggr.sweep.executors.local.placement import usable_cores
from usaggr.sweep.planning.study_plan import make_plan
from usaggr.sweep.sweep import run_sweep

PART = "workers"
BATCH = 8


@dataclass(frozen=True)
class Workload:
    """The runs of a sweep: one for each of TASKS."""

    overrides: tuple[str, ...]
    image_size: int
    examples: int
    """Of each run."""


@dataclass(frozen=True)
class Setup:
    """How the cores are shared out."""

    workers: int
    threads: int
    """Of each worker."""


@dataclass(frozen=True)
class Rates:
    """Training examples a second of all workers together, from a sweep's first run to its last one's end."""

    workload: Workload
    rounds: tuple[tuple[float, ...], ...]
    """Each with a rate for each setup, in their order."""


WORKLOADS = (
    Workload(("model=tiny",), 64, 400),
    Workload(("model=mh_mtl", "model.encoder=resnet18"), 128, 64),
    Workload(("model=m2dino_tiny",), 128, 96),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Workers against threads.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--page", type=Path, default=Path("docs/performance.md"))
    options = parser.parse_args(arguments)
    setups = setups_of(usable_cores())
    found = []
    for workload in WORKLOADS:
        found.append(measure(workload, setups, options.rounds))
        print(" ".join(workload.overrides), found[-1].rounds, file=sys.stderr, flush=True)
    text = report(found, setups, machine(1))
    write_part(options.page, PART, text)
    print(text)
    return 0


def setups_of(cores: int) -> tuple[Setup, ...]:
    """A run a core, one run with all cores, and both at once, which is too much."""
    return Setup(cores, 1), Setup(1, cores), Setup(cores, cores)


def measure(workload: Workload, setups: Sequence[Setup], rounds: int) -> Rates:
    """Sweep under each setup in turn, so many times; images are made ready before the first."""
    with tempfile.TemporaryDirectory() as folder:
        _sweep(Workload(workload.overrides, workload.image_size, 1), setups[0], Path(folder), "first")
        return Rates(
            workload,
            tuple(
                tuple(_sweep(workload, setup, Path(folder), f"{i}-{k}") for k, setup in enumerate(setups))
                for i in range(rounds)
            ),
        )


def _sweep(workload: Workload, setup: Setup, folder: Path, name: str) -> float:
    """Examples a second of a sweep on phantoms that trains nothing twice."""
    here = [f"name={name}", f"outputs={folder}", f"data.cache_dir={folder / 'cache'}"]
    data = ["data.synthetic.samples_per_task=20", "scales=[1.0]", "seeds=[0]"]
    grouping = ["groupings=[task_specific]", "reference=task_specific"]
    training = [
        f"training.budget={workload.examples} examples", "training.min_examples=1", "training.validations=1",
        "training.accelerator=cpu",
    ]  # fmt: skip
    executor = [f"executor.workers={setup.workers}", f"executor.threads={setup.threads}"]
    overrides = [*workload.overrides, *here, *data, *grouping, *training, *executor]
    plan = make_plan(study_of(overrides, BATCH, workload.image_size))
    said = io.StringIO()
    outcome = run_sweep(plan, console=Console(file=said, width=200), build_report=lambda directories: directories[0])
    if outcome.done != len(TASKS):
        raise RunError(f"only {outcome.done} of {len(TASKS)} runs are done: {said.getvalue()}")
    with (plan.directory / FILE).open(newline="") as file:
        (row,) = csv.DictReader(file)
    return sum(run.examples for run in plan.runs) / float(row["runs"])


def report(found: Sequence[Rates], setups: Sequence[Setup], where: str) -> str:
    """The part of the page."""
    rows = []
    for of in found:
        first, *others = zip(*of.rounds, strict=True)
        cells = [three_digits(statistics.median(first))]
        for rates in others:
            ratios = [rate / base for rate, base in zip(rates, first, strict=True)]
            spread = f"× {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            cells.append(f"{three_digits(statistics.median(rates))}, {spread}")
        rows.append([f"`{' '.join(of.workload.overrides)}`", f"{of.workload.image_size} px", *cells])
    columns = ("network", "images", *map(_named, setups))
    opening = _OPENING.format(
        runs=len(TASKS), batch=BATCH, rounds=len(found[0].rounds), base=_named(setups[0]), where=where
    )
    return f"{prose(opening)}\n\n{table(columns, rows)}"


def _named(setup: Setup) -> str:
    return f"{_count(setup.workers, 'worker')} of {_count(setup.threads, 'thread')}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


_OPENING = """
Training examples a second of all workers together, in whole sweeps of {runs} runs (a task each, {batch} images a batch)
from the first run's start to the last one's end: building of networks, validation, test and files are in it, the start
of the workers is not. Medians of {rounds} rounds; behind ×: times the rate with {base} in the same round, median and
range. {where}.
"""


if __name__ == "__main__":
    sys.exit(main())
