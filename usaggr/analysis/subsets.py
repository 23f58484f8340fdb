"""The folds of a study, from split.csv: components of test samples, and what identifies each sample's patient."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usaggr.data.split.leakage import PlacedSample
from usaggr.results.split import SplitRow, read_split_rows


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
        RunError: the file cannot be read, or which cell of it is wrong.
    """
    table = pd.DataFrame(read_split_rows(path), columns=list(SplitRow._fields))
    test = table[table["fold"] == "test"].astype({"component": np.int64})
    folds = {}
    for task_id, rows in test.groupby("task_id", sort=False):
        components, places = np.unique(rows["component"].to_numpy(), return_inverse=True)
        folds[str(task_id)] = TestFold(components, pd.Series(places, index=rows["sample_id"].to_numpy()))
    return folds


def read_placements(path: Path) -> Iterator[PlacedSample]:
    """Yield the fold of each sample that has one, with what identifies its image and its patient.

    Files of older versions have no hashes of images; their column subject_id is as the index has it.

    Raises:
        RunError: the file cannot be read, or which cell of it is wrong.
    """
    for row in read_split_rows(path, ("image_path", "subject_id")):
        known = bool(row.subject_written is not None and row.image_sha256 is not None)
        subject, image_hash = (row.subject_written, row.image_sha256) if known else (row.subject_id, "")
        file = posixpath.normpath(row.image_path or "")
        yield PlacedSample(row.fold, row.component, image_hash or "", file, subject or "")
