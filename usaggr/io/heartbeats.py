"""Heartbeats of processes on other hosts: files that they write repeatedly, and the times of these files.

All times are those of the file server, so that hosts with different clocks agree. If a clock is set forward or back,
the files of living processes look old until they are written again. A process that takes over a run therefore watches
the file for a while first.
"""

import os
import tempfile
import time
from pathlib import Path

_LOOK_SECONDS = 0.2
"""Seconds between two checks of a file."""


def is_recent(path: Path, seconds: float) -> bool:
    """Return whether a file was written within this many seconds before or after now; False if it is missing."""
    try:
        modified = path.stat().st_mtime
    except OSError:
        return False
    return abs(_now(path.parent) - modified) < seconds


def watch_for_silence(path: Path, seconds: float) -> bool:
    """Watch a file for this many seconds, by a monotonic clock; return False as soon as it is written again."""
    before = _stamp(path)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if _stamp(path) != before:
            return False
        time.sleep(_LOOK_SECONDS)
    return _stamp(path) == before


def _now(folder: Path) -> float:
    """Return the time of a folder's file system; that of this host, if the folder is not writable."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"?")
            file.flush()
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return the modification time and the inode, which changes when a file is replaced by a rename."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
