"""Paths of the cache folder, of a data set's root, and of the files that its index names."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from usaggr.config.study import DataConfig
from usaggr.errors import DataError


def cache_root(data: DataConfig) -> Path:
    """Return the cache folder: `data.cache_dir`, else $USAGGR_CACHE, else usaggr's folder in the user's cache."""
    chosen = data.cache_dir or os.environ.get("USAGGR_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").absolute() / "usaggr"


def made_folder(path: Path) -> Path:
    """Create a cache folder if it does not exist, and return it.

    Raises:
        DataError: The folder cannot be created or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{path}: the folder cannot be created ({error.strerror}); choose another data.cache_dir=..."
        ) from error
    if not os.access(path, os.W_OK):
        raise DataError(f"{path}: the folder is not writable; choose another data.cache_dir=...")
    return path


class FoundFile(NamedTuple):
    """A file that the index names, inside the root."""

    path: str
    """Absolute path with symbolic links resolved."""
    size: int
    """Size in bytes."""
    mtime_ns: int
    """Modification time in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Misplaced:
    """Reason why a path of the index leads to no file."""

    kind: str
    """Kind of error: path_outside or missing_file."""
    message: str


@dataclass(frozen=True)
class FileFinder:
    """Finds the files of an index: paths are relative to `<root>/csv_files` and must not lead out of the root."""

    root: str
    """Absolute path with symbolic links resolved."""
    _folders: dict[str, str] = field(default_factory=dict)

    def find(self, text: str) -> FoundFile | Misplaced:
        """Find the file of a path from the index, or return the reason why it leads to no file inside the root."""
        if text.startswith(("/", "\\")) or text[1:3] in (":\\", ":/"):  # also Windows paths such as C:\images
            return Misplaced("path_outside", "is an absolute path; paths must be relative to csv_files/")
        try:
            path = self._resolve_folder(os.path.normpath(f"{self.root}/csv_files/{text}"))
            # Checked before the file is looked up, so that an index cannot reveal files outside the root.
            if not self._is_inside(path):
                return Misplaced("path_outside", f"is outside the root {self.root}, at {path}")
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                path = os.path.realpath(path)
                if not self._is_inside(path):
                    return Misplaced("path_outside", f"is a link to a file outside the root {self.root}, to {path}")
                status = os.lstat(path)
        except (OSError, ValueError) as error:  # ValueError: a null character in the path
            reason = error.strerror if isinstance(error, OSError) else str(error)
            hint = "; write / between folders" if "\\" in text else ""
            return Misplaced("missing_file", f"cannot be found ({reason}{hint})")
        if not stat.S_ISREG(status.st_mode):
            return Misplaced("missing_file", "is not a file")
        return FoundFile(path, status.st_size, status.st_mtime_ns)

    def _resolve_folder(self, path: str) -> str:
        """Resolve the links in a path's folder; each folder is resolved once, because folders are few."""
        folder, name = os.path.split(path)
        resolved = self._folders.get(folder)
        if resolved is None:
            resolved = self._folders[folder] = os.path.realpath(folder)
        return f"{resolved}/{name}"

    def _is_inside(self, path: str) -> bool:
        return path.startswith(self.root.rstrip("/") + "/")


def data_root(data: DataConfig) -> Path:
    """Return the folder that contains `csv_files/`, as an absolute path with symbolic links resolved.

    Raises:
        DataError: The folder does not exist, or it has no folder `csv_files/`.
    """
    root = Path(data.root or "").expanduser()
    if not root.is_dir():
        raise DataError(f"data.root={data.root}: this folder does not exist; give the folder that contains csv_files/")
    if not (root / "csv_files").is_dir():
        raise DataError(
            f"data.root={data.root}: this folder has no folder csv_files/; give the folder that contains it"
        )
    return root.resolve()
