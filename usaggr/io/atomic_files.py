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
_GONE_ERRORS = (errno.ENOTCONN, errno.ENODEV, errno.ENXIO)
"""Error numbers of a file system that is gone. Without a file name they are those of a network connection."""
_BROKEN_ERRORS = (errno.EIO, errno.ESTALE, *_GONE_ERRORS)
_NAMED_ERRORS = (*_FULL_ERRORS, errno.EROFS, errno.EIO, errno.ESTALE)
"""Error numbers whose messages are recognized too: libraries with their own exception classes repeat only these."""


def write_atomic(path: Path, text: str) -> None:
    """Write a file atomically: readers see the old or the new content, and a failed write leaves nothing behind.

    Raises:
        WriteError: the file cannot be written; its old content stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # else a crash of the machine could leave an empty file under the final name
    except OSError as error:
        raise make_write_error(path, error) from error


@contextmanager
def replace_file(path: Path, single_writer: bool = False) -> Iterator[Path]:
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
    number = find_disk_error(error)
    verb = "cannot be written"
    if number in _FULL_ERRORS:
        remedy = "make room"
    elif number in _BROKEN_ERRORS:  # the same error is raised when the disk is read
        verb, remedy = "cannot be written or read", "check the disk or its connection"
    else:
        remedy = "make it writable"
    return WriteError(f"{path}: {verb} ({reason}); {remedy}, then run the same command to continue")


def find_disk_error(error: BaseException) -> int | None:
    """Return the error number if an error, or one of its causes, says that a disk cannot be used; else None.

    The disk is full (or the user's quota), read-only, failing, or gone.
    """
    if isinstance(error, OSError) and (
        error.errno in _NAMED_ERRORS or (error.errno in _GONE_ERRORS and error.filename is not None)
    ):
        return error.errno
    for number in _NAMED_ERRORS:
        if os.strerror(number) in str(error):
            return number
    cause = error.__cause__ or error.__context__
    return None if cause is None else find_disk_error(cause)


def is_disk_error(error: BaseException) -> bool:
    """Return whether an error, or one of its causes, says that a disk is full, read-only, failing or gone."""
    return find_disk_error(error) is not None


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error, or one of its causes, says that a disk or the user's quota is full."""
    return find_disk_error(error) in _FULL_ERRORS


def is_writable(folder: Path) -> bool:
    """Return whether a file can be written into a folder now."""
    probe = _make_unique_path(folder / "probe")
    try:
        with probe.open("wb") as file:
            file.write(b"?")
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        return False
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    return True


def apply_umask(path: Path) -> None:
    """Give a file the permissions of a newly created one; some libraries create files that only the owner can read."""
    # The umask cannot be read without changing it, which would affect other threads.
    probe = _make_unique_path(path)
    probe.touch()
    try:
        path.chmod(probe.stat().st_mode & 0o777)
    finally:
        probe.unlink()
