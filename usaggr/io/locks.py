"""File locks that a process holds for as long as it lives.

The operating system releases a lock when its process ends, for any reason. Locks do not depend on process ids, which
can be reused.
"""

import fcntl
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from usaggr.errors import RunError
from usaggr.io.atomic_files import make_write_error


@contextmanager
def hold_lock(path: Path, patience: float = 0.3, remedy: str = "choose another outputs=...") -> Iterator[bool]:
    """Hold the lock on a file within the context; a missing file is created.

    The lock is tried repeatedly, because a process that only checks whether it is held has it for a moment.

    Args:
        path: the file; its folder is created too.
        patience: seconds to wait for the lock; 0 tries once.
        remedy: what the user can do if the file system has no locks, for the message.

    Yields:
        False if another process still holds the lock after `patience` seconds.

    Raises:
        RunError: the file system has no locks.
        WriteError: the file cannot be created.
        RuntimeError: a script calls usaggr without `if __name__ == "__main__":`.
    """
    _check_guarded()
    end = time.monotonic() + patience
    while (file := _locked_file(path, remedy)) is None and time.monotonic() < end:
        time.sleep(0.01)
    if file is None:
        yield False
        return
    with file:
        yield True


def _check_guarded() -> None:
    """Refuse a process that is still importing the script that started it: it would wait for its own parent."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(
            "this script is run again in each process that usaggr starts: put its calls under `if __name__ == "
            '"__main__":`'
        )


def is_held(path: Path) -> bool:
    """Return whether a living process holds the lock, at least on this host; needs no write permission."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _lock(descriptor, fcntl.LOCK_SH, path, remedy="")
    except RunError:
        return False
    finally:
        os.close(descriptor)


def _locked_file(path: Path, remedy: str) -> IO[str] | None:
    """Open a file and lock it; return None if another process holds the lock."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except FileNotFoundError:  # the folder was removed at this moment
        return None
    except OSError as error:
        raise make_write_error(path, error) from error
    try:
        if _lock(file.fileno(), fcntl.LOCK_EX, path, remedy) and _is_current(file.fileno(), path):
            return file
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def _lock(descriptor: int, kind: int, path: Path, remedy: str) -> bool:
    """Try to lock a file and return whether that succeeded.

    Args:
        descriptor: descriptor of the open file.
        kind: LOCK_EX or LOCK_SH.
        path: the file, for the message.
        remedy: what the user can do if the file system has no locks, for the message.

    Raises:
        RunError: the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        raise RunError(
            f"{path}: this file system has no file locks ({error.strerror}), which keep two processes from writing "
            f"the same files; {remedy}"
        ) from error
    return True


def _is_current(descriptor: int, path: Path) -> bool:
    """Return whether the locked file is still the one under this path, and was not removed meanwhile."""
    try:
        current = path.stat()
    except FileNotFoundError:
        return False
    locked = os.fstat(descriptor)
    return (current.st_dev, current.st_ino) == (locked.st_dev, locked.st_ino)
