"""Reasons why a difference is not tested: its interval cannot be trusted, because it depends on too few subjects.

Numbers of subjects in notes are those of independent subjects: components, so subjects that share images count as one.
"""

from collections.abc import Mapping, Sequence

from usaggr.analysis.cell_pseudovalues import Cell, CellPseudovalues
from usaggr.analysis.cell_rows import CellKey, CellMetric
from usaggr.analysis.difference_intervals import Array, Difference
from usaggr.analysis.reference_pairs import ReferencePair
from usaggr.analysis.row_tables import group_rows
from usaggr.document.display_names import pluralize
from usaggr.metrics.names import get_metric
from usaggr.statistics.minimum_evidence import (
    FEWEST_SUBJECTS,
    compare_errors,
    has_few_differing,
    is_driven_by_few,
)
from usaggr.tasks import has_class_label

TOO_FEW = "too few"
"""First words of the notes of cells that depend on fewer than FEWEST_SUBJECTS subjects."""


def explain_untested_cells(
    compared: Sequence[CellMetric],
    differences: Mapping[CellKey, Difference],
    pairs: Sequence[ReferencePair],
    pseudovalues: CellPseudovalues,
) -> list[str]:
    """Return the note with the reason why each cell is not tested; empty for cells that are tested or not compared.

    Args:
        compared: Cells and metrics.
        differences: Estimates from `estimate_differences`.
        pairs: Pairs from `pair_with_reference`.
        pseudovalues: Pseudo-values and mean scores of the same runs.
    """
    pairs_by_cell = group_rows((pair for pair in pairs if pair.has_delta), lambda pair: pair.compared.key)
    reasons = []
    for cell in compared:
        difference, cell_pairs = differences.get(cell.key), pairs_by_cell.get(cell.key, [])
        if difference is None or not cell_pairs or cell_pairs[0].reference is None:
            reasons.append("")
            continue
        seeds = [pair.compared.seed for pair in cell_pairs]
        reasons.append(explain_scarcity(cell, difference, pseudovalues, cell_pairs[0].reference.cell, seeds))
    return reasons


def explain_few_subjects(subjects: int) -> str:
    """Return the note on a test set with fewer than FEWEST_SUBJECTS independent subjects; empty if it has enough."""
    if subjects >= FEWEST_SUBJECTS:
        return ""
    return f"{TOO_FEW}: {pluralize(subjects, 'independent test subject')}"


def explain_scarcity(
    cell: CellMetric,
    difference: Difference,
    pseudovalues: CellPseudovalues,
    other: Cell,
    seeds: Sequence[int],
) -> str:
    """Return why the difference of a cell from another is not tested; empty if it is tested.

    Without mean scores of subjects, the checks use pseudo-values, in which subjects with many samples weigh more. Old
    runs without the values of single samples are therefore judged less often.

    Args:
        cell: The cell.
        difference: Its estimated difference.
        pseudovalues: Pseudo-values and mean scores, and the size of the rarer class.
        other: The cell that it is compared with.
        seeds: Seeds of both.
    """
    few_subjects = explain_few_subjects(pseudovalues.count_independent(cell.task, cell.n_subjects))
    if few_subjects:
        return few_subjects
    if difference.table.shape[1] == 1:  # the scores themselves: a run has no predictions, so subjects are unknown
        return "no predictions"
    if has_class_label(cell.task_type):
        size = pseudovalues.count_rarer_class(cell.cell)
        if size is not None and size < FEWEST_SUBJECTS:
            return f"{TOO_FEW}: {pluralize(size, 'subject')} in the rarer class"
    is_per_sample = get_metric(cell.metric).is_per_sample
    subjects = _compare_subjects(cell, pseudovalues, other, seeds) if is_per_sample else None
    table = difference.table if subjects is None else subjects
    if bool(has_few_differing(table)):
        return f"{TOO_FEW}: fewer than {FEWEST_SUBJECTS} subjects differ between the groupings"
    if is_per_sample and bool(is_driven_by_few(table)):
        return f"{TOO_FEW}: the difference depends on fewer than {FEWEST_SUBJECTS} subjects"
    return ""


def _compare_subjects(
    cell: CellMetric, pseudovalues: CellPseudovalues, other: Cell, seeds: Sequence[int]
) -> Array | None:
    """Return (K, C) differences of subjects' mean scores; for distances, of log errors.

    Args:
        cell: The cell and its metric.
        pseudovalues: Mean scores of subjects.
        other: Cell to compare with.
        seeds: K seeds of both.
    """
    values = pseudovalues.get_subject_means(cell.cell, cell.metric, seeds)
    references = pseudovalues.get_subject_means(other, cell.metric, seeds)
    if values is None or references is None or values.shape != references.shape:
        return None
    metric = get_metric(cell.metric)
    if metric.is_score:
        return values - references  # all scores with this best value are better if higher
    return compare_errors(values, references)
