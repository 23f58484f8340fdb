"""Search for the run directories of a study, by fingerprint and never by name.

Only the first bytes of each run.yaml are read, so that ten thousand runs are found within a second.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from usaggr.results import contract
from usaggr.results.run_settings import read_fingerprint


def find_runs(directory: Path) -> dict[str, Path]:
    """Return the directory of each run under directory/runs, by its full fingerprint.

    A directory without a readable run.yaml is left out. Its run died before its first step, and is started again under
    its planned name. If two directories hold the same run, a finished one is returned, or else the first by name.
    """
    paths: dict[str, Path] = {}
    for path in run_directories(directory):
        fingerprint = read_fingerprint(path)
        if fingerprint is None:
            continue
        other = paths.get(fingerprint)
        if other is None or (is_done(path) and not is_done(other)):
            paths[fingerprint] = path
    return paths


def run_directories(directory: Path) -> Iterator[Path]:
    """Yield all folders under directory/runs, sorted by name."""
    runs = directory / "runs"
    # scandir knows without a further system call which entries are folders.
    try:
        with os.scandir(runs) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from (runs / name for name in names)


def is_done(run: Path) -> bool:
    """Return whether the run directory holds a result."""
    return (run / contract.RESULT).exists()
