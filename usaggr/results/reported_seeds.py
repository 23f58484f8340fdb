"""Numbers of seeds that the earlier reports of a sweep were based on (reported_seeds.csv).

A report that is built again after each further seed tests the same hypotheses several times. Its p values are not
adjusted for that, so the report and `usaggr advise` name the numbers of seeds of earlier reports.
"""

import csv
import re
from collections.abc import Iterable
from pathlib import Path

from usaggr.io.atomic_files import write_atomic
from usaggr.io.bounded_content import parse_csv_table
from usaggr.io.bounded_files import read_bounded_text
from usaggr.results import contract

_COLUMN = "seeds"
_NUMBER = re.compile(r"[1-9][0-9]{0,5}")
"""Pattern of a valid number of seeds; other values are ignored."""


def read_reported_seeds(directory: Path) -> tuple[int, ...]:
    """Return the numbers of seeds at which reports of a folder gave verdicts, in ascending order.

    Without the file (in folders of older versions) or without a valid number in it (damage), the existing report is the
    only known one. Damage is no error, because the record only adds a remark to a report and must not prevent it.
    """
    numbers = _parse_counts(row.get(_COLUMN) for row in _read_rows(directory / contract.REPORTED_SEEDS))
    if numbers:
        return numbers
    cells = _read_rows(directory / "report" / "tables" / "comparison.csv")
    return _parse_counts(row.get(_COLUMN) for row in cells if row.get("verdict"))[-1:]


def record_reported_seeds(directory: Path, numbers: Iterable[int]) -> None:
    """Write the numbers of seeds, one per line, if they differ from those of the file."""
    record, content = directory / contract.REPORTED_SEEDS, "\n".join([_COLUMN, *map(str, sorted(set(numbers)))]) + "\n"
    if not record.is_file() or record.read_bytes() != content.encode():
        write_atomic(record, content)


def _read_rows(path: Path) -> list[dict[str, str]]:
    try:
        return list(parse_csv_table(read_bounded_text(path)))
    except (OSError, ValueError, csv.Error):
        return []


def _parse_counts(values: Iterable[str | None]) -> tuple[int, ...]:
    """Return the positive whole numbers among these texts, each once, in ascending order."""
    return tuple(sorted({int(value) for value in values if value and _NUMBER.fullmatch(value)}))
