"""Table cells: verdicts with their marks, differences with their intervals, and numbers that a page can sort by."""

import math
from typing import Any

import pandas as pd

from usaggr.analysis.cell_rows import CellScore, CellVerdict
from usaggr.document import numbers as text
from usaggr.document.display_names import QUALIFIED_MARK, QUALIFIED_MEANING, verdict_mark
from usaggr.document.elements import Cell
from usaggr.metrics import score_texts

NOT_BETTER = " †"
"""Mark of a mean score that is no better than the trivial predictor's."""
SCARCE = " (too few)"
"""Mark of an interval that cannot be trusted, because the difference depends on too few subjects."""
EXPLAINED_MARKS = f"{QUALIFIED_MARK}N: {QUALIFIED_MEANING}. (too few): too few test subjects for a reliable interval."
"""Sentences on the marks of `make_difference_cell`."""


def make_number_cell(shown: str, value: Any) -> Cell:
    """Return text that is sorted by a number, or a cell without a sort key if the number is missing."""
    return Cell(shown, None if is_missing(value) else float(value))


def make_count_cell(value: Any) -> Cell:
    """Return a count, or a dash if it is missing."""
    present = None if is_missing(value) else float(value)
    return make_number_cell(text.format_count(present), present)


def make_p_value_cell(value: Any) -> Cell:
    """Return a p value, without the equals sign that it has in sentences."""
    return make_number_cell(text.format_p_value(value).removeprefix("= "), value)


def make_mean_cell(row: CellScore | None) -> Cell:
    """Return a mean with its interval, marked if it is no better than the trivial predictor or if seeds are missing."""
    if row is None or math.isnan(row.mean):
        return Cell("missing")
    mark = NOT_BETTER if row.beats_trivial is False else ""
    missing_seeds = f" ({row.seeds} of {row.planned} seeds)" if row.seeds < row.planned else ""
    return make_number_cell(
        score_texts.format_mean(row.mean, row.low, row.high, row.metric) + mark + missing_seeds, row.mean
    )


def make_difference_cell(row: CellVerdict | None) -> Cell:
    """Return a difference with its interval, with the mark of its verdict and the marks of its limits.

    An interval that cannot be trusted has the mark SCARCE; a no loss that holds only apart from failures rarer than 1
    in N ends with the mark of qualified verdicts and N.
    """
    if row is None or row.is_missing:
        return Cell(text.MISSING)
    if row.same:
        return Cell("same run")
    interval = score_texts.format_difference(row.delta, row.delta_low, row.delta_high, row.metric)
    if not row.verdict:
        return make_number_cell(interval + (SCARCE if row.scarce else ""), row.delta)
    qualified = "" if row.rarer_than is None else f" {QUALIFIED_MARK}{row.rarer_than}"
    return Cell(f"{verdict_mark(row.verdict)} {interval}{qualified}", row.delta, row.verdict)


def is_missing(value: Any) -> bool:
    """Return True if a field of a table is empty."""
    return value is None or bool(pd.isna(value))
