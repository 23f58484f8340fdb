"""Measure time and memory of a study as its tasks, samples and runs grow; for docs/performance.md.

    python -m benchmarks.sweep.scaling [--repetitions 3] [--page docs/performance.md]

Each command is timed as a user sees it, in a new process. Images and networks are small, so that the time depends on
the number of tasks, samples and runs alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from unittest.mock import patch

from benchmarks.generated import machine, prose, table, three_digits, write_part
from benchmarks.sweep.sized_data import finish_all, write_data
from usaggr.config.compose import compose_study
from usaggr.sweep.planning.study_plan import make_plan, write_plan

DATA = ((1, 400), (3, 1_200), (9, 3_600), (27, 1_080), (27, 10_800), (27, 50_004))
"""Numbers of tasks and samples of the data sets."""
PLANNED = ((1, 1), (2, 4), (2, 42), (2, 417))
"""Scales and seeds of the demo's twelve blocks: 12 to 10,008 runs."""
TRAINED = ((10, 1), (10, 2), (100, 1), (100, 2), (500, 2))
"""Numbers of runs and workers of the sweeps that train."""
FEWER, MOST_SECONDS = 200, 120.0
"""A sweep that is expected to take longer than MOST_SECONDS trains at most FEWER runs instead."""
_ALL_SCALES = ("0.25", "1.0")
BLOCKS = 5
"""Blocks of the four tasks: one per task, and one of all tasks."""

_PEAK = """
import os, re, sys
from pathlib import Path
def write_peak():
    status = Path("/proc/self/status")
    kib = int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]) if status.is_file() else 0
    Path(os.environ["PEAK_FILE"]).write_text(str(kib / 1024))
"""
_COMMAND = (
    _PEAK
    + """
from usaggr.cli.main import main
if __name__ == "__main__":
    try:
        main()
    finally:
        write_peak()
"""
)
_SWEEP = (
    _PEAK
    + """
from usaggr.config.compose import compose_study
from usaggr.sweep.planning.study_plan import make_plan
from usaggr.sweep.sweep import run_sweep
if __name__ == "__main__":
    outcome = run_sweep(make_plan(compose_study("demo", sys.argv[1:])), build_report=lambda folders: folders[0])
    write_peak()
    sys.exit(outcome.exit_status)
"""
)


@dataclass(frozen=True)
class Took:
    """Time and memory of a command, from the start of its process to its end."""

    seconds: float
    peak_mib: float
    """Peak resident memory; 0 if the system does not report it."""


@dataclass(frozen=True)
class OfData:
    """Cost of planning the demo's three seeds and two scales on data of a given size."""

    tasks: int
    samples: int
    first: Took
    """First plan, which reads and hashes each file."""
    repeated: Took
    """Later plans, which reuse the stored hashes."""


@dataclass(frozen=True)
class OfPlan:
    """Cost of commands on a study of a given number of runs, before the first run and after the last."""

    runs: int
    plan: Took
    status: Took
    plan_done: Took
    status_done: Took
    sweep_done: Took
    """Sweep with nothing to train, without the report."""


@dataclass(frozen=True)
class OfSweep:
    """Cost of a complete sweep of tiny runs, without the report."""

    runs: int
    workers: int
    wall: float
    inside: float
    """Seconds of all runs together, from their results."""

    @property
    def added(self) -> float:
        """Worker seconds per run that the sweep adds to the run itself."""
        return (self.wall * self.workers - self.inside) / self.runs


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the section of the page."""
    parser = argparse.ArgumentParser(description="Measure time and memory of a study as it grows.")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--page", type=Path, default=Path("docs/performance.md"))
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = [measure_data(folder, *size, options.repetitions) for size in DATA]
        print(*data, sep="\n", file=sys.stderr)
        planned = [measure_plan(folder, *size, options.repetitions) for size in PLANNED]
        print(*planned, sep="\n", file=sys.stderr)
        trained = measure_sweeps(folder, TRAINED)
        print(*trained, sep="\n", file=sys.stderr)
    text = report(data, planned, trained, options.repetitions, machine(1))
    write_part(options.page, "scaling", text)
    print(text)
    return 0


def measure_data(folder: Path, tasks: int, samples: int, repetitions: int) -> OfData:
    """Write a data set and time the first plan on it, which reads the files, and later ones."""
    place = folder / f"data-{tasks}-{samples}"
    written = write_data(place / "data", tasks, samples)
    where = (f"data.root={place / 'data'}", f"data.cache_dir={place / 'cache'}", f"outputs={place}")
    words = ("plan", "data=fmuia", *where)
    first = run(_COMMAND, *words)
    return OfData(tasks, written, first, run_often(repetitions, _COMMAND, *words))


def measure_plan(folder: Path, scales: int, seeds: int, repetitions: int) -> OfPlan:
    """Time commands on the demo with more seeds, before the first run and, with made-up results, after the last."""
    words = (f"outputs={folder / f'planned-{scales}-{seeds}'}", f"data.cache_dir={folder / 'cache'}",
             f"scales=[{','.join(_ALL_SCALES[-scales:])}]", f"seeds=[{','.join(map(str, range(seeds)))}]")  # fmt: skip
    run(_COMMAND, "plan", *words)  # makes the phantoms and reads them
    pending = run_often(repetitions, _COMMAND, "plan", *words)
    plan = make_plan(compose_study("demo", words))
    write_plan(plan)
    status = ("status", str(plan.directory))
    status_pending = run_often(repetitions, _COMMAND, *status)
    with _without_flushing():
        finish_all(plan)
    return OfPlan(
        runs=len(plan.runs),
        plan=pending,
        status=status_pending,
        plan_done=run_often(repetitions, _COMMAND, "plan", *words),
        status_done=run_often(repetitions, _COMMAND, *status),
        sweep_done=run_often(repetitions, _SWEEP, *words),
    )


def measure_sweeps(folder: Path, sizes: Sequence[tuple[int, int]], most_seconds: float = MOST_SECONDS) -> list[OfSweep]:
    """Time sweeps that train runs of a tiny network on a few phantoms; the caches are built before."""
    _sweep(folder / "warm", folder / "cache", BLOCKS, 1)
    sweeps: list[OfSweep] = []
    for planned_runs, workers in sizes:
        paces = [sweep.wall * sweep.workers / sweep.runs / workers for sweep in sweeps]
        long = bool(paces) and paces[-1] * planned_runs > most_seconds
        runs = min(planned_runs, FEWER) if long else planned_runs
        sweeps.append(_sweep(folder / f"trained-{runs}-{workers}", folder / "cache", runs, workers))
    return sweeps


def tiny_study(outputs: Path, cache: Path, runs: int, workers: int) -> tuple[str, ...]:
    """Return overrides of the demo for a number of very short real runs, which must be a multiple of BLOCKS."""
    return (
        f"outputs={outputs}", f"data.cache_dir={cache}", "data.image_size=32", "data.synthetic.samples_per_task=40",
        "data.synthetic.tasks=[breast_lesion,breast_2cls,thyroid_nodule_det,fetal_femur]", "scales=[1.0]",
        "groupings=[task_specific,unified]", "training.budget=16 examples", "training.min_examples=16",
        f"seeds=[{','.join(map(str, range(runs // BLOCKS)))}]", f"executor.workers={workers}", "executor.threads=1",
        "training.accelerator=cpu",
    )  # fmt: skip


def _sweep(outputs: Path, cache: Path, runs: int, workers: int) -> OfSweep:
    took = run(_SWEEP, *tiny_study(outputs, cache, runs, workers))
    results = [json.loads(path.read_text(encoding="utf-8")) for path in outputs.glob("*/runs/*/result.json")]
    if len(results) != runs // BLOCKS * BLOCKS:
        raise RuntimeError(f"{outputs}: {len(results)} of {runs} runs are finished")
    return OfSweep(len(results), workers, took.seconds, sum(result["cost"]["seconds"] for result in results))


def run(code: str, *words: str) -> Took:
    """Run a Python program with these arguments, and return its time and memory.

    Raises:
        RuntimeError: if the program fails.
    """
    with tempfile.TemporaryDirectory() as name:
        peak = Path(name) / "peak"
        program = Path(name) / "program.py"  # a file, because spawned processes import it
        program.write_text(code, encoding="utf-8")
        variables = {"OMP_NUM_THREADS": "1", "PEAK_FILE": str(peak)}
        start = time.perf_counter()
        completed = subprocess.run(
            [sys.executable, program, *words],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        seconds = time.perf_counter() - start
        if completed.returncode:
            raise RuntimeError(f"{' '.join(words)[:200]}: {completed.stderr[-2000:]}")
        return Took(seconds, float(peak.read_text(encoding="utf-8")))


def run_often(times: int, code: str, *words: str) -> Took:
    """Run a program repeatedly, and return the medians of its time and memory."""
    measured = [run(code, *words) for _ in range(times)]
    return Took(median(took.seconds for took in measured), median(took.peak_mib for took in measured))


@contextmanager
def _without_flushing() -> Iterator[None]:
    """Skip `fsync` while the context lasts: made-up results need not survive a power failure."""
    with patch.object(os, "fsync"):
        yield


def report(
    data: Sequence[OfData], planned: Sequence[OfPlan], trained: Sequence[OfSweep], repetitions: int, where: str
) -> str:
    """Return the section of the page."""
    of_data = [
        [str(d.tasks), _integer(d.samples), _seconds(d.first), _seconds(d.repeated), f"{d.repeated.peak_mib:.0f}"]
        for d in data
    ]
    of_plans = []
    for plan in planned:
        took = (plan.plan, plan.status, plan.plan_done, plan.status_done, plan.sweep_done)
        peak = max(command.peak_mib for command in took)
        of_plans.append([_integer(plan.runs), *(_seconds(command) for command in took), f"{peak:.0f}"])
    of_sweeps = [
        [str(sweep.runs), str(sweep.workers), *map(three_digits, (sweep.wall, sweep.inside, sweep.added))]
        for sweep in trained
    ]
    return "\n\n".join(
        (
            prose(_OPENING.format(times=repetitions, where=where)),
            table(("tasks", "samples", "first plan (s)", "plan (s)", "plan (MiB)"), of_data),
            prose(_PLANNED),
            table(("runs", "plan", "status", "plan, finished", "status, finished", "sweep, finished", "MiB"), of_plans),
            prose(_TRAINED.format(fewer=_note_of_fewer(trained))),
            table(("runs", "workers", "wall (s)", "in runs (s)", "added per run (s)"), of_sweeps),
        )
    )


def _note_of_fewer(trained: Sequence[OfSweep]) -> str:
    most, planned = max(sweep.runs for sweep in trained), max(runs for runs, _ in TRAINED)
    return "" if most == planned else _FEWER.format(runs=most, planned=planned, seconds=MOST_SECONDS)


def _seconds(took: Took) -> str:
    return f"{took.seconds:.2f}"


def _integer(number: int) -> str:
    return f"{number:,}"


_OPENING = """
Times are of complete commands, as medians of {times} (first plans and sweeps that train: measured once). Memory is peak
resident memory. The first table shows `usaggr plan` for three seeds and two scales. The first plan reads and hashes
each file (16 x 16 pixels, in the page cache); later plans reuse the hashes. {where}.
"""
_PLANNED = """
The demo with more seeds (1,920 samples), before its first run and after its last: seconds of `usaggr plan`, of `usaggr
status`, and of a sweep with nothing to train, without its report. MiB: the largest peak.
"""
_TRAINED = """
Sweeps with the shortest possible runs: four tasks, 32 pixels, a tiny network, 16 training examples per task. *Wall*:
the sweep without its report. *Added per run*: worker time per run outside of the run itself.{fewer}
"""
_FEWER = " {runs} runs were trained instead of {planned}, which would have taken more than {seconds:.0f} s."


if __name__ == "__main__":
    sys.exit(main())
