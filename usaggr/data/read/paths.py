"""Where things lie: the cache folder, a data set's root, and the files that its index names."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from usaggr.config.study import DataConfig
from usaggr.errors import DataError


def cache_root(data: DataConfig) -> Path:
    """Folder of hashes, resized images and phantoms: data.cache_dir, else $USAGGR_CACHE, else the user's cache."""
    chosen = data.cache_dir or os.environ.get("USAGGR_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").absolute() / "usaggr"


def made_folder(path: Path) -> Path:
    """The folder, made if need be.

    Raises:
        DataError: it cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be made ({error.strerror}); choose another data.cache_dir=...") from error
    if not os.access(path, os.W_OK):
        raise DataError(f"{path}: cannot be written to; choose another data.cache_dir=...")
    return path


class FoundFile(NamedTuple):
    """A file that the index names, inside the root."""

    path: str
    """Absolute, symbolic links followed."""
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Misplaced:
    """Why a path of the index leads to no file."""

    kind: str
    message: str


@dataclass(frozen=True)
class FileFinder:
    """Finds the files of an index: paths are relative to `<root>/csv_files` and must not lead out of the root."""

    root: str
    """Absolute, symbolic links followed."""
    _folders: dict[str, str] = field(default_factory=dict)

    def find(self, text: str) -> FoundFile | Misplaced:
        """The file that a cell of the index means."""
        if text.startswith(("/", "\\")) or text[1:3] in (":\\", ":/"):
            return Misplaced("path_outside", "is an absolute path; paths are relative to csv_files/")
        try:
            path = self._resolved(os.path.normpath(f"{self.root}/csv_files/{text}"))
            if not self._inside(path):
                return Misplaced("path_outside", f"leads out of the root {self.root}, to {path}")
            found = os.lstat(path)
            if stat.S_ISLNK(found.st_mode):
                path = os.path.realpath(path)
                if not self._inside(path):
                    return Misplaced("path_outside", f"leads out of the root {self.root}, to {path}")
                found = os.lstat(path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            hint = "; write / between folders" if "\\" in text else ""
            return Misplaced("missing_file", f"is not there ({reason}{hint})")
        if not stat.S_ISREG(found.st_mode):
            return Misplaced("missing_file", "is no file")
        return FoundFile(path, found.st_size, found.st_mtime_ns)

    def _resolved(self, path: str) -> str:
        """The path with the links of its folder followed; folders are few, so each is looked up once."""
        folder, name = os.path.split(path)
        known = self._folders.get(folder)
        if known is None:
            known = self._folders[folder] = os.path.realpath(folder)
        return f"{known}/{name}"

    def _inside(self, path: str) -> bool:
        return path.startswith(self.root.rstrip("/") + "/")


def data_root(data: DataConfig) -> Path:
    """Folder that holds csv_files/, absolute, symbolic links followed.

    Raises:
        DataError: not there, or without csv_files/.
    """
    root = Path(data.root or "").expanduser()
    if not root.is_dir():
        raise DataError(f"data.root={data.root}: no such folder; give the folder that holds csv_files/")
    if not (root / "csv_files").is_dir():
        raise DataError(f"data.root={data.root}: has no folder csv_files/; give the folder that holds it")
    return root.resolve()
