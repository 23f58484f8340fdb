"""Numbers of seeds at which reports of a sweep gave verdicts (reported_seeds.csv).

A report that is built again after each further seed tests the same hypotheses several times. Its p values are not
adjusted for that, so the report and `usaggr advise` state how often it happened.
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
"""Number of seeds; others are damage."""


def read_reported_seeds(directory: Path) -> tuple[int, ...]:
    """Return the numbers of seeds at which reports of a folder gave verdicts, in ascending order.

    Without the file, as in folders of older versions, the existing report is the only known one. A damaged file counts
    as an empty one: it is a remark on a report, and must not prevent it.
    """
    record = directory / contract.REPORTED_SEEDS
    if record.is_file():
        return _sort(row.get(_COLUMN) for row in _read_rows(record))
    cells = _read_rows(directory / "report" / "tables" / "comparison.csv")
    largest = max(_sort(row.get(_COLUMN) for row in cells if row.get("verdict")), default=0)
    return (largest,) if largest else ()


def record_reported_seeds(directory: Path, numbers: Iterable[int]) -> None:
    """Write the numbers of seeds, one a line, if they differ from those of the file."""
    record, content = directory / contract.REPORTED_SEEDS, "\n".join([_COLUMN, *map(str, sorted(set(numbers)))]) + "\n"
    if not record.is_file() or record.read_bytes() != content.encode():
        write_atomic(record, content)


def _read_rows(path: Path) -> list[dict[str, str]]:
    try:
        return list(parse_csv_table(read_bounded_text(path)))
    except (OSError, ValueError, csv.Error):
        return []


def _sort(values: Iterable[str | None]) -> tuple[int, ...]:
    """Return the positive whole numbers among these texts, each once, in ascending order."""
    return tuple(sorted({int(value) for value in values if value and _NUMBER.fullmatch(value)}))
