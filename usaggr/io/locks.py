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
    """Hold the exclusive lock on a file within the context; a missing file is created.

    The lock is tried repeatedly, because `is_held` in another process holds it for a moment.

    Args:
        path: the lock file; its folder is created, too.
        patience: seconds to wait for the lock; with 0, it is tried once.
        remedy: what the user can do if the file system has no locks, for the message.

    Yields:
        False if another process still holds the lock after `patience` seconds.

    Raises:
        RunError: the file system has no locks.
        WriteError: the file cannot be created.
        RuntimeError: a script calls usaggr without `if __name__ == "__main__":`.
    """
    _require_main_guard()
    end = time.monotonic() + patience
    while (file := _open_locked(path, remedy)) is None and time.monotonic() < end:
        time.sleep(0.01)
    if file is None:
        yield False
        return
    with file:
        yield True


def _require_main_guard() -> None:
    """Refuse to run in a child process that is still importing the user's script.

    Without a main guard, that import calls usaggr again, and the child would wait for a lock of its own parent.
    """
    # `multiprocessing` has no public sign of this phase; it sets `_inheriting` while a child imports the script.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(
            "this script is run again in each process that usaggr starts: put its calls under `if __name__ == "
            '"__main__":`'
        )


def is_held(path: Path) -> bool:
    """Return whether a living process holds the lock on a file, as far as this host can see.

    Some network file systems do not show locks of other hosts. Write permission is not needed.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        # A shared lock, so that two checks at the same time do not see each other as holders.
        return not _try_lock(descriptor, fcntl.LOCK_SH, path, remedy="")
    except RunError:
        return False
    finally:
        os.close(descriptor)


def _open_locked(path: Path, remedy: str) -> IO[str] | None:
    """Open a file and lock it; return None if another process holds the lock."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A link could lead to a file elsewhere, which would be created; a pipe would wait for a reader.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        file = os.fdopen(os.open(path, flags, 0o666), "a", encoding="utf-8")
    except FileNotFoundError:  # the folder was removed at this moment
        return None
    except OSError as error:
        raise make_write_error(path, error) from error
    try:
        if _try_lock(file.fileno(), fcntl.LOCK_EX, path, remedy) and _is_current(file.fileno(), path):
            return file
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def _try_lock(descriptor: int, kind: int, path: Path, remedy: str) -> bool:
    """Try to lock a file and return whether that succeeded.

    Args:
        descriptor: descriptor of the open file.
        kind: LOCK_EX (exclusive) or LOCK_SH (shared).
        path: the file, for the message.
        remedy: what the user can do if the file system has no locks, for the message.

    Raises:
        RunError: the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # some network file systems raise PermissionError for a held lock
        return False
    except OSError as error:
        raise RunError(
            f"{path}: this file system has no file locks ({error.strerror}), which keep two processes from writing "
            f"the same files; {remedy}"
        ) from error
    return True


def _is_current(descriptor: int, path: Path) -> bool:
    """Return whether the locked file still has this path; another process may have removed or replaced it."""
    try:
        current = path.stat()
    except FileNotFoundError:
        return False
    locked = os.fstat(descriptor)
    return (current.st_dev, current.st_ino) == (locked.st_dev, locked.st_ino)
