"""Compare workers with threads: small sweeps that give all cores to several runs or to one; for docs/performance.md.

    python -m benchmarks.training.workers [--rounds 3] [--page docs/performance.md]

Each round trains the same runs under every setup in turn, and rates are compared within a round.
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
from benchmarks.training.training_step import TASKS, make_study
from usaggr.errors import RunError
from usaggr.sweep.execution.timing import FILE
from usaggr.sweep.executors.local.placement import count_usable_cores
from usaggr.sweep.planning.study_plan import make_plan
from usaggr.sweep.sweep import run_sweep

SECTION = "workers"
BATCH = 8


@dataclass(frozen=True)
class Workload:
    """Runs of a sweep, one for each of TASKS."""

    overrides: tuple[str, ...]
    image_size: int
    examples: int
    """Training examples of each run."""


@dataclass(frozen=True)
class Setup:
    """Division of the cores between runs."""

    workers: int
    threads: int
    """Threads of each worker."""


@dataclass(frozen=True)
class Rates:
    """Training examples per second of all workers together, from the start of the first run to the end of the last."""

    workload: Workload
    rounds: tuple[tuple[float, ...], ...]
    """Rates of each round, one per setup, in the order of the setups."""


WORKLOADS = (
    Workload(("model=tiny",), 64, 400),
    Workload(("model=mh_mtl", "model.encoder=resnet18"), 128, 64),
    Workload(("model=m2dino_tiny",), 128, 96),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the section of the page."""
    parser = argparse.ArgumentParser(description="Compare workers with threads.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--page", type=Path, default=Path("docs/performance.md"))
    options = parser.parse_args(arguments)
    setups = list_setups(count_usable_cores())
    measured = []
    for workload in WORKLOADS:
        measured.append(measure(workload, setups, options.rounds))
        print(" ".join(workload.overrides), measured[-1].rounds, file=sys.stderr, flush=True)
    text = report(measured, setups, machine(1))
    write_part(options.page, SECTION, text)
    print(text)
    return 0


def list_setups(cores: int) -> tuple[Setup, ...]:
    """Return the setups: one run per core, one run with all cores, and one run per core with all cores each."""
    return Setup(cores, 1), Setup(1, cores), Setup(cores, cores)


def measure(workload: Workload, setups: Sequence[Setup], rounds: int) -> Rates:
    """Sweep under each setup in turn for a number of rounds; images are cached before the first."""
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
    """Return the examples per second of a sweep of the task-specific runs on phantoms."""
    folders = [f"name={name}", f"outputs={folder}", f"data.cache_dir={folder / 'cache'}"]
    data = ["data.synthetic.samples_per_task=20", "scales=[1.0]", "seeds=[0]"]
    grouping = ["groupings=[task_specific]", "reference=task_specific"]
    training = [
        f"training.budget={workload.examples} examples", "training.min_examples=1", "training.validations=1",
        "training.accelerator=cpu",
    ]  # fmt: skip
    executor = [f"executor.workers={setup.workers}", f"executor.threads={setup.threads}"]
    overrides = [*workload.overrides, *folders, *data, *grouping, *training, *executor]
    plan = make_plan(make_study(overrides, BATCH, workload.image_size))
    output = io.StringIO()
    outcome = run_sweep(plan, console=Console(file=output, width=200), build_report=lambda directories: directories[0])
    if outcome.done != len(TASKS):
        raise RunError(f"only {outcome.done} of {len(TASKS)} runs are finished: {output.getvalue()}")
    with (plan.directory / FILE).open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    return sum(run.examples for run in plan.runs) / float(row["runs"])


def report(measured: Sequence[Rates], setups: Sequence[Setup], where: str) -> str:
    """Return the section of the page."""
    lines = []
    for result in measured:
        first, *further = zip(*result.rounds, strict=True)
        cells = [three_digits(statistics.median(first))]
        for rates in further:
            ratios = [rate / base for rate, base in zip(rates, first, strict=True)]
            spread = f"× {statistics.median(ratios):.2f}"
            if len(ratios) > 1:
                spread += f" ({min(ratios):.2f} to {max(ratios):.2f})"
            cells.append(f"{three_digits(statistics.median(rates))}, {spread}")
        lines.append([f"`{' '.join(result.workload.overrides)}`", f"{result.workload.image_size} px", *cells])
    columns = ("network", "images", *map(_named, setups))
    opening = _OPENING.format(
        runs=len(TASKS), batch=BATCH, rounds=len(measured[0].rounds), base=_named(setups[0]), where=where
    )
    return f"{prose(opening)}\n\n{table(columns, lines)}"


def _named(setup: Setup) -> str:
    return f"{_count(setup.workers, 'worker')} of {_count(setup.threads, 'thread')}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


_OPENING = """
Training examples per second of all workers together, in sweeps of {runs} runs (one task each, batches of {batch}), from
the start of the first run to the end of the last. Medians of {rounds} rounds; after ×: relative to {base} in the same
round, median and range. {where}.
"""


if __name__ == "__main__":
    sys.exit(main())
