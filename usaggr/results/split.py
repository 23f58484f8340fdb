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
"""Value of the column `fold` for a sample that an official split drops; empty in files of older versions."""
_REMEDY = "`usaggr sweep` of the same study writes it again"


class SplitRow(NamedTuple):
    """A sample with its subset; None in columns that the file of an older version does not have."""

    task_id: str
    sample_id: str
    component: int
    fold: str
    """Subset: train, val, test, or NO_SUBSET for a dropped sample."""
    image_path: str | None
    subject_id: str | None
    subject_written: str | None
    image_sha256: str | None


_COLUMNS = SplitRow._fields
_NEEDED = _COLUMNS[:4]
_IDENTITY = ("subject_written", "image_sha256")
"""Columns after the ranks, which identify patients and images for the proof that subsets are disjoint."""


def write_split_rows(
    directory: Path, seeds: Sequence[int], samples: Iterable[tuple[SplitRow, Sequence[int] | None]]
) -> None:
    """Write the split of a study.

    Args:
        directory: folder of the study.
        seeds: seeds of the rankings.
        samples: each sample with its rank for each seed, from 0; None if it is no training sample.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    rank_columns, no_ranks = [f"rank_{seed}" for seed in seeds], [""] * len(seeds)
    first, last = ("task_id", "sample_id", "image_path", "subject_id", "component", "fold"), _IDENTITY
    writer.writerow([*first, *rank_columns, *last])
    for row, ranks in samples:
        head = (row.task_id, row.sample_id, row.image_path, row.subject_id, row.component, row.fold)
        writer.writerow([*head, *(no_ranks if ranks is None else ranks), row.subject_written, row.image_sha256])
    write_atomic(directory / contract.SPLIT, text.getvalue())


def read_split_rows(path: Path, also: Sequence[str] = ()) -> list[SplitRow]:
    """Return the rows of split.csv whose sample is in a subset, in the file's order.

    Args:
        path: path of split.csv.
        also: required columns in addition to task, sample, component and fold.

    Raises:
        RunError: the file cannot be read, or a column or cell is missing or invalid.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            if missing := [name for name in (*_NEEDED, *also) if name not in header]:
                raise RunError(f"{path}: no column {', '.join(missing)}; give the split.csv of a study")
            # Files of older versions lack columns, so each column is found by its name.
            positions = [header.index(name) if name in header else None for name in _COLUMNS]
            samples = (_parse_line(path, reader.line_num, cells, positions) for cells in reader if cells)
            return [sample for sample in samples if sample is not None]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"{path}: cannot be read ({' '.join(str(error).split())}); {_REMEDY}") from error


def _parse_line(path: Path, line: int, cells: Sequence[str], positions: Sequence[int | None]) -> SplitRow | None:
    """Return a line's sample; None if it is in no subset.

    Args:
        path: path of split.csv, for messages.
        line: number of the line, for messages.
        cells: cells of the line.
        positions: position of each column of `SplitRow`; None for a missing column.

    Raises:
        RunError: the line is truncated, or a cell is invalid.
    """
    if len(cells) <= max(position for position in positions if position is not None):
        raise RunError(f"{path}: line {line}: {len(cells)} cells, truncated before the last column; {_REMEDY}")
    values = [None if position is None else cells[position] for position in positions]
    task_id, sample_id, component, fold, *optional = values
    # The header has been checked for these columns; the assertions inform the type checker.
    assert task_id is not None
    assert sample_id is not None
    assert component is not None
    if fold is None or fold in (NO_SUBSET, ""):
        return None
    if fold not in SUBSETS:
        raise RunError(f"{path}: line {line}: fold is {fold!r}, not one of {', '.join(SUBSETS)}, dropped; {_REMEDY}")
    try:
        return SplitRow(task_id, sample_id, int(component), fold, *optional)
    except ValueError as error:
        raise RunError(f"{path}: line {line}: component is {component!r}, not a whole number; {_REMEDY}") from error
