"""split.csv: which subset (column `fold`) and component each sample is in, and the rank of each training sample."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from usaggr.errors import RunError
from usaggr.io.bounded_content import parse_csv
from usaggr.io.bounded_files import MEBIBYTE, read_bounded_text
from usaggr.results import contract
from usaggr.results.contract_sums import check_sum, write_contract_file
from usaggr.results.integrity import shorten

Subset = Literal["train", "val", "test"]
SUBSETS: tuple[Subset, ...] = get_args(Subset)
NO_SUBSET = "dropped"
"""Value of the column `fold` for a sample that an official split drops; empty in files of older versions."""
_REMEDY = "`usaggr sweep` of the same study writes it again"
_MAX_BYTES = 1024 * MEBIBYTE
"""Largest split.csv that is read: a row of a million samples with ranks of 10 seeds takes about 200 bytes."""
_COMPONENTS = range(-(2**31), 2**31)
"""Numbers of components that are read: those of a 32-bit integer."""


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
    write_contract_file(directory / contract.SPLIT, text.getvalue())


def read_split_rows(path: Path, also: Sequence[str] = ()) -> list[SplitRow]:
    """Return the rows of split.csv whose sample is in a subset, in the file's order.

    Args:
        path: path of split.csv.
        also: required columns in addition to task, sample, component and fold.

    Raises:
        RunError: the file cannot be read, or a column or cell is missing or invalid.
    """
    try:
        reader = parse_csv(read_bounded_text(path, _MAX_BYTES))
        header = next(reader, [])
        if missing := [name for name in (*_NEEDED, *also) if name not in header]:
            raise RunError(f"{path}: no column {', '.join(missing)}; give the split.csv of a study")
        # Files of older versions lack columns, so each column is found by its name.
        positions = [header.index(name) if name in header else None for name in _COLUMNS]
        lines = (_parse_line(path, reader.line_num, cells, positions) for cells in reader if cells)
        samples = [sample for sample in lines if sample is not None]
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(f"{path}: cannot be read ({' '.join(str(error).split())}); {_REMEDY}") from error
    check_sum(path, f"{_REMEDY}, and no run has to be trained again")
    return samples


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
        raise RunError(
            f"{path}: line {line}: fold is {shorten(fold)}, not one of {', '.join(SUBSETS)}, dropped; {_REMEDY}"
        )
    if not re.fullmatch(r"-?[0-9]{1,10}", component) or int(component) not in _COMPONENTS:
        raise RunError(f"{path}: line {line}: component is {shorten(component)}, not a whole number; {_REMEDY}")
    return SplitRow(task_id, sample_id, int(component), fold, *optional)
