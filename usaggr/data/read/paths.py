"""Paths of the cache folder, of the root of a data set, and of the files that its index lists."""

import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from usaggr.config.study import DataConfig
from usaggr.data.read.similar_names import SimilarNames
from usaggr.errors import DataError
from usaggr.io.home import expand_home, find_home


def find_cache_folder(data: DataConfig) -> Path:
    """Return the cache folder: `data.cache_dir`, $USAGGR_CACHE, $XDG_CACHE_HOME/usaggr or ~/.cache/usaggr.

    Raises:
        ConfigError: None of them is set, and no home folder is known.
    """
    if data.cache_dir:
        return expand_home(data.cache_dir, "data.cache_dir").absolute()
    if chosen := os.environ.get("USAGGR_CACHE"):
        return expand_home(chosen, "$USAGGR_CACHE").absolute()
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base).absolute() / "usaggr"
    return find_home("choose a folder for the cache with data.cache_dir=... or $USAGGR_CACHE") / ".cache" / "usaggr"


def make_folder(path: Path) -> Path:
    """Create a cache folder if it does not exist, and return it.

    Raises:
        DataError: The folder cannot be created or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{path}: the folder cannot be created ({error.strerror}); choose another with data.cache_dir=... or "
            "$USAGGR_CACHE"
        ) from error
    if not os.access(path, os.W_OK):
        raise DataError(f"{path}: the folder is not writable; choose another with data.cache_dir=... or $USAGGR_CACHE")
    return path


class ListedFile(NamedTuple):
    """An existing file listed in the index."""

    path: str
    """Absolute path with symbolic links resolved."""
    size: int
    """Size in bytes."""
    mtime_ns: int
    """Modification time in nanoseconds, as a number of 64 bits: times after the year 2262 are negative."""


@dataclass(frozen=True, slots=True)
class UnusablePath:
    """Reason why a path in the index cannot be used."""

    kind: str
    """Kind of error, as in `Fault.kind`: path_outside, link_outside or missing_file."""
    message: str
    """End of a sentence that begins with the path, such as `is not a file`."""


@dataclass(frozen=True)
class FileFinder:
    """Finds the files of an index: paths are relative to `<root>/csv_files` and must stay inside the root."""

    root: str
    """Absolute path with symbolic links resolved."""
    follow_links: bool = False
    """True to accept symbolic links out of the root (`data.follow_links`)."""
    _resolved_folders: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Cache of `_resolve_folder`: real paths by path of the folder."""
    _names: SimilarNames = field(default_factory=SimilarNames, init=False, repr=False, compare=False)

    def find(self, text: str) -> ListedFile | UnusablePath:
        """Find the file that the index lists as `text`, or return the reason why the path cannot be used."""
        if text.startswith(("/", "\\")) or text[1:3] in (":\\", ":/"):  # also Windows paths such as C:\images
            return UnusablePath("path_outside", "is an absolute path; paths must be relative to csv_files/")
        try:
            written = os.path.normpath(f"{self.root}/csv_files/{text}")
            file = self._find_path(written)
            if file is None and (same := self._names.find_same(written)) is not None:
                file = self._find_path(same)
        except (OSError, ValueError) as error:  # ValueError: a null character in the path
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return UnusablePath("missing_file", f"cannot be found ({reason})")
        if file is None:
            hint = "; use / as the separator" if "\\" in text else ""
            similar = self._names.describe_similar(written)
            return UnusablePath(
                "missing_file", f"cannot be found ({os.strerror(errno.ENOENT)}{hint})" + (similar and f", {similar}")
            )
        return file

    def find_corrected(self, text: str) -> str | None:
        """Return how to write a path that cannot be found: with other separators or letter case, or relative.

        None if no file of the root is meant for certain.
        """
        text = text.replace("\\", "/")
        written = os.path.normpath(Path(self.root, "csv_files", text))
        if not self._is_inside(written):
            return None
        folder = f"{self.root}/csv_files"
        try:
            candidates = (written, self._names.find_other_case(written))
        except (OSError, ValueError):  # ValueError: a null character in the path
            return None
        for candidate in candidates:
            relative = os.path.relpath(candidate, folder) if candidate is not None else ""
            if relative and isinstance(self.find(relative), ListedFile):
                return relative
        return None

    def _find_path(self, written: str) -> ListedFile | UnusablePath | None:
        """Return the file with a path, or the reason why it cannot be used; None if it does not exist.

        Raises:
            OSError: The path cannot be used, for example because it is too long.
            ValueError: The path has a null character.
        """
        path = self._resolve_folder(written)
        # Checked before the file is looked up: messages must not reveal which files exist outside the root.
        if not self._is_inside(path):
            if not self._is_inside(written):
                return UnusablePath("path_outside", f"is outside the root {self.root}, at {path}")
            if not self.follow_links:
                return self._refuse_link(path)
        try:
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                path = os.path.realpath(path)
                if not self._is_inside(path) and not self.follow_links:
                    return self._refuse_link(path)
                status = os.lstat(path)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return UnusablePath("missing_file", "is not a file")
        return ListedFile(path, status.st_size, _fold_to_64_bits(status.st_mtime_ns))

    def _refuse_link(self, path: str) -> UnusablePath:
        return UnusablePath(
            "link_outside",
            f"is a symbolic link to {path}, outside the root {self.root}; if the links are your own, add "
            "data.follow_links=true (usaggr predict: --follow-links)",
        )

    def _resolve_folder(self, path: str) -> str:
        """Resolve the symbolic links in the folder of a path, once per folder, because many files share one."""
        folder, name = os.path.split(path)
        resolved = self._resolved_folders.get(folder)
        if resolved is None:
            resolved = self._resolved_folders[folder] = os.path.realpath(folder)
        return f"{resolved}/{name}"

    def _is_inside(self, path: str) -> bool:
        return path.startswith(self.root.rstrip("/") + "/")


def find_data_root(data: DataConfig) -> Path:
    """Return the folder that contains `csv_files/`, as an absolute path with symbolic links resolved.

    Raises:
        DataError: The folder does not exist, or it has no folder `csv_files/`.
    """
    root = expand_home(data.root or "", "data.root")
    if not root.is_dir():
        raise DataError(f"data.root={data.root}: this folder does not exist; give the folder that contains csv_files/")
    if not (root / "csv_files").is_dir():
        raise DataError(
            f"data.root={data.root}: csv_files/ is missing here; set data.root to the folder that contains csv_files/"
        )
    return root.resolve()


def _fold_to_64_bits(nanoseconds: int) -> int:
    """Return a time as a signed number of 64 bits, which SQLite can store; file systems allow years up to 2486."""
    return (nanoseconds + 2**63) % 2**64 - 2**63
