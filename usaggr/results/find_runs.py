"""Finds the run directories of a study, by fingerprint and never by name.

Only the head of each run.yaml is read, so that ten thousand runs are found within a second.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from usaggr.results import contract
from usaggr.results.run_settings import stored_fingerprint


def find_runs(directory: Path) -> dict[str, Path]:
    """Full fingerprint: run directory, of all runs under directory/runs that say what they are.

    A directory without a readable run.yaml is left out: it holds a run that died before its first step, which is taken
    up again under its planned name. Where two directories hold the same run, a finished one wins, then the first name.
    """
    found: dict[str, Path] = {}
    for path in run_directories(directory):
        fingerprint = stored_fingerprint(path)
        if fingerprint is None:
            continue
        known = found.get(fingerprint)
        if known is None or (is_done(path) and not is_done(known)):
            found[fingerprint] = path
    return found


def run_directories(directory: Path) -> Iterator[Path]:
    """All folders under directory/runs, sorted by name."""
    runs = directory / "runs"
    try:
        with os.scandir(runs) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from (runs / name for name in names)


def is_done(run: Path) -> bool:
    """Whether the run directory holds a result."""
    return (run / contract.RESULT).exists()
