"""What must hold when a study is done that was killed again and again."""

import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import psutil

from benchmarks.sweep.soak_sweeps import USAGGR, SoakError
from usaggr.sweep.inspect.status import status_of

LEAVING = 60.0
"""Seconds that processes of killed sweeps have to end."""
_ATTEMPT = re.compile(r"^--- attempt \d+, ", re.MULTILINE)
_CONTINUES = re.compile(r"^continues at step \d+ of ", re.MULTILINE)
_OLD = 3600
"""Seconds since a leftover was written, as if one looked an hour later."""


def nothing_lives(sessions: Collection[int]) -> None:
    """Raises SoakError where a process of a sweep is still there."""
    end = time.monotonic() + LEAVING
    while left := [process for process in psutil.process_iter() if _session(process) in sessions]:
        if time.monotonic() > end:
            names = "; ".join(f"{process.pid} {' '.join(process.cmdline())[:100]}" for process in left)
            raise SoakError(f"{len(left)} processes of ended sweeps live on: {names}")
        time.sleep(0.2)


def _session(process: psutil.Process) -> int | None:
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else os.getsid(process.pid)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return None


def all_done(study: Path, runs: int) -> None:
    """Raises SoakError unless so many runs are planned, and all are done."""
    status = status_of(study)
    done = status.count("done")
    if (len(status.runs), done, len(status.unplanned)) != (runs, runs, 0):
        raise SoakError(f"{study}: {done} of {len(status.runs)} runs are done, {runs} were wanted")


def same_scores(calm: Path, rough: Path) -> int:
    """Rows of scores.csv; raises SoakError where one differs in a byte."""
    first, second = (sorted(_scores(study)) for study in (calm, rough))
    if first != second:
        other = sorted(set(first) ^ set(second))
        raise SoakError(f"{len(other)} rows of scores.csv differ, as {b' and '.join(other[:2]).decode()}")
    return len(first) - 1


def _scores(study: Path) -> list[bytes]:
    return (study / "report" / "tables" / "scores.csv").read_bytes().splitlines()


def executions(logs: Sequence[str], kills: Mapping[str, int], workers: int) -> dict[int, int]:
    """How often runs were begun: how many of them; raises SoakError where that was more often than kills explain."""
    begun = [len(_ATTEMPT.findall(log)) for log in logs]
    more, most = sum(begun) - len(begun), kills.get("main", 0) * workers + kills.get("worker", 0)
    if min(begun) < 1 or more > most:
        raise SoakError(f"{len(begun)} runs were begun {sum(begun)} times; kills explain {most} times more, at most")
    return dict(sorted(Counter(begun).items()))


def continued(logs: Sequence[str]) -> int:
    """How often a run went on from a checkpoint."""
    return sum(len(_CONTINUES.findall(log)) for log in logs)


def leftovers(study: Path, cache: Path) -> int:
    """Temporary files that kills have left in a study; raises SoakError where `usaggr clean` does not remove them.

    In a cache there may be none.
    """
    if left := _temporaries(cache):
        raise SoakError(f"{len(left)} temporary files are left in the cache, as {left[0]}")
    found = _temporaries(study)
    for path in found:
        then = path.stat().st_mtime - _OLD
        os.utime(path, (then, then))
    subprocess.run([USAGGR, "clean", study, "--yes"], check=True, stdout=subprocess.DEVNULL)
    if left := _temporaries(study):
        raise SoakError(f"`usaggr clean` leaves {len(left)} temporary files, as {left[0]}")
    return len(found)


def _temporaries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if ".tmp" in path.suffixes or path.name.endswith((".old", "~")))
