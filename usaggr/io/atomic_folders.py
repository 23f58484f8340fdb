"""Folders that are complete or do not exist: they are written under another name and then renamed."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from usaggr.errors import WriteError
from usaggr.io.atomic_files import make_write_error
from usaggr.io.locks import hold_lock, is_held

LOCK = "usaggr.lock"
"""File in a temporary folder whose lock is held while the folder is written."""
_CONTENT = "content"
"""Folder in a temporary folder that is renamed when it is complete."""


@contextmanager
def creating_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder next to a new folder, and rename it when the block ends without an error.

    After an error the temporary folder is removed. What a killed process has left is removed first.

    Args:
        folder: The folder, which does not exist or is empty.

    Raises:
        WriteError: The folder cannot be written, is not empty, or another process is writing it.
    """
    temporary = find_temporary_folder(folder)
    _check_own(temporary)
    with hold_lock(temporary / LOCK, remedy="choose another folder") as is_mine:
        if not is_mine:
            raise WriteError(f"{folder}: another process is writing this folder; wait for it")
        content = temporary / _CONTENT
        try:
            shutil.rmtree(content, ignore_errors=True)
            content.mkdir(parents=True)
            yield content
            content.rename(folder)  # also onto an empty folder
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise WriteError(f"{folder}: exists and is not empty; give a new folder") from error
            raise make_write_error(folder, error) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def find_temporary_folder(folder: Path) -> Path:
    """Return the temporary folder of `creating_folder`."""
    return folder.with_name(f".{folder.name}.unfinished")


def remove_leftover(folder: Path) -> None:
    """Remove the temporary folder that a killed `creating_folder` has left; that of a living process stays."""
    temporary = find_temporary_folder(folder)
    if (temporary / LOCK).is_file() and not is_held(temporary / LOCK):
        shutil.rmtree(temporary, ignore_errors=True)


def _check_own(temporary: Path) -> None:
    """Refuse a folder of the temporary name that `creating_folder` has not made."""
    if temporary.exists() and not (temporary / LOCK).is_file() and (not temporary.is_dir() or any(temporary.iterdir())):
        raise WriteError(f"{temporary}: is needed for a temporary folder and was not made by usaggr; rename it")
