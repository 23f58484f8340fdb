"""Reasons why a difference has no verdict, in the words of the page."""

import math
import re

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.data.split.manifest import MIN_TEST_SUBJECTS
from usaggr.document.display_names import pluralize
from usaggr.statistics.minimum_evidence import FEWEST_SUBJECTS

_TOO_FEW_PATTERNS = (
    (r"few subjects", "only {subjects} ({least} needed)"),
    (r"too few: (?P<rarer>\d+) subjects? in the rarer class", "the rarer class has {rarer} ({fewest} needed)"),
    (r"too few: under \d+ subjects differ", "fewer than {fewest} test patients differ"),
    (r"too few: the difference hangs .*", "fewer than {fewest} test patients drive the difference"),
)
"""Notes of `comparison.csv` on too few test patients as regular expressions, each with its words on the page."""


def has_few_patients(row: CellVerdict) -> bool:
    """Return True if a difference is not tested because there are too few test patients."""
    return not row.verdict and any(re.match(pattern, row.note) for pattern, _ in _TOO_FEW_PATTERNS)


def explain_missing_verdict(row: CellVerdict, reference: str) -> str:
    """Return why a difference is not tested.

    Args:
        row: The difference of one task under one grouping, without a verdict.
        reference: Label of the reference grouping.
    """
    if row.same:
        return f"same model as {reference}"
    if math.isnan(row.delta):
        return "runs are missing"
    note, *_ = notes = row.note.split("; ")  # the first note states the main reason
    for pattern, words in _TOO_FEW_PATTERNS:
        match = re.fullmatch(pattern, note)
        if match:
            rarer = pluralize(int(match.groupdict().get("rarer", 0)), "test patient")
            subjects = pluralize(row.n_subjects, "test patient")
            return words.format(rarer=rarer, subjects=subjects, least=MIN_TEST_SUBJECTS, fewest=FEWEST_SUBJECTS)
    collapses = [text for text in notes if re.fullmatch(r"\d+ of \d+ seeds? (of the reference )?collapsed", text)]
    if note in collapses:
        return ", ".join(collapses)
    return note or "cannot be tested"
