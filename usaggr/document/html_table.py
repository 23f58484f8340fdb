"""A table as the HTML page shows it: sort keys, marks of verdicts, intervals separate from their numbers."""

import math
import re
from dataclasses import dataclass

from usaggr.document.display_names import verdict_label
from usaggr.document.elements import Cell, TextTable

_LABELS = {kind: verdict_label(kind) for kind in ("gain", "no_loss", "loss", "undecided")} | {
    "supported": "✓ supported",
    "contradicted": "✗ contradicted",
}
"""Mark and word of verdicts, and of the results of claims."""
_STATES = ("failed", "missing")
"""Kinds of cells that are no verdicts."""
_MISSING = ("", "–", "missing")
"""Texts of cells without a value, which are sorted last."""
_SHORT, _LONG = 24, 48
"""Number of letters up to which a text stays on one line, and above which its column gets a minimum width."""
_INTERVAL = re.compile(r"(?P<number>[^\[±]*?) ?(?P<interval>\[[^\],]*, [^\]]*\]|± ?\S+)(?P<suffix>.*)")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?(?![\w:])", re.IGNORECASE)


@dataclass(frozen=True)
class PageCell:
    """The text of a cell in parts, in reading order."""

    mark: str
    """Mark of a verdict; empty without a verdict."""
    text: str
    interval: str
    suffix: str
    """Text after the interval."""
    sort: str
    """Sort key: a number as JavaScript reads it, or a text; empty cells come last."""
    kind: str
    """A kind that the page supports, or empty. It becomes a CSS class, so any other text is dropped."""
    breaks: str
    """Rule for breaking the text into lines: short, long, or empty for lengths between."""


@dataclass(frozen=True)
class PageTable:
    """The cells of all rows, and how columns are sorted and filtered."""

    numeric: tuple[bool, ...]
    """Columns that are sorted as numbers, one flag per column."""
    rows: tuple[tuple[PageCell, ...], ...]
    verdicts: tuple[tuple[str, str], ...]
    """Kind and label of each verdict in the table, in the order of `_LABELS`."""


def prepare_table(table: TextTable) -> PageTable:
    """Return what the page shows of a table beyond its texts: sort keys, marks, intervals, filters."""
    cell_rows = [tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in row) for row in table.rows]
    columns = range(len(table.columns))
    numeric = tuple(table.columns[i] in table.numbers or _is_numeric([row[i] for row in cell_rows]) for i in columns)
    kinds = {cell.kind for row in cell_rows for cell in row}
    page_rows = [tuple(map(_prepare_cell, row, numeric)) for row in cell_rows]
    verdicts = tuple((kind, label) for kind, label in _LABELS.items() if kind in kinds)
    return PageTable(numeric, tuple(page_rows), verdicts)


def _is_numeric(cells: list[Cell]) -> bool:
    """Return whether all cells of a column that are not missing are numbers."""
    present = [cell for cell in cells if cell.text not in _MISSING]
    return bool(present) and all(isinstance(cell.sort, int | float) or _is_number(cell.text) for cell in present)


def _prepare_cell(cell: Cell, numeric: bool) -> PageCell:
    mark = _LABELS[cell.kind].split()[0] if cell.kind in _LABELS else ""
    text = cell.text.removeprefix(mark).lstrip() if mark else cell.text
    match = _INTERVAL.fullmatch(text) if numeric else None
    parts = match.groupdict() if match else {"number": text, "interval": "", "suffix": ""}
    # Only known kinds pass: the kind becomes a CSS class, and a report may show data of others.
    kind = cell.kind if cell.kind in (*_LABELS, *_STATES) else ""
    number, interval, suffix = parts["number"], parts["interval"], parts["suffix"]
    return PageCell(mark, number, interval, suffix, _sort_key(cell, text, numeric), kind, _choose_breaks(text))


def _choose_breaks(text: str) -> str:
    if len(text) <= _SHORT:
        return "short"
    return "long" if len(text) > _LONG else ""


def _sort_key(cell: Cell, text: str, numeric: bool) -> str:
    if not numeric:
        return "" if text in _MISSING else str(text if cell.sort is None else cell.sort)
    value = cell.sort if isinstance(cell.sort, int | float) else _parse_number(text)
    return "" if value is None or not math.isfinite(value) else repr(float(value))


def _parse_number(text: str) -> float | None:
    """Return the number at the start of a text, or after a leading `<`."""
    match = _NUMBER.match(_convert_to_ascii(text).removeprefix("< "))
    return float(match.group()) if match else None


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(_convert_to_ascii(text)) is not None


def _convert_to_ascii(text: str) -> str:
    """Return a number's text with an ASCII minus and without separators of thousands."""
    # Readers see U+2212 as the minus sign, which float() does not accept.
    return re.sub(r"(?<=\d),(?=\d{3})", "", text.strip().replace("−", "-"))
