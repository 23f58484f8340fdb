"""Files that are there as a whole or not at all, and what is said where one cannot be written."""

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
"""As libraries say it that raise errors of their own."""


def write_atomic(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it, and nothing is left of a write that failed.

    Raises:
        WriteError: it cannot be written; what was there before stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise cannot_write(path, error) from error


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


def cannot_write(path: Path, error: BaseException) -> WriteError:
    """The error of a file or folder that cannot be written: which, why, and what to do."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
    what = "make room" if is_disk_full(error) else "make it writable"
    return WriteError(f"{path}: cannot be written ({reason}); {what}, then run the same command to continue")


def is_unwritable(error: OSError) -> bool:
    """Whether a disk is full, or is not to be written to."""
    return error.errno in _UNWRITABLE


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or what it came from, says that a disk, or what a user may have of it, is full."""
    cause = error.__cause__ or error.__context__
    here = isinstance(error, OSError) and error.errno in _FULL
    return here or any(word in str(error) for word in _FULL_WORDS) or (cause is not None and is_disk_full(cause))


def make_usual(path: Path) -> None:
    """Give a file that a library has made for its owner alone the mode that the user's umask asks for."""
    plain = _own_temporary(path)
    plain.touch()
    try:
        path.chmod(plain.stat().st_mode & 0o777)
    finally:
        plain.unlink()
