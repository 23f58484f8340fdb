"""Tests the differences: p values, margins, verdicts and notes of each cell, for its main metric."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from usaggr.analysis.cell_pseudovalues import CellPseudovalues
from usaggr.analysis.cell_rows import CellDifference, CellKey, CellMetric, CellScore, CellVerdict
from usaggr.analysis.difference_intervals import Difference
from usaggr.analysis.qualified_verdicts import qualify_family
from usaggr.analysis.reference_pairs import ReferencePair
from usaggr.analysis.row_tables import group_rows
from usaggr.analysis.untested_cells import FEW_SUBJECTS, TOO_FEW, explain_untested_cells
from usaggr.data.split.manifest import MIN_TEST_SUBJECTS
from usaggr.document.display_names import describe_rarer_failures
from usaggr.metrics.names import get_metric
from usaggr.results.stored_study import StudyFacts
from usaggr.statistics.power import count_seeds_needed
from usaggr.statistics.two_way_anova import Estimate, stack_estimates
from usaggr.statistics.verdicts import ALPHA, decide_verdicts

COMPARISON_COLUMNS = (
    "task", "task_type", "clinical_group", "scale", "n_train", "grouping", "variant", "metric", "reference_mean",
    "mean", "delta", "delta_low", "delta_high", "df", "relative", "p", "p_adjusted", "p_ni", "p_ni_adjusted", "margin",
    "seeds", "n_test", "n_subjects", "seeds_needed", "verdict", "note",
)  # fmt: skip
"""Columns of comparison.csv."""
EXTRA_COLUMNS = (
    "main", "same", "planned", "delta_skill", "se", "trivial", "collapsed", "collapsed_reference", "unconverged",
    "unconverged_reference", "diverged", "valid", "rarer_than", "scarce",
)  # fmt: skip
"""Additional columns of the table of verdicts, after COMPARISON_COLUMNS."""
Family = tuple[str, float | int, str]
"""Variant, scale and grouping, whose tasks' tests are corrected together."""


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
    """N if a no loss holds only apart from failures rarer than 1 in N."""


class TrainingFailures(NamedTuple):
    """Training failures of a cell's models and of the reference's, each true if it affects most seeds."""

    collapsed: bool
    collapsed_reference: bool
    unconverged: bool
    unconverged_reference: bool
    diverged: bool


def judge_cells(
    compared: Sequence[CellDifference],
    differences: Mapping[CellKey, Difference],
    cells: Sequence[CellScore],
    pairs: Sequence[ReferencePair],
    validity: pd.DataFrame,
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
        pseudovalues: Pseudo-values, for the size of the rarer class of each task.
        study: Study, for its margins.
    """
    estimated = [differences.get(cell.key) for cell in compared]
    reasons = explain_untested_cells(compared, differences, pairs, pseudovalues)
    tests = _test_cells(compared, estimated, reasons, study)
    failures, remarks, weak = find_failures(pairs, validity), _collect_remarks(pairs), _find_weak_cells(cells)
    verdicts = []
    for cell, reason, test in zip(compared, reasons, tests, strict=True):
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
            scarce=reason.startswith((FEW_SUBJECTS, TOO_FEW)),
        )
        notes = [*_list_notes(verdict, reason, test.small_loss, cell.key in weak), *remarks[cell.key]]
        verdicts.append(replace(verdict, note="; ".join(notes)))
    return tuple(verdicts)


def _test_cells(
    compared: Sequence[CellDifference],
    estimated: Sequence[Difference | None],
    reasons: Sequence[str],
    study: StudyFacts,
) -> list[_Test]:
    """Test the main metrics, and adjust the tests of each grouping, scale and variant together.

    Args:
        compared: Differences of all cells.
        estimated: Their estimates; None for a cell without a difference.
        reasons: Why each cell is not tested; empty if it is tested.
        study: Study, for its margins.
    """
    margins = np.array([_compute_margin(cell, study) if cell.main else np.nan for cell in compared], dtype=float)
    estimates: dict[int, Estimate] = {}
    for i, difference in enumerate(estimated):
        if difference is not None and compared[i].main and not reasons[i]:
            estimates[i] = difference.estimate
    p, p_ni = np.full(len(compared), np.nan), np.full(len(compared), np.nan)
    if estimates:
        tested = list(estimates)
        # All cells at once: quantiles of single cells would take far longer.
        stacked = stack_estimates(list(estimates.values()))
        p[tested], p_ni[tested] = stacked.compute_two_sided_p(), stacked.compute_one_sided_p(-margins[tested])
    tests = [_Test(float(margins[i]), float(p[i]), float(p_ni[i])) for i in range(len(compared))]
    main = (i for i, cell in enumerate(compared) if cell.main)
    for members in group_rows(main, lambda i: _get_family(compared[i])).values():
        family = decide_verdicts([compared[i].delta for i in members], p[members], p_ni[members])
        # Untested cells are no members of Holm's family: its first step divides the level by the tested ones only.
        size = int(np.isfinite(p[members]).sum())
        rarer_than = qualify_family(
            [compared[i] for i in members],
            {position: estimates[i] for position, i in enumerate(members) if i in estimates},
            margins[members].tolist(),
            p_ni[members].tolist(),
            family.verdicts,
        )
        for position, i in enumerate(members):
            name, needed = family.verdicts[position], None
            if name == "undecided":
                needed = count_seeds_needed(estimates[i], compared[i].seeds, float(margins[i]), ALPHA / size)
            tests[i] = replace(
                tests[i],
                p_adjusted=float(family.p_adjusted[position]),
                p_ni_adjusted=float(family.p_ni_adjusted[position]),
                verdict=name or "",
                small_loss=bool(family.small_loss[position]),
                seeds_needed=needed,
                rarer_than=rarer_than[position],
            )
    return tests


def _get_family(cell: CellMetric) -> Family:
    return (cell.variant, cell.scale, cell.grouping)


def _compute_margin(cell: CellDifference, study: StudyFacts) -> float:
    """Return the non-inferiority margin: absolute if the metric's best is 1, otherwise relative to the reference."""
    is_bounded = get_metric(cell.metric).best == 1.0
    return float(study.margin) if is_bounded else float(study.relative_margin * abs(cell.reference_mean))


def find_failures(pairs: Sequence[ReferencePair], validity: pd.DataFrame) -> dict[CellKey, TrainingFailures]:
    """Return the training failures of each cell: those of more than half of the runs that could be checked.

    Args:
        pairs: Pairs from `pair_with_reference`.
        validity: Table from `read_validity`.
    """
    collapsed, unconverged, diverged = (
        _get_states(validity, state) for state in ("collapsed", "unconverged", "diverged")
    )
    failures: dict[CellKey, TrainingFailures] = {}
    for key, cell_pairs in group_rows(pairs, lambda pair: pair.compared.key).items():
        runs = [(pair.compared.fingerprint, pair.compared.task) for pair in cell_pairs]
        references = [
            (pair.reference.fingerprint, pair.reference.task) for pair in cell_pairs if pair.reference is not None
        ]
        failures[key] = TrainingFailures(
            collapsed=_is_true_for_most([collapsed.get(run) for run in runs]),
            collapsed_reference=_is_true_for_most([collapsed.get(run) for run in references]),
            unconverged=_is_true_for_most([unconverged.get(run) for run in runs]),
            unconverged_reference=_is_true_for_most([unconverged.get(run) for run in references]),
            diverged=_is_true_for_most([diverged.get(run) for run in runs]),
        )
    return failures


def _get_states(validity: pd.DataFrame, state: str) -> dict[tuple[str, str], bool]:
    """Return a state of each run (fingerprint) and task for which it could be checked."""
    checked = validity[validity[state].notna()]
    return dict(
        zip(zip(checked["fingerprint"], checked["task"], strict=True), checked[state].astype(bool), strict=True)
    )


def _is_true_for_most(states: Sequence[bool | None]) -> bool:
    """Return whether more than half of the states are true, missing ones left out."""
    checked = [state for state in states if state is not None]
    return 2 * sum(checked) > len(checked)


def _find_weak_cells(cells: Sequence[CellScore]) -> set[CellKey]:
    """Return the cells whose interval of the mean score includes the trivial predictor's score."""
    return {cell.key for cell in cells if cell.low <= cell.trivial <= cell.high}


def _list_notes(cell: CellVerdict, reason: str, small_loss: bool, weak: bool) -> Iterator[str]:
    if cell.same:
        yield "same run"
    # Noted also for cells without a difference, for which `reason` is empty.
    if cell.n_subjects < MIN_TEST_SUBJECTS:
        yield FEW_SUBJECTS
    elif reason:
        yield reason
    if cell.verdict and cell.seeds == 1:
        yield "provisional"
    if cell.rarer_than is not None:
        yield describe_rarer_failures(cell.rarer_than)
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
