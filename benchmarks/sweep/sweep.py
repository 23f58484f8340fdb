"""Measure how a complete sweep spends its time, compared with the time of its arithmetic; for docs/performance.md.

    python -m benchmarks.sweep.sweep [--page docs/performance.md] [--finished] [STUDY] [OVERRIDES ...]

The sweep of the demo study, or of another one, writes to a folder that is removed afterwards. `--finished` uses
existing results of the same study and overrides, such as `outputs=DIR`; all of them must come from this machine.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.generated import machine, write_part
from benchmarks.sweep.sweep_limit import measure_arithmetic
from benchmarks.sweep.sweep_page import Swept, report
from benchmarks.training.together import start_processes
from usaggr.config.compose import compose_study
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.executors.local.placement import count_usable_cores, make_placements
from usaggr.sweep.planning.study_plan import Plan, make_plan

_USAGGR = (sys.executable, "-c", "from usaggr.cli.main import main; main()")
_LOOK = 0.5
"""Seconds between two checks of the sweep's processes."""
_WORKER_DEPTH = 2
"""Depth of a worker in the tree of processes: the command is at 0, the server that forks workers at 1."""
_NUMBERS = ("seconds", "planning", "networks", "caches", "start", "runs", "report", "slot_seconds", "trained")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the section of the page."""
    parser = argparse.ArgumentParser(description="Measure how a complete sweep spends its time.")
    parser.add_argument("--page", type=Path, default=Path("docs/performance.md"))
    parser.add_argument("--finished", action="store_true")
    parser.add_argument("words", nargs="*", metavar="STUDY OVERRIDES", help="default: demo")
    options = parser.parse_args(arguments)
    words = options.words or ["demo"]
    study, overrides = ("demo", words) if "=" in words[0] else (words[0], words[1:])
    text = measure(study, overrides, options.finished)
    write_part(options.page, "sweep", text)
    print(text)
    return 0


def measure(study: str, overrides: Sequence[str], finished: bool = False) -> str:
    """Run a sweep, account for its time, and return the section of the page.

    Args:
        study: Name of the study.
        overrides: Overrides of its configuration.
        finished: Uses existing results instead of a new sweep.
    """
    command = " ".join(["usaggr sweep", study, *overrides])
    with tempfile.TemporaryDirectory() as folder:
        folders = [] if finished else [f"outputs={folder}", f"data.cache_dir={folder}/cache"]
        words = [*overrides, *folders]
        watched = None if finished else run_watched_sweep([study, *words])
        plan = make_plan(compose_study(study, words))
        swept = summarize(plan, command, watched)
        with start_processes(swept.workers, swept.threads) as processes:
            limit = measure_arithmetic(plan, processes)
        return report(swept, limit, measure_import(), machine(swept.threads))


@dataclass(frozen=True)
class Watched:
    """Observations of a sweep that this benchmark ran."""

    wall: float
    """Seconds of the command."""
    processes: int
    """Most processes that ran at once."""
    loaders: int
    """Number of processes that workers started."""


def run_watched_sweep(words: Sequence[str]) -> Watched:
    """Run a sweep as a command, with data that `plan` has made and hashed before, and observe its processes."""
    subprocess.run([*_USAGGR, "plan", *words], check=True, stdout=subprocess.DEVNULL)
    began = time.perf_counter()
    with subprocess.Popen([*_USAGGR, "sweep", *words]) as process:
        tree = Tree(psutil.Process(process.pid))
        over = threading.Event()
        thread = threading.Thread(target=tree.watch, args=(over,), daemon=True)
        thread.start()
        status = process.wait()
        wall = time.perf_counter() - began
        over.set()
        thread.join()
    if status != 0:
        raise RuntimeError(f"the sweep ended with status {status}")
    return Watched(wall, tree.most, len(tree.descendants))


class Tree:
    """Repeated observation of the descendants of a process."""

    def __init__(self, root: psutil.Process) -> None:
        self.most = 1
        """Most processes that ran at once, including the root."""
        self.descendants: set[int] = set()
        """Ids of processes that workers have started."""
        self._root = root

    def watch(self, over: threading.Event) -> None:
        """Observe repeatedly until an event is set."""
        while not over.wait(_LOOK):
            self.look()

    def look(self) -> None:
        """Observe once."""
        try:
            parents = {child.pid: child.ppid() for child in self._root.children(recursive=True)}
        except psutil.NoSuchProcess:
            return
        self.most = max(self.most, 1 + len(parents))
        self.descendants |= {pid for pid in parents if _depth(pid, self._root.pid, parents) > _WORKER_DEPTH}


def _depth(pid: int, root: int, parents: dict[int, int]) -> int:
    depth = 0
    while pid != root and pid in parents:
        pid, depth = parents[pid], depth + 1
    return depth


def summarize(plan: Plan, command: str, watched: Watched | None) -> Swept:
    """Sum up the times in the results of a sweep.

    Args:
        plan: Plan of the sweep.
        command: Command of the sweep, for the page.
        watched: Observations of the sweep; None if it was not run by this benchmark.

    Raises:
        ValueError: if the sweep was neither observed nor has a sweeps.csv.
    """
    results = [RunDirectory(run.directory).read_result() for run in plan.runs if run.read_state() == "done"]
    timings: Counter[str] = Counter()
    for result in results:
        timings.update(result.timings)
    invocations = read_sweeps(plan.directory / "sweeps.csv")
    row = {name: sum(numbers[name] for numbers in invocations) for name in _NUMBERS} if invocations else None
    if row is None and watched is None:
        raise ValueError(f"{plan.directory} has no sweeps.csv, so the duration of the sweep is unknown")
    slots = make_placements(plan.study.executor.machine, 0, count_usable_cores())
    return Swept(
        command=command,
        wall=watched.wall if watched is not None else row["seconds"] if row is not None else 0.0,
        workers=int(invocations[-1]["workers"]) if invocations else len(slots),
        threads=int(invocations[-1]["threads"]) if invocations else slots[0].threads,
        runs=len(results),
        timings=timings,
        run_seconds=sum(result.cost.seconds for result in results),
        row=row,
        processes=watched.processes if watched is not None else None,
        loaders=watched.loaders if watched is not None else None,
    )


def read_sweeps(path: Path) -> list[dict[str, float]]:
    """Return the numbers of each invocation in a sweeps.csv; empty if the file is missing."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(row[name]) for name in (*_NUMBERS, "workers", "threads")} for row in csv.DictReader(file)]


def measure_import() -> float:
    """Return the seconds in which a new process imports everything that a run needs."""
    took = []
    for code in ("pass", "import usaggr.training.run"):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        took.append(time.perf_counter() - began)
    return took[1] - took[0]


if __name__ == "__main__":
    sys.exit(main())
