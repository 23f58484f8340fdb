"""Reasons why a difference has no verdict, in the words of the page."""

import math
import re

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.document.display_names import pluralize
from usaggr.statistics.minimum_evidence import FEWEST_SUBJECTS

_TOO_FEW_PATTERNS = (
    (r"too few: (?P<number>\d+) independent test subjects?", "only {patients} ({fewest} needed)"),
    (r"too few: (?P<number>\d+) subjects? in the rarer class", "the rarer class has {patients} ({fewest} needed)"),
    (r"too few: fewer than \d+ subjects differ .*", "fewer than {fewest} test patients differ"),
    (r"too few: the difference depends .*", "the difference depends on fewer than {fewest} test patients"),
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
            patients = pluralize(int(match.groupdict().get("number", 0)), "independent test patient")
            return words.format(patients=patients, fewest=FEWEST_SUBJECTS)
    collapses = [text for text in notes if re.fullmatch(r"\d+ of \d+ seeds? (of the reference )?collapsed", text)]
    if note in collapses:
        return ", ".join(collapses)
    return note or "cannot be tested"
