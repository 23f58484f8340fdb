"""Atomic writes of files, and the errors about files that cannot be written."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from usaggr.errors import WriteError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNWRITABLE = (*_FULL, errno.EROFS)
_FULL_WORDS = tuple(os.strerror(number) for number in _FULL)
"""Messages of a full disk, as contained in the errors of libraries that raise their own classes."""


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
    """Provide a temporary path beside a file, which takes the file's place when the block ends without an error.

    After an error the temporary file is removed, and what was there before stays.

    Args:
        path: The file; its folder is there.
        single_writer: No other process writes this file at the same time (a lock sees to it). The temporary file then
            has one name, so that the next write replaces what a killed process has left.

    Raises:
        OSError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp") if single_writer else _own_temporary(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _own_temporary(path: Path) -> Path:
    """Return a path beside a file that no other thread or process of this host uses."""
    return path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")


def make_write_error(path: Path, error: BaseException) -> WriteError:
    """Return the error about a file or folder that cannot be written, with the reason and what to do."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
    remedy = "make room" if is_disk_full(error) else "make it writable"
    return WriteError(f"{path}: cannot be written ({reason}); {remedy}, then run the same command to continue")


def is_unwritable(error: OSError) -> bool:
    """Return whether an error says that a disk is full or read-only."""
    return error.errno in _UNWRITABLE


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error, or one of its causes, says that a disk or the user's quota is full."""
    cause = error.__cause__ or error.__context__
    is_full = isinstance(error, OSError) and error.errno in _FULL
    return is_full or any(word in str(error) for word in _FULL_WORDS) or (cause is not None and is_disk_full(cause))


def apply_umask(path: Path) -> None:
    """Set the mode of a file to that of the user's umask: some libraries create files for their owner alone."""
    # The umask cannot be read without changing it, which would affect other threads.
    plain = _own_temporary(path)
    plain.touch()
    try:
        path.chmod(plain.stat().st_mode & 0o777)
    finally:
        plain.unlink()
