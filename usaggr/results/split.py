"""split.csv: which subset (column `fold`) and component each sample is in, and the rank of each training sample."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from usaggr.errors import RunError
from usaggr.io.atomic_files import write_atomic
from usaggr.results import contract

Subset = Literal["train", "val", "test"]
SUBSETS: tuple[Subset, ...] = get_args(Subset)
NO_SUBSET = "dropped"
"""What stands for the fold of a sample that an official split leaves out; empty in files of older versions."""
_REMEDY = "`usaggr sweep` of the same study writes it again"


class SplitRow(NamedTuple):
    """A sample and its subset. None: the file has no such column, as those of older versions."""

    task_id: str
    sample_id: str
    component: int
    fold: str
    """train, val or test; NO_SUBSET where it is written for a sample that is in none."""
    image_path: str | None
    subject_id: str | None
    subject_written: str | None
    image_sha256: str | None


_COLUMNS = SplitRow._fields
_NEEDED = _COLUMNS[:4]
_IDENTITY = ("subject_written", "image_sha256")
"""Columns after the ranks, by which the proof knows patients and images."""


def write_split_rows(
    directory: Path, seeds: Sequence[int], rows: Iterable[tuple[SplitRow, Sequence[int] | None]]
) -> None:
    """Write the split of a study.

    Args:
        directory: folder of the study.
        seeds: for which training samples are ranked.
        rows: each sample with its rank for each seed, from 0; None if it is no training sample.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    ranks, no_ranks = [f"rank_{seed}" for seed in seeds], [""] * len(seeds)
    first, last = ("task_id", "sample_id", "image_path", "subject_id", "component", "fold"), _IDENTITY
    writer.writerow([*first, *ranks, *last])
    for row, places in rows:
        head = (row.task_id, row.sample_id, row.image_path, row.subject_id, row.component, row.fold)
        writer.writerow([*head, *(no_ranks if places is None else places), row.subject_written, row.image_sha256])
    write_atomic(directory / contract.SPLIT, text.getvalue())


def read_split_rows(path: Path, also: Sequence[str] = ()) -> list[SplitRow]:
    """Return the rows of split.csv whose sample is in a fold, in the file's order.

    Args:
        path: of split.csv.
        also: columns that the caller needs beside task, sample, component and fold.

    Raises:
        RunError: it cannot be read, or is no such table; or which cell is wrong, and what is allowed.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            if missing := [name for name in (*_NEEDED, *also) if name not in header]:
                raise RunError(f"{path}: no column {', '.join(missing)}; give the split.csv of a study")
            places = [header.index(name) if name in header else None for name in _COLUMNS]
            rows = (_row(path, reader.line_num, cells, places) for cells in reader if cells)
            return [row for row in rows if row is not None]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"{path}: cannot be read ({' '.join(str(error).split())}); {_REMEDY}") from error


def _row(path: Path, line: int, cells: Sequence[str], places: Sequence[int | None]) -> SplitRow | None:
    """Return a line's sample; None where it is in no fold."""
    if len(cells) <= max(place for place in places if place is not None):
        raise RunError(f"{path}: line {line}: {len(cells)} cells, cut off before the last column; {_REMEDY}")
    task_id, sample_id, component, fold, *others = (None if place is None else cells[place] for place in places)
    assert task_id is not None
    assert sample_id is not None
    assert component is not None
    if fold is None or fold in (NO_SUBSET, ""):
        return None
    if fold not in SUBSETS:
        raise RunError(f"{path}: line {line}: fold is {fold!r}, not one of {', '.join(SUBSETS)}, dropped; {_REMEDY}")
    try:
        return SplitRow(task_id, sample_id, int(component), fold, *others)
    except ValueError as error:
        raise RunError(f"{path}: line {line}: component is {component!r}, not a whole number; {_REMEDY}") from error
