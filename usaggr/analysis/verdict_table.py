"""Tests of the differences: p values, margins, verdicts and notes of each cell, for its main metric."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usaggr.analysis.cell_pseudovalues import CellPseudovalues
from usaggr.analysis.cell_rows import CellDifference, CellKey, CellMetric, CellScore, CellVerdict
from usaggr.analysis.difference_intervals import Difference
from usaggr.analysis.qualified_verdicts import count_failure_subjects, qualify_family
from usaggr.analysis.reference_pairs import ReferencePair
from usaggr.analysis.row_tables import group_rows
from usaggr.analysis.training_failures import (
    CollapsedSeeds,
    compute_p_of_loss,
    find_failures,
)
from usaggr.analysis.untested_cells import TOO_FEW, explain_few_subjects, explain_untested_cells
from usaggr.metrics.names import get_metric
from usaggr.results.stored_study import StudyFacts
from usaggr.statistics.seeds_needed import count_seeds_needed
from usaggr.statistics.two_way_anova import stack_estimates
from usaggr.statistics.verdicts import ALPHA, PROVISIONAL_SEEDS, decide_verdicts

COMPARISON_COLUMNS = (
    "task", "task_type", "clinical_group", "scale", "n_train", "grouping", "variant", "metric", "reference_mean",
    "mean", "delta", "delta_low", "delta_high", "df", "relative", "p", "p_adjusted", "p_ni", "p_ni_adjusted", "margin",
    "seeds", "n_test", "n_subjects", "seeds_needed", "verdict", "note",
)  # fmt: skip
"""Columns of comparison.csv."""
EXTRA_COLUMNS = (
    "main", "same", "planned", "delta_skill", "se", "trivial", "collapsed", "collapsed_reference", "unconverged",
    "unconverged_reference", "diverged", "collapsed_seeds", "collapsed_seeds_reference", "valid", "failure_subjects",
    "rarer_than", "scarce",
)  # fmt: skip
"""Additional columns of the table of verdicts, after COMPARISON_COLUMNS."""
Family = tuple[str, float | int, str]
"""Variant, scale and grouping, whose tasks' tests are corrected together."""
_STUDY: Family = ("", 0, "")
"""Family of all cells, with `report.family=study`."""


@dataclass(frozen=True)
class _Test:
    """Test results of one cell; NaN, empty or None if it is not tested."""

    margin: float
    """NaN for other metrics than the main one."""
    p: float
    p_ni: float
    p_adjusted: float = math.nan
    p_ni_adjusted: float = math.nan
    verdict: str = ""
    small_loss: bool = False
    """True for a significant loss that is significantly smaller than the margin."""
    seeds_needed: int | None = None
    rarer_than: int | None = None
    """N if a no loss does not exclude failures rarer than 1 in N."""


def judge_cells(
    compared: Sequence[CellDifference],
    differences: Mapping[CellKey, Difference],
    cells: Sequence[CellScore],
    pairs: Sequence[ReferencePair],
    validity: pd.DataFrame,
    collapsed: Mapping[CellKey, CollapsedSeeds],
    pseudovalues: CellPseudovalues,
    study: StudyFacts,
) -> tuple[CellVerdict, ...]:
    """Return the verdict of each cell and metric, in the order of `compared`.

    Only main metrics have p values, a margin, seeds_needed and a verdict; other metrics have only the interval. A
    verdict is empty if block and reference are one run, if there are too few test data, or if no difference exists.

    Args:
        compared: Differences from `compare_cells`.
        differences: Estimates from `estimate_differences`.
        cells: Scores from `score_cells`.
        pairs: Pairs from `pair_with_reference`.
        validity: Table from `read_validity`.
        collapsed: Collapsed seeds of each cell, from `find_collapsed_seeds`.
        pseudovalues: Pseudo-values, for the size of the rarer class of each task.
        study: Study, for its margins.
    """
    estimated = [differences.get(cell.key) for cell in compared]
    reasons = explain_untested_cells(compared, differences, pairs, pseudovalues)
    weak, failures = find_weak_cells(cells), find_failures(pairs, validity)
    failure_subjects = [count_failure_subjects(cell, pseudovalues) for cell in compared]
    tests = _test_cells(compared, estimated, reasons, collapsed, failure_subjects, study)
    remarks = _collect_remarks(pairs)
    verdicts = []
    for i, (cell, reason, test) in enumerate(zip(compared, reasons, tests, strict=True)):
        verdict = CellVerdict(
            **vars(cell),
            margin=test.margin,
            p=test.p,
            p_adjusted=test.p_adjusted,
            p_ni=test.p_ni,
            p_ni_adjusted=test.p_ni_adjusted,
            seeds_needed=test.seeds_needed,
            verdict=test.verdict,
            note="",
            **failures[cell.key]._asdict(),
            rarer_than=test.rarer_than,
            failure_subjects=failure_subjects[i],
            scarce=reason.startswith(TOO_FEW),
            collapsed_seeds=sum(collapsed[cell.key].compared),
            collapsed_seeds_reference=sum(collapsed[cell.key].reference),
        )
        # Noted also for cells without a difference, which have no other reason.
        few_subjects = explain_few_subjects(pseudovalues.count_independent(cell.task, cell.n_subjects))
        causes = [note for note in (reason or few_subjects, *collapsed[cell.key].list_notes()) if note]
        notes = [*_list_notes(verdict, causes, test.small_loss, cell.key in weak), *remarks[cell.key]]
        verdicts.append(replace(verdict, note="; ".join(notes)))
    return tuple(verdicts)


def _test_cells(
    compared: Sequence[CellDifference],
    estimated: Sequence[Difference | None],
    reasons: Sequence[str],
    collapsed: Mapping[CellKey, CollapsedSeeds],
    failure_subjects: Sequence[int],
    study: StudyFacts,
) -> list[_Test]:
    """Test the main metrics, and adjust the tests of each family together.

    Args:
        compared: Differences of all cells.
        estimated: Their estimates; None for a cell without a difference.
        reasons: Why each cell is not tested; empty if it is tested.
        collapsed: Collapsed seeds of each cell. A cell with one is tested for a loss only.
        failure_subjects: Test subjects of each cell among whom failures would be seen.
        study: Study, for its margins and its family.
    """
    margins = np.array([_compute_margin(cell, study) if cell.main else np.nan for cell in compared], dtype=float)
    differences = {
        i: difference
        for i, difference in enumerate(estimated)
        if difference is not None and compared[i].main and not reasons[i]
    }
    p, p_ni = _compute_p_values(compared, differences, collapsed, margins)
    tests = [_Test(float(margins[i]), float(p[i]), float(p_ni[i])) for i in range(len(compared))]
    main = (i for i, cell in enumerate(compared) if cell.main)
    levels: dict[int, float] = {}
    """Level at the first step of Holm's adjustment, by the number of each undecided cell."""
    for members in group_rows(main, lambda i: _get_family(compared[i], study)).values():
        family = decide_verdicts([compared[i].delta for i in members], p[members], p_ni[members])
        rarer_than = qualify_family(
            [compared[i] for i in members],
            {position: differences[i].estimate for position, i in enumerate(members) if i in differences},
            margins[members].tolist(),
            p_ni[members].tolist(),
            family.verdicts,
            [failure_subjects[i] for i in members],
        )
        for position, i in enumerate(members):
            name, p_ni_adjusted = family.verdicts[position], float(family.p_ni_adjusted[position])
            if collapsed[compared[i].key].has_any:
                name, p_ni[i], p_ni_adjusted = ("loss" if name == "loss" else None), math.nan, math.nan
            if name == "undecided" and compared[i].seeds > 1:
                # Untested cells are no members of Holm's family: its first step divides by the tested ones only.
                levels[i] = ALPHA / int(np.isfinite(p[members]).sum())
            tests[i] = replace(
                tests[i],
                p_ni=float(p_ni[i]),
                p_adjusted=float(family.p_adjusted[position]),
                p_ni_adjusted=p_ni_adjusted,
                verdict=name or "",
                small_loss=bool(family.small_loss[position]),
                rarer_than=rarer_than[position],
            )
    for i, needed in _count_seeds(compared, differences, margins, levels).items():
        tests[i] = replace(tests[i], seeds_needed=needed)
    return tests


def _compute_p_values(
    compared: Sequence[CellDifference],
    differences: Mapping[int, Difference],
    collapsed: Mapping[CellKey, CollapsedSeeds],
    margins: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the p values (n,) of no difference and of a loss of at least the margin; NaN for cells without a test.

    Args:
        compared: Differences of all cells.
        differences: Estimates of the tested cells, by number.
        collapsed: Collapsed seeds of each cell. A cell with one is tested for a loss only.
        margins: (n,) margins.
    """
    p, p_ni = np.full(len(compared), np.nan), np.full(len(compared), np.nan)
    if not differences:
        return p, p_ni
    tested = list(differences)
    # All cells at once: quantiles of single cells would take far longer.
    stacked = stack_estimates([difference.estimate for difference in differences.values()])
    p[tested], p_ni[tested] = stacked.compute_two_sided_p(), stacked.compute_one_sided_p(-margins[tested])
    relative = {i: d.above_margin for i, d in differences.items() if d.above_margin is not None}
    if relative:
        p_ni[list(relative)] = stack_estimates(list(relative.values())).compute_one_sided_p(0.0)
    for i, difference in differences.items():
        if collapsed[compared[i].key].has_any:
            p[i] = compute_p_of_loss(difference.table, float(p[i]), collapsed[compared[i].key])
            p_ni[i] = p[i] if np.isnan(p[i]) else 1.0  # it counts in Holm's adjustment, but is never no loss
    return p, p_ni


def _count_seeds(
    compared: Sequence[CellDifference],
    differences: Mapping[int, Difference],
    margins: NDArray[np.float64],
    levels: Mapping[int, float],
) -> dict[int, int | None]:
    """Return the number of seeds that are likely to decide each undecided cell; None if no number is.

    Args:
        compared: Differences of all cells.
        differences: Estimates of the tested cells, by number.
        margins: (n,) margins.
        levels: Level of the test of each undecided cell.
    """
    if not levels:
        return {}
    undecided = list(levels)
    needed = count_seeds_needed(
        stack_estimates([differences[i].estimate for i in undecided]),
        [compared[i].seeds for i in undecided],
        margins[undecided],
        list(levels.values()),
    )
    return {
        i: None if math.isnan(number) else int(number) for i, number in zip(undecided, needed.tolist(), strict=True)
    }


def _get_family(cell: CellMetric, study: StudyFacts) -> Family:
    if study.family == "study":
        return _STUDY
    return (cell.variant, cell.scale, cell.grouping)


def _compute_margin(cell: CellDifference, study: StudyFacts) -> float:
    """Return the non-inferiority margin: absolute if the metric's best is 1, otherwise relative to the reference."""
    is_bounded = get_metric(cell.metric).is_score
    return float(study.margin) if is_bounded else float(study.relative_margin * abs(cell.reference_mean))


def find_weak_cells(cells: Sequence[CellScore]) -> set[CellKey]:
    """Return the cells whose interval of the mean score includes the trivial predictor's score."""
    return {cell.key for cell in cells if cell.low <= cell.trivial <= cell.high}


def _list_notes(cell: CellVerdict, causes: Sequence[str], small_loss: bool, weak: bool) -> Iterator[str]:
    if cell.same:
        yield "same run"
    yield from causes
    if cell.verdict and cell.seeds <= PROVISIONAL_SEEDS:
        yield "provisional"
    if cell.rarer_failures:
        yield cell.rarer_failures
    if small_loss:
        yield "small loss"
    if cell.verdict == "undecided" and cell.seeds_needed is None:
        yield "more subjects needed" if cell.seeds > 1 else "a second seed needed"
    if cell.main:
        yield from _list_failures(cell)
        if weak:
            yield "weak"
    if cell.seeds < cell.planned:
        yield f"{cell.seeds} of {cell.planned} seeds"
    if cell.reference_mean == 0 and not cell.same:
        yield "relative change is not defined: the reference's mean is 0"


def _list_failures(cell: CellVerdict) -> Iterator[str]:
    failures = {
        "collapsed": cell.collapsed,
        "reference collapsed": cell.collapsed_reference,
        "unconverged": cell.unconverged,
        "reference unconverged": cell.unconverged_reference,
        "diverged": cell.diverged,
    }
    yield from (name for name, is_true in failures.items() if is_true)


def _collect_remarks(pairs: Sequence[ReferencePair]) -> dict[CellKey, list[str]]:
    """Return the remarks on each cell, sorted: those of its own runs and of the reference's."""
    remarks: dict[CellKey, set[str]] = {}
    for pair in pairs:
        cell_remarks = remarks.setdefault(pair.compared.key, set())
        cell_remarks.update(pair.compared.remarks, () if pair.reference is None else pair.reference.remarks)
    return {key: sorted(cell_remarks) for key, cell_remarks in remarks.items()}
