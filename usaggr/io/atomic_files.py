"""Atomic writes of files, and the errors about files that cannot be written."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from usaggr.errors import WriteError

_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk and of an exhausted quota."""
_UNWRITABLE = (*_FULL_ERRORS, errno.EROFS)
_FULL_MESSAGES = tuple(os.strerror(number) for number in _FULL_ERRORS)
"""Messages of `_FULL_ERRORS`. Libraries with their own exception classes repeat the message, but not the number."""


def write_atomic(path: Path, text: str) -> None:
    """Write a file atomically: readers see the old or the new content, and a failed write leaves nothing behind.

    Raises:
        WriteError: the file cannot be written; its old content stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # else a crash of the machine could leave an empty file under the final name
    except OSError as error:
        raise make_write_error(path, error) from error


@contextmanager
def replacing(path: Path, single_writer: bool = False) -> Iterator[Path]:
    """Yield a temporary path next to a file, and rename it to the file when the block ends without an error.

    After an error, the temporary file is removed and the old file stays.

    Args:
        path: The file to replace; its folder must exist.
        single_writer: True if a lock keeps other processes from writing this file. The temporary file then always has
            the same name, so that the next write replaces what a killed process has left.

    Raises:
        OSError: The file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp") if single_writer else _make_unique_path(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _make_unique_path(path: Path) -> Path:
    """Return a temporary path next to a file that no other thread or process of this host uses."""
    return path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")


def make_write_error(path: Path, error: BaseException) -> WriteError:
    """Make the exception for a file or folder that cannot be written, with the reason and the remedy."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
    remedy = "make room" if is_disk_full(error) else "make it writable"
    return WriteError(f"{path}: cannot be written ({reason}); {remedy}, then run the same command to continue")


def is_unwritable(error: OSError) -> bool:
    """Return whether an error says that a disk is full or read-only."""
    return error.errno in _UNWRITABLE


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error, or one of its causes, says that a disk or the user's quota is full."""
    if isinstance(error, OSError) and error.errno in _FULL_ERRORS:
        return True
    if any(message in str(error) for message in _FULL_MESSAGES):
        return True
    cause = error.__cause__ or error.__context__
    return cause is not None and is_disk_full(cause)


def apply_umask(path: Path) -> None:
    """Give a file the permissions of a newly created one; some libraries create files that only the owner can read."""
    # The umask cannot be read without changing it, which would affect other threads.
    probe = _make_unique_path(path)
    probe.touch()
    try:
        path.chmod(probe.stat().st_mode & 0o777)
    finally:
        probe.unlink()
