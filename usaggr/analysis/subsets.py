"""Reads the subsets of a study from split.csv: test samples with their components, and the subset of each sample.

The column `fold` of split.csv names the subset (train, val or test).
"""

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
    """Test samples of a task."""

    components: NDArray[np.int64]
    """(C,) ids of the components of its samples, in ascending order."""
    component_indices: "pd.Series[int]"
    """Index of each sample's component in `components`, by sample id."""
    weights: "pd.Series[float] | None" = None
    """1 / number of the samples of the sample's subject, by sample id; None if all subjects have equally many."""


def read_folds(path: Path) -> dict[str, TestFold]:
    """Return the test samples of each task.

    A component contains all samples that are connected by image or subject, in any task. All samples of a subject are
    therefore in the same component.

    Raises:
        RunError: The file cannot be read, or a cell of it is invalid; the message names the cell.
    """
    table = pd.DataFrame(read_split_rows(path), columns=list(SplitRow._fields))
    test = table[table["fold"] == "test"].astype({"component": np.int64})
    folds = {}
    for task_id, samples in test.groupby("task_id", sort=False):
        components, indices = np.unique(samples["component"].to_numpy(), return_inverse=True)
        sample_ids = samples["sample_id"].to_numpy()
        weights = _weigh_by_subject(samples)
        folds[str(task_id)] = TestFold(
            components,
            pd.Series(indices, index=sample_ids),
            None if weights is None else pd.Series(weights, index=sample_ids),
        )
    return folds


def _weigh_by_subject(samples: pd.DataFrame) -> NDArray[np.float64] | None:
    """Return 1 / number of the subject's samples for each test sample of a task; None if all numbers are equal.

    The unit is the subject, not the component: one image of two subjects connects both, and possibly many others, which
    then are independent evidence only together, but are still several patients. A sample without a subject is its own.
    """
    subjects = samples["subject_id"].fillna("")
    subjects = subjects.where(subjects != "", "\0" + samples["sample_id"])
    sizes = samples.groupby(subjects.to_numpy())["sample_id"].transform("size").to_numpy(dtype=np.float64)
    return None if np.all(sizes == sizes[0]) else np.asarray(1 / sizes)


def read_placements(path: Path) -> Iterator[PlacedSample]:
    """Yield the subset of each sample that has one, with the identifiers of its image and its patient.

    Files of older versions have no image hashes; their column subject_id is copied from the index.

    Raises:
        RunError: The file cannot be read, or a cell of it is invalid; the message names the cell.
    """
    for row in read_split_rows(path, ("image_path", "subject_id")):
        has_hashes = bool(row.subject_written is not None and row.image_sha256 is not None)
        subject, image_hash = (row.subject_written, row.image_sha256) if has_hashes else (row.subject_id, "")
        file = posixpath.normpath(row.image_path or "")
        yield PlacedSample(row.fold, row.component, image_hash or "", file, subject or "")
