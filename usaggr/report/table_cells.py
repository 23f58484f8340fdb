"""Cells of tables: verdicts with their marks, differences with their intervals, numbers that a page can sort by."""

import math
from typing import Any

import pandas as pd

from usaggr.analysis.cell_rows import CellScore, CellVerdict
from usaggr.data.split.manifest import MIN_TEST_SUBJECTS
from usaggr.document import numbers as text
from usaggr.document.display_names import verdict_mark
from usaggr.document.elements import Cell

NOT_BETTER = " †"
"""Follows a mean score that is not better than the trivial predictor's."""


def number(shown: str, value: Any) -> Cell:
    """Text that is sorted by a number; missing ones have none."""
    return Cell(shown, None if is_missing(value) else float(value))


def count(value: Any) -> Cell:
    """A whole number, or a dash."""
    known = None if is_missing(value) else float(value)
    return number(text.count(known), known)


def p_value(value: Any) -> Cell:
    """A p value, without the sign before it that a sentence has."""
    return number(text.p_value(value).removeprefix("= "), value)


def mean(row: CellScore | None) -> Cell:
    """Return a cell's mean with its interval, and with marks: not better than trivial, seeds missing."""
    if row is None or math.isnan(row.mean):
        return Cell("missing")
    mark = NOT_BETTER if row.beats_trivial is False else ""
    few = f" ({row.seeds} of {row.planned} seeds)" if row.seeds < row.planned else ""
    return number(text.spread(row.mean, row.low, row.high, row.metric) + mark + few, row.mean)


def delta(row: CellVerdict | None) -> Cell:
    """Return a difference with its interval, and the verdict's mark where there is a verdict."""
    if row is None or row.is_missing:
        return Cell(text.MISSING)
    if row.same:
        return Cell("same run")
    said = text.difference(row.delta, row.delta_low, row.delta_high, row.metric)
    if not row.verdict:
        return number(said, row.delta)
    return Cell(f"{verdict_mark(row.verdict)} {said}", row.delta, row.verdict)


def is_few(subjects: Any) -> bool:
    """Whether a task has too few test subjects for any verdict."""
    return not is_missing(subjects) and int(subjects) < MIN_TEST_SUBJECTS


def is_missing(value: Any) -> bool:
    """Whether a table's field is empty."""
    return value is None or bool(pd.isna(value))
