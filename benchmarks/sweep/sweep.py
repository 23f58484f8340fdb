"""Where the time of a whole sweep goes, against what its arithmetic takes; for docs/performance.md.

    python -m benchmarks.sweep.sweep [--page docs/performance.md] [--finished] [STUDY] [OVERRIDES ...]

Sweeps the demo study, or another one, into a folder that is removed afterwards. `--finished` measures results that are
there already, of the same study and overrides, such as `outputs=DIR`; all of them must be of this machine.
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
from benchmarks.sweep.sweep_limit import arithmetic
from benchmarks.sweep.sweep_page import Swept, report
from benchmarks.training.together import company
from usaggr.config.compose import compose_study
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.executors.local.placement import placements, usable_cores
from usaggr.sweep.planning.study_plan import Plan, make_plan

_USAGGR = (sys.executable, "-c", "from usaggr.cli.main import main; main()")
_LOOK = 0.5
"""Seconds between two looks at the sweep's processes."""
_WORKER_DEPTH = 2
"""Of a worker in the tree of processes: the command has 0, the server that workers come from 1."""
_NUMBERS = ("seconds", "planning", "networks", "caches", "start", "runs", "report", "slot_seconds", "trained")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Where the time of a whole sweep goes.")
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
    """Sweep (unless that is done), account for its time, and say it."""
    command = " ".join(["usaggr sweep", study, *overrides])
    with tempfile.TemporaryDirectory() as folder:
        here = [] if finished else [f"outputs={folder}", f"data.cache_dir={folder}/cache"]
        words = [*overrides, *here]
        watched = None if finished else watched_sweep([study, *words])
        plan = make_plan(compose_study(study, words))
        swept = told(plan, command, watched)
        with company(swept.workers, swept.threads) as processes:
            limit = arithmetic(plan, processes)
        return report(swept, limit, import_seconds(), machine(swept.threads))


@dataclass(frozen=True)
class Watched:
    """A sweep that was run here."""

    wall: float
    processes: int
    loaders: int


def watched_sweep(words: Sequence[str]) -> Watched:
    """Run a sweep as a command, its data drawn and hashed beforehand, with an eye on its processes."""
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
    return Watched(wall, tree.most, len(tree.below))


class Tree:
    """The processes below one, looked at again and again."""

    def __init__(self, root: psutil.Process) -> None:
        self.most = 1
        """That lived at once, the root too."""
        self.below: set[int] = set()
        """Ids of those that workers have started."""
        self._root = root

    def watch(self, over: threading.Event) -> None:
        while not over.wait(_LOOK):
            self.look()

    def look(self) -> None:
        try:
            parents = {child.pid: child.ppid() for child in self._root.children(recursive=True)}
        except psutil.NoSuchProcess:
            return
        self.most = max(self.most, 1 + len(parents))
        self.below |= {pid for pid in parents if _depth(pid, self._root.pid, parents) > _WORKER_DEPTH}


def _depth(pid: int, root: int, parents: dict[int, int]) -> int:
    depth = 0
    while pid != root and pid in parents:
        pid, depth = parents[pid], depth + 1
    return depth


def told(plan: Plan, command: str, watched: Watched | None) -> Swept:
    """What the results say of the time that they took.

    Raises:
        ValueError: neither was the sweep watched, nor is there a sweeps.csv.
    """
    results = [RunDirectory(run.directory).result() for run in plan.runs if run.state() == "done"]
    timings: Counter[str] = Counter()
    for result in results:
        timings.update(result.timings)
    rows = read_sweeps(plan.directory / "sweeps.csv")
    row = {name: sum(row[name] for row in rows) for name in _NUMBERS} if rows else None
    if row is None and watched is None:
        raise ValueError(f"{plan.directory}: no sweeps.csv, so nobody knows how long the sweep took")
    places = placements(plan.study.executor.machine, 0, usable_cores())
    return Swept(
        command=command,
        wall=watched.wall if watched is not None else row["seconds"] if row is not None else 0.0,
        workers=int(rows[-1]["workers"]) if rows else len(places),
        threads=int(rows[-1]["threads"]) if rows else places[0].threads,
        runs=len(results),
        timings=timings,
        run_seconds=sum(result.cost.seconds for result in results),
        row=row,
        processes=watched.processes if watched is not None else None,
        loaders=watched.loaders if watched is not None else None,
    )


def read_sweeps(path: Path) -> list[dict[str, float]]:
    """The numbers of each invocation; none where there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{name: float(row[name]) for name in (*_NUMBERS, "workers", "threads")} for row in csv.DictReader(file)]


def import_seconds() -> float:
    """What a new process pays for importing all that a run needs."""
    took = []
    for code in ("pass", "import usaggr.training.run"):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        took.append(time.perf_counter() - began)
    return took[1] - took[0]


if __name__ == "__main__":
    sys.exit(main())
