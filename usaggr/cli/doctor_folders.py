"""Folders that a sweep writes to, for `usaggr doctor`."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from usaggr.cli.doctor_findings import Finding
from usaggr.errors import UsaggrError

if TYPE_CHECKING:
    from usaggr.config.study import StudyConfig

_GIB = 2**30
_MIN_FREE_GIB = 5.0
"""Free space below which a sweep of real data is likely to fill the disk."""


def describe_folders(study: "StudyConfig | None") -> Iterator[Finding]:
    """Yield the findings about the cache, the results and temporary files; nothing is created in them."""
    if study is not None:
        from usaggr.data.read.paths import find_cache_folder

        try:
            yield _describe("cache", find_cache_folder(study.data), "data.cache_dir=... or $USAGGR_CACHE")
        except UsaggrError as error:
            yield Finding("cache", "unknown", str(error))
        yield _describe("results", Path(study.outputs).absolute(), "outputs=...")
        if study.data.root:
            yield _describe_data(Path(study.data.root))
    try:
        yield _describe("temporary", Path(tempfile.gettempdir()), "$TMPDIR", min_free_gib=0.1)
    except FileNotFoundError:
        yield Finding("temporary", "none", "no temporary folder is writable: set TMPDIR to a folder that is")


def _describe_data(root: Path) -> Finding:
    is_there = (root / "csv_files").is_dir()
    return Finding("data", str(root), None if is_there else "data.root: there is no folder csv_files in it")


def _describe(topic: str, folder: Path, setting: str, min_free_gib: float = _MIN_FREE_GIB) -> Finding:
    """Describe a folder, which need not exist.

    Args:
        topic: Topic of the finding.
        folder: The folder.
        setting: What to set to choose another folder.
        min_free_gib: Free space in GiB below which there is a warning.
    """
    # The nearest folder that exists has the disk and the permissions of the new one.
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        free = shutil.disk_usage(existing).free / _GIB
    except OSError as error:
        return Finding(topic, str(folder), f"cannot be read ({error.strerror}); choose another with {setting}")
    text = f"{folder}{'' if existing == folder else ' (not created yet)'}, {free:.1f} GiB free"
    if not existing.is_dir():
        return Finding(topic, text, f"{existing} is no folder; choose another with {setting}")
    if not os.access(existing, os.W_OK):
        return Finding(topic, text, f"not writable; choose another with {setting}")
    return Finding(
        topic, text, f"little free space; choose another disk with {setting}" if free < min_free_gib else None
    )
