"""Heartbeats: files that a running process rewrites regularly, so that processes on other hosts see that it is alive.

All times are those of the file server, so that hosts with different clocks agree. If its clock is set forward or back,
the heartbeats of living processes look old until they are written again. A process that takes over a run therefore
watches the heartbeat for a while first.
"""

import os
import tempfile
import time
from pathlib import Path

_POLL_SECONDS = 0.2
"""Seconds between two checks of a file."""


def is_recent(path: Path, seconds: float) -> bool:
    """Return whether a file was written within `seconds` before or after now; False if it is missing."""
    try:
        modified = path.stat().st_mtime
    except OSError:
        return False
    # Absolute, because a clock that is set back puts the heartbeats of dead processes into the future.
    return abs(_read_server_time(path.parent) - modified) < seconds


def watch_for_silence(path: Path, seconds: float) -> bool:
    """Watch a file for `seconds`; return True if it stays unchanged, False as soon as it is written again."""
    before = _read_stamp(path)
    end = time.monotonic() + seconds  # unlike time.time(), not affected by a change of the clock
    while time.monotonic() < end:
        if _read_stamp(path) != before:
            return False
        time.sleep(_POLL_SECONDS)
    return _read_stamp(path) == before


def _read_server_time(folder: Path) -> float:
    """Return the current time of a folder's file server, or that of this host if the folder is not writable."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"?")  # the server stamps a file when it is written
            file.flush()
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()


def _read_stamp(path: Path) -> tuple[int, int] | None:
    """Return the modification time and the inode, which changes when a file is replaced by a rename."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
