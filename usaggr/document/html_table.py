"""A table as the page shows it: what cells are sorted by, verdicts' marks, intervals apart from their numbers."""

import math
import re
from dataclasses import dataclass

from usaggr.document.display_names import verdict_label
from usaggr.document.elements import Cell, TextTable

_LABELS = {kind: verdict_label(kind) for kind in ("gain", "no_loss", "loss", "undecided")} | {
    "supported": "✓ supported",
    "contradicted": "✗ contradicted",
}
"""Verdicts and what comes of claims: a mark and a word."""
_STATES = ("failed", "missing")
_MISSING = ("", "–", "missing")
_SHORT, _LONG = 24, 48
"""Letters up to which a text stays on one line, and from which its column has to be wide enough to read it."""
_INTERVAL = re.compile(r"(?P<number>[^\[±]*?) ?(?P<interval>\[[^\],]*, [^\]]*\]|± ?\S+)(?P<rest>.*)")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?(?![\w:])", re.IGNORECASE)


@dataclass(frozen=True)
class ShownCell:
    """A cell's text in parts, which are read one after the other."""

    mark: str
    """A verdict's mark; empty without a verdict."""
    text: str
    interval: str
    rest: str
    sort: str
    """A number as JavaScript reads it, or a text; empty where there is nothing to sort by: it comes last."""
    kind: str
    """One of the kinds that the page knows, or empty: never anything else, so that it may name a class."""
    breaks: str
    """How the text may be broken into lines: short, long, or empty for what is between."""


@dataclass(frozen=True)
class ShownTable:
    """The cells of all rows, and which columns are sorted as numbers."""

    numeric: tuple[bool, ...]
    rows: tuple[tuple[ShownCell, ...], ...]
    verdicts: tuple[tuple[str, str], ...]
    """Kind and label of each verdict that stands in the table, in their order."""


def shown_table(table: TextTable) -> ShownTable:
    """Everything of a table that the page does not know by itself."""
    rows = [tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in row) for row in table.rows]
    columns = range(len(table.columns))
    numeric = tuple(table.columns[i] in table.numbers or _is_numeric([row[i] for row in rows]) for i in columns)
    kinds = {cell.kind for row in rows for cell in row}
    return ShownTable(
        numeric,
        tuple(tuple(_shown(cell, number) for cell, number in zip(row, numeric, strict=True)) for row in rows),
        tuple((kind, label) for kind, label in _LABELS.items() if kind in kinds),
    )


def _is_numeric(cells: list[Cell]) -> bool:
    """Whether all that a column has is numbers."""
    there = [cell for cell in cells if cell.text not in _MISSING]
    return bool(there) and all(isinstance(cell.sort, int | float) or _fullnumber(cell.text) for cell in there)


def _shown(cell: Cell, numeric: bool) -> ShownCell:
    mark = _LABELS[cell.kind].split()[0] if cell.kind in _LABELS else ""
    text = cell.text.removeprefix(mark).lstrip() if mark else cell.text
    found = _INTERVAL.fullmatch(text) if numeric else None
    parts = found.groupdict() if found else {"number": text, "interval": "", "rest": ""}
    kind = cell.kind if cell.kind in (*_LABELS, *_STATES) else ""
    number, interval, rest = parts["number"], parts["interval"], parts["rest"]
    return ShownCell(mark, number, interval, rest, _key(cell, text, numeric), kind, _breaks(text))


def _breaks(text: str) -> str:
    if len(text) <= _SHORT:
        return "short"
    return "long" if len(text) > _LONG else ""


def _key(cell: Cell, text: str, numeric: bool) -> str:
    if not numeric:
        return "" if text in _MISSING else str(text if cell.sort is None else cell.sort)
    value = cell.sort if isinstance(cell.sort, int | float) else _number(text)
    return "" if value is None or not math.isfinite(value) else repr(float(value))


def _number(text: str) -> float | None:
    """The number that a text begins with, after a `<` at the most."""
    found = _NUMBER.match(_ascii(text).removeprefix("< "))
    return float(found.group()) if found else None


def _fullnumber(text: str) -> bool:
    return _NUMBER.fullmatch(_ascii(text)) is not None


def _ascii(text: str) -> str:
    """With a minus of ASCII and without thousands apart."""
    return re.sub(r"(?<=\d),(?=\d{3})", "", text.strip().replace("−", "-"))
