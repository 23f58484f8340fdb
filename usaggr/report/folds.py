"""The test folds of a study, from split.csv: which component each test sample belongs to."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usaggr.errors import RunError


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
        said = " ".join(str(error).split())
        raise RunError(f"{path}: cannot be read ({said}); `usaggr sweep` of the same study writes it anew") from error
    folds = {}
    for task_id, rows in test.groupby("task_id", sort=False):
        components, places = np.unique(rows["component"].to_numpy(), return_inverse=True)
        folds[str(task_id)] = TestFold(components, pd.Series(places, index=rows["sample_id"].to_numpy()))
    return folds
