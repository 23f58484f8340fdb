"""Numbers of seeds that the earlier reports of a sweep were based on (reported_seeds.csv).

A report that is built again after each further seed tests the same hypotheses several times. Its p values are not
adjusted for that, so the report and `usaggr advise` name the numbers of seeds of earlier reports.
"""

import csv
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from usaggr.io.atomic_files import write_atomic
from usaggr.io.bounded_content import parse_csv, parse_csv_table
from usaggr.io.bounded_files import read_bounded, read_bounded_text
from usaggr.results import contract

_COLUMN = "seeds"
_NUMBER = re.compile(r"[1-9][0-9]{0,5}")
"""Pattern of a valid number of seeds; other values are ignored."""
_MAX_BYTES = 2**16
"""Largest record that is read: about ten thousand numbers."""
_KEPT_NAME = "reported_seeds.damaged"
"""Name, without its suffix .csv, under which a damaged record is kept."""


@dataclass(frozen=True)
class _Record:
    """Content of reported_seeds.csv."""

    numbers: tuple[int, ...] = ()
    """Its valid numbers, in ascending order."""
    is_damaged: bool = False
    """True if something else than such numbers is in it, or if it cannot be read."""


def read_reported_seeds(directory: Path) -> tuple[int, ...]:
    """Return the numbers of seeds at which reports of a folder gave verdicts, in ascending order.

    Without the file (in folders of older versions) or without a valid number in it, the existing report is the only
    known one; it is added to the valid numbers of a damaged file. Damage is no error, because the record only adds a
    remark to a report and must not prevent it.
    """
    record = _read_record(directory / contract.REPORTED_SEEDS)
    if record.numbers and not record.is_damaged:
        return record.numbers
    cells = _read_rows(directory / "report" / "tables" / "comparison.csv")
    latest = _parse_counts(row.get(_COLUMN) for row in cells if row.get("verdict"))[-1:]
    return tuple(sorted({*record.numbers, *latest}))


def has_damaged_record(directory: Path) -> bool:
    """Return whether numbers of seeds may be missing, because the record of a folder is or was damaged.

    It was damaged if `record_reported_seeds` has kept a damaged file, until a user removes that file.
    """
    if _read_record(directory / contract.REPORTED_SEEDS).is_damaged:
        return True
    return any(directory.glob(f"{_KEPT_NAME}*.csv"))


def record_reported_seeds(directory: Path, numbers: Iterable[int]) -> None:
    """Write the numbers of seeds, one per line, if they differ from those of the file.

    A damaged file is kept under another name first. If it cannot be renamed, it stays, and nothing is written.

    Raises:
        WriteError: The file cannot be written.
    """
    path = directory / contract.REPORTED_SEEDS
    record, new_numbers = _read_record(path), sorted(set(numbers))
    if record.is_damaged:
        with suppress(OSError):
            path.rename(_find_free_path(directory))
        if path.exists() or path.is_symlink():
            return
    if record.is_damaged or not path.is_file() or list(record.numbers) != new_numbers:
        write_atomic(path, "\n".join([_COLUMN, *map(str, new_numbers)]) + "\n")


def _find_free_path(directory: Path) -> Path:
    """Return the first path for a damaged record that does not exist yet."""
    names = (f"{_KEPT_NAME}{f'-{number}' if number > 1 else ''}.csv" for number in count(1))
    return next(path for name in names if not ((path := directory / name).exists() or path.is_symlink()))


def _read_record(path: Path) -> _Record:
    """Read a record; spaces, empty cells and the mark that Excel writes at the start (BOM) are accepted."""
    try:
        lines = list(parse_csv(read_bounded(path, _MAX_BYTES).decode("utf-8-sig")))
    except FileNotFoundError:
        return _Record()
    except (OSError, ValueError, csv.Error):
        return _Record(is_damaged=True)
    header, *cells = [cell.strip() for line in lines for cell in line if cell.strip()] or [""]
    if header != _COLUMN:
        return _Record(is_damaged=True)
    return _Record(_parse_counts(cells), not all(map(_NUMBER.fullmatch, cells)))


def _read_rows(path: Path) -> list[dict[str, str]]:
    try:
        return list(parse_csv_table(read_bounded_text(path)))
    except (OSError, ValueError, csv.Error):
        return []


def _parse_counts(values: Iterable[str | None]) -> tuple[int, ...]:
    """Return the positive whole numbers among these texts, each once, in ascending order."""
    return tuple(sorted({int(value) for value in values if value and _NUMBER.fullmatch(value)}))
