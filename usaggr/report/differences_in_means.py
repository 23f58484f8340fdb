"""Sentences on differences that are part of a mean, although their own intervals cannot be trusted."""

import math
from collections.abc import Iterable

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.document.display_names import join_names, pluralize
from usaggr.document.elements import escape_markdown


def describe_scarce_tasks(scarce: int, tasks: int) -> str:
    """Write how many tasks of a mean have too few test subjects, of all its tasks."""
    verb = "has" if scarce == 1 else "have"
    return f"Of the {pluralize(tasks, 'task')} in this mean, {scarce} {verb} too few test subjects for an interval."


def describe_scarce_differences(verdicts: Iterable[CellVerdict]) -> str:
    """Write which tasks are part of means, slopes and claims although their intervals cannot be trusted; may be empty.

    Args:
        verdicts: Verdicts of all cells and metrics.
    """
    compared = [row for row in verdicts if row.main and not math.isnan(row.delta)]
    scarce = [row for row in compared if row.scarce]
    if not scarce:
        return ""
    names = join_names([escape_markdown(task) for task in dict.fromkeys(row.task for row in scarce)])
    return (
        f"{len(scarce):,} of the {pluralize(len(compared), 'difference')} behind these results have too few test "
        f"subjects for an interval of their own ({names})."
    )
