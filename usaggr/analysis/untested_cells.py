"""Reasons why a difference is not tested: its interval cannot be trusted, because too few subjects carry it."""

from collections.abc import Mapping, Sequence

from usaggr.analysis.cell_pseudovalues import Cell, CellPseudovalues
from usaggr.analysis.cell_rows import CellKey, CellMetric
from usaggr.analysis.difference_intervals import Array, Difference
from usaggr.analysis.reference_pairs import ReferencePair
from usaggr.analysis.row_tables import group_rows
from usaggr.data.split.manifest import MIN_TEST_SUBJECTS
from usaggr.metrics.names import get_metric
from usaggr.statistics.minimum_evidence import (
    FEWEST_SUBJECTS,
    compare_errors,
    has_few_differing,
    is_driven_by_few,
)
from usaggr.tasks import has_class_label

FEW_SUBJECTS = "few subjects"
"""Note of a cell with fewer than MIN_TEST_SUBJECTS test subjects."""
TOO_FEW = "too few"
"""First words of the notes of cells whose evidence rests on fewer than FEWEST_SUBJECTS subjects."""


def explain_untested_cells(
    compared: Sequence[CellMetric],
    differences: Mapping[CellKey, Difference],
    pairs: Sequence[ReferencePair],
    pseudovalues: CellPseudovalues,
) -> list[str]:
    """Return why each cell is not tested, as its note states it; empty for cells that are tested or not compared.

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
        reasons.append(explain_scarcity(cell, difference, pseudovalues, (cell_pairs[0].reference.cell, seeds)))
    return reasons


def explain_scarcity(
    cell: CellMetric,
    difference: Difference,
    pseudovalues: CellPseudovalues,
    against: tuple[Cell, Sequence[int]],
) -> str:
    """Return why the difference of a cell from another is not tested; empty if it is tested.

    Args:
        cell: The cell.
        difference: Its estimated difference.
        pseudovalues: Pseudo-values and mean scores, and the size of the rarer class.
        against: The other cell, and the seeds of both.
    """
    if cell.n_subjects < MIN_TEST_SUBJECTS:
        return FEW_SUBJECTS
    if difference.table.shape[1] == 1:  # the scores themselves: no variance between subjects
        return "no predictions"
    if has_class_label(cell.task_type):
        size = pseudovalues.count_rarer_class(cell.cell)
        if size is not None and size < FEWEST_SUBJECTS:
            return f"{TOO_FEW}: {size} subject{'s' if size != 1 else ''} in the rarer class"
    is_per_sample = get_metric(cell.metric).is_per_sample
    subjects = _compare_subjects(cell, pseudovalues, *against) if is_per_sample else None
    table = difference.table if subjects is None else subjects
    if bool(has_few_differing(table)):
        return f"{TOO_FEW}: under {FEWEST_SUBJECTS} subjects differ"
    if is_per_sample and bool(is_driven_by_few(table)):
        return f"{TOO_FEW}: the difference hangs on under {FEWEST_SUBJECTS} subjects"
    return ""


def _compare_subjects(
    cell: CellMetric, pseudovalues: CellPseudovalues, other: Cell, seeds: Sequence[int]
) -> Array | None:
    """Return (K, C) differences of subjects' mean scores; of log errors for metrics whose best value is 0.

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
    if metric.best == 1.0:
        return values - references if metric.higher_is_better else references - values
    return compare_errors(values, references)
