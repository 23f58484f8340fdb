"""Whether a process of another host still gives signs of life: files that it writes again and again, and their times.

All times are those that the file server stamps, so that hosts whose clocks differ agree. A clock that is set forward or
back makes living files look old until they are written next, which is why a take-over watches for a while.
"""

import os
import tempfile
import time
from pathlib import Path

_LOOK_SECONDS = 0.2


def is_recent(path: Path, seconds: float) -> bool:
    """Whether a file was written within so many seconds, before or after now; False where it is missing."""
    try:
        written = path.stat().st_mtime
    except OSError:
        return False
    return abs(_now(path.parent) - written) < seconds


def stays_silent(path: Path, seconds: float) -> bool:
    """Watch a file for so many seconds, by a clock that does not jump; False as soon as it is written anew."""
    before = _stamp(path)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if _stamp(path) != before:
            return False
        time.sleep(_LOOK_SECONDS)
    return _stamp(path) == before


def _now(folder: Path) -> float:
    """What time it is for the file system of a folder; for this host, where nothing can be written there."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"?")
            file.flush()
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
