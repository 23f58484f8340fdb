"""A lock on a file, held by a process for as long as it lives.

The operating system gives it back when the process ends, however it ends; no pid is trusted, so none can be reused.
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
from usaggr.io.atomic_files import cannot_write


@contextmanager
def exclusive(path: Path, patience: float = 0.3, remedy: str = "choose another outputs=...") -> Iterator[bool]:
    """Hold the lock on a file, which is made where it is missing, for as long as the context lasts.

    Yields False, after `patience` seconds, where another process holds it. (Who looks whether a lock is held has it
    for a moment, so that one refusal says nothing.)

    Args:
        path: The file to lock; its folder is made too.
        patience: Seconds; 0 tries once.
        remedy: What the user is told to do if the file system has no locks.

    Raises:
        RunError: the file system has no locks.
        WriteError: the file cannot be made.
        RuntimeError: a script calls usaggr without a guard.
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
    """Refuse a process that is still importing the script that began it: it would wait for its own parent."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(
            "this script is run anew in each process that usaggr begins: put its calls under `if __name__ == "
            '"__main__":`'
        )


def is_held(path: Path) -> bool:
    """Whether a living process, of this host at least, holds the lock. Needs no right to write."""
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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except FileNotFoundError:  # the folder was removed in this moment
        return None
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        if _lock(file.fileno(), fcntl.LOCK_EX, path, remedy) and _still_there(file.fileno(), path):
            return file
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def _lock(descriptor: int, kind: int, path: Path, remedy: str) -> bool:
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


def _still_there(descriptor: int, path: Path) -> bool:
    """Whether the locked file is the one that others would open, and not one that was removed meanwhile."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)
