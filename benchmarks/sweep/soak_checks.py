"""Conditions that must hold when a study has finished in spite of repeated kills."""

import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import psutil

from benchmarks.sweep.soak_sweeps import USAGGR, SoakError
from usaggr.sweep.inspect.status import read_sweep_status

LEAVING = 60.0
"""Seconds within which processes of killed sweeps must end."""
_ATTEMPT = re.compile(r"^--- attempt \d+, ", re.MULTILINE)
_CONTINUES = re.compile(r"^continues at step \d+ of ", re.MULTILINE)
_OLD = 3600
"""Seconds by which leftovers are made older, because `usaggr clean` keeps files that may be in use."""


def check_no_process_is_left(sessions: Collection[int]) -> None:
    """Check that no process of a sweep is left.

    Raises:
        SoakError: if a process is left.
    """
    end = time.monotonic() + LEAVING
    while left := [process for process in psutil.process_iter() if _session(process) in sessions]:
        if time.monotonic() > end:
            names = "; ".join(f"{process.pid} {' '.join(process.cmdline())[:100]}" for process in left)
            raise SoakError(f"{len(left)} processes of ended sweeps are still running: {names}")
        time.sleep(0.2)


def _session(process: psutil.Process) -> int | None:
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else os.getsid(process.pid)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return None


def check_all_runs_finished(study: Path, runs: int) -> None:
    """Check that `runs` runs are planned and that all of them are finished.

    Raises:
        SoakError: if this is not the case.
    """
    status = read_sweep_status(study)
    finished = status.count("done")
    if (len(status.runs), finished, len(status.unplanned)) != (runs, runs, 0):
        raise SoakError(f"{study}: {finished} of {len(status.runs)} runs are finished; expected {runs} of {runs}")


def check_same_scores(calm: Path, rough: Path) -> int:
    """Return the number of rows of scores.csv after checking that both studies have the same bytes in each.

    Raises:
        SoakError: if a row differs.
    """
    first, second = (sorted(_scores(study)) for study in (calm, rough))
    if first != second:
        other = sorted(set(first) ^ set(second))
        raise SoakError(f"{len(other)} rows of scores.csv differ, for example {b' and '.join(other[:2]).decode()}")
    return len(first) - 1


def _scores(study: Path) -> list[bytes]:
    return (study / "report" / "tables" / "scores.csv").read_bytes().splitlines()


def count_attempts(logs: Sequence[str], kills: Mapping[str, int], workers: int) -> dict[int, int]:
    """Return the number of runs by their number of attempts.

    Args:
        logs: Log of each run.
        kills: Number of kills by kind.
        workers: Number of workers of the sweep.

    Raises:
        SoakError: if there are more attempts than the kills explain, or a run without an attempt.
    """
    attempts = [len(_ATTEMPT.findall(log)) for log in logs]
    more, most = sum(attempts) - len(attempts), kills.get("main", 0) * workers + kills.get("worker", 0)
    if min(attempts) < 1 or more > most:
        raise SoakError(
            f"{len(attempts)} runs have {sum(attempts)} attempts; kills explain at most {most} more than runs"
        )
    return dict(sorted(Counter(attempts).items()))


def count_continuations(logs: Sequence[str]) -> int:
    """Count how often a run continued from a checkpoint."""
    return sum(len(_CONTINUES.findall(log)) for log in logs)


def count_leftovers(study: Path, cache: Path) -> int:
    """Count the temporary files that kills have left in a study, after checking that `usaggr clean` removes them.

    Raises:
        SoakError: if `usaggr clean` leaves one, or if one is in the cache.
    """
    if left := _temporaries(cache):
        raise SoakError(f"{len(left)} temporary files are left in the cache, for example {left[0]}")
    temporaries = _temporaries(study)
    for path in temporaries:
        then = path.stat().st_mtime - _OLD
        os.utime(path, (then, then))
    subprocess.run([USAGGR, "clean", study, "--yes"], check=True, stdout=subprocess.DEVNULL)
    if left := _temporaries(study):
        raise SoakError(f"`usaggr clean` leaves {len(left)} temporary files, for example {left[0]}")
    return len(temporaries)


def _temporaries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if ".tmp" in path.suffixes or path.name.endswith((".old", "~")))
