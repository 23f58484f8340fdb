"""Cells of tables: verdicts with their marks, differences with their intervals, numbers that a page can sort by."""

from typing import Any

import pandas as pd

from usaggr.data.split.manifest import MIN_TEST_SUBJECTS
from usaggr.document import numbers as text
from usaggr.document.display_names import verdict_label, verdict_mark
from usaggr.document.elements import Cell

Row = dict[Any, Any]
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


def mean(row: Row | None, metric: str) -> Cell:
    """A cell's mean with its interval, with what is to be known of it: not better than trivial, seeds missing."""
    if row is None or pd.isna(row["mean"]):
        return Cell("missing")
    mark = "" if pd.isna(row["beats_trivial"]) or row["beats_trivial"] else NOT_BETTER
    few = f" ({row['seeds']} of {row['planned']} seeds)" if row["seeds"] < row["planned"] else ""
    return number(text.spread(row["mean"], row["low"], row["high"], metric) + mark + few, row["mean"])


def delta(row: Row | None, metric: str) -> Cell:
    """A difference with its interval, and the verdict's mark where there is a verdict."""
    if row is None or (pd.isna(row["delta"]) and not row["same"]):
        return Cell(text.MISSING)
    if row["same"]:
        return Cell("same run")
    said = text.difference(row["delta"], row["delta_low"], row["delta_high"], metric)
    if not row["verdict"]:
        return number(said, row["delta"])
    return Cell(f"{verdict_mark(row['verdict'])} {said}", float(row["delta"]), row["verdict"])


def verdict(row: Row) -> Cell:
    """The verdict's name; `same run` where there is nothing to compare."""
    return Cell("same run") if row["same"] else Cell(verdict_label(row["verdict"]), kind=row["verdict"])


def is_few(subjects: Any) -> bool:
    """Whether a task has too few test subjects for any verdict."""
    return not is_missing(subjects) and int(subjects) < MIN_TEST_SUBJECTS


def is_missing(value: Any) -> bool:
    """Whether a table's field is empty."""
    return value is None or bool(pd.isna(value))
