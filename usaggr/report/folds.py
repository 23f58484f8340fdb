"""The folds of a study, from split.csv: components of test samples, and what identifies each sample's patient."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usaggr.data.leakage import Placement
from usaggr.errors import RunError

_IDENTITY = ("subject_written", "image_sha256")
"""Columns that split.csv of older versions does not have."""


@dataclass(frozen=True)
class TestFold:
    """A task's test samples."""

    components: NDArray[np.int64]
    """(C,) rising ids of the components that its samples belong to."""
    places: "pd.Series[int]"
    """Sample id: index of its component in `components`."""


def read_folds(path: Path) -> dict[str, TestFold]:
    """The test fold of each task.

    Components are samples tied by image or subject, in any task: a subject's samples are always in one.

    Raises:
        RunError: the file cannot be read.
    """
    columns = ["task_id", "sample_id", "component", "fold"]
    types = {"task_id": str, "sample_id": str, "fold": str}
    try:
        table = pd.read_csv(path, usecols=columns, dtype=types, keep_default_na=False, na_values={"component": [""]})
        test = table[table["fold"] == "test"].astype({"component": np.int64})
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    folds = {}
    for task_id, rows in test.groupby("task_id", sort=False):
        components, places = np.unique(rows["component"].to_numpy(), return_inverse=True)
        folds[str(task_id)] = TestFold(components, pd.Series(places, index=rows["sample_id"].to_numpy()))
    return folds


def read_placements(path: Path) -> Iterator[Placement]:
    """Yield the fold of each sample that has one, with what identifies its image and its patient.

    Files of older versions have no hashes of images; their column subject_id is as the index has it.

    Raises:
        RunError: the file cannot be read.
    """
    needed = ["image_path", "subject_id", "component", "fold"]
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, usecols=lambda name: name in (*needed, *_IDENTITY))
        if set(_IDENTITY) <= set(table.columns):
            subjects, hashes = table["subject_written"], table["image_sha256"]
        else:
            subjects, hashes = table["subject_id"], pd.Series("", index=table.index)
        rows = zip(table["fold"], table["component"], hashes, table["image_path"], subjects, strict=True)
        for fold, component, image_hash, image_path, subject in rows:
            if fold not in ("", "dropped"):
                yield Placement(fold, int(component), image_hash, posixpath.normpath(image_path), subject)
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> RunError:
    reason = " ".join(str(error).split())
    return RunError(f"{path}: cannot be read ({reason}); `usaggr sweep` of the same study writes it anew")
