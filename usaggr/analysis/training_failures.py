"""Training failures of cells and seeds, and the test of a loss despite collapsed seeds.

One collapsed seed among a few makes the distribution over seeds a mixture that no interval from a few seeds covers
(docs/methodology.md). Such a cell therefore never gets the verdict gain or no_loss. A loss remains if it does not
depend on the collapsed seeds.
"""

import math
from collections import abc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from usaggr.analysis.cell_rows import CellKey
from usaggr.analysis.difference_intervals import Array
from usaggr.analysis.observations import Observation
from usaggr.analysis.reference_pairs import ReferencePair
from usaggr.analysis.row_tables import group_rows
from usaggr.statistics.two_way_anova import estimate

LARGEST_SHARE = 0.25
"""A seed counts as collapsed if its skill is below this fraction of the best seed's, and lower by LEAST_FALL.

Seeds of one cell that learned the task differ by far less.
"""
LEAST_FALL = 0.2
"""Smallest difference in skill of a collapsed seed from the best one.

Without it, small differences on tasks that no seed has learned would count. Skill is 0 for the trivial predictor and 1
for a perfect one.
"""

RunTask = tuple[str, str]
"""Fingerprint and task."""


class TrainingFailures(NamedTuple):
    """Training failures of a cell's models and of the reference's, each true if it affects most seeds."""

    collapsed: bool
    collapsed_reference: bool
    unconverged: bool
    unconverged_reference: bool
    diverged: bool


@dataclass(frozen=True)
class CollapsedSeeds:
    """Collapsed seeds of a cell and of its reference.

    One value per seed that is finished on both sides, in the order of the rows of the cell's table.
    """

    compared: tuple[bool, ...]
    reference: tuple[bool, ...]

    @property
    def has_any(self) -> bool:
        """True if a seed collapsed on either side."""
        return any(self.compared) or any(self.reference)

    @property
    def is_only_cell_collapsed(self) -> bool:
        """True if all seeds of the cell collapsed and none of the reference, so that no side is a mixture."""
        return all(self.compared) and not any(self.reference)

    @property
    def intact(self) -> list[bool]:
        """True for each seed that collapsed on neither side."""
        return [not (seed or other) for seed, other in zip(self.compared, self.reference, strict=True)]

    def list_notes(self) -> list[str]:
        """Return one note for each side with collapsed seeds."""
        notes = []
        for states, side in ((self.compared, ""), (self.reference, " of the reference")):
            if any(states):
                notes.append(f"{sum(states)} of {len(states)} seed{'s' if len(states) > 1 else ''}{side} collapsed")
        return notes


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
        runs = [_get_run(pair.compared) for pair in cell_pairs]
        references = [_get_run(pair.reference) for pair in cell_pairs if pair.reference is not None]
        failures[key] = TrainingFailures(
            collapsed=_is_true_for_most([collapsed.get(run) for run in runs]),
            collapsed_reference=_is_true_for_most([collapsed.get(run) for run in references]),
            unconverged=_is_true_for_most([unconverged.get(run) for run in runs]),
            unconverged_reference=_is_true_for_most([unconverged.get(run) for run in references]),
            diverged=_is_true_for_most([diverged.get(run) for run in runs]),
        )
    return failures


def find_collapsed_seeds(
    pairs: Sequence[ReferencePair], validity: pd.DataFrame, weak: abc.Collection[CellKey]
) -> dict[CellKey, CollapsedSeeds]:
    """Return the collapsed seeds of each cell and metric, over the seeds that are finished on both sides.

    A run has collapsed on a task if neither its validation nor its test score is better than the trivial predictor's,
    or if its skill is far below that of its cell's best seed. Both depend on the main metric only.

    Args:
        pairs: Pairs from `pair_with_reference`.
        validity: Table from `read_validity`.
        weak: Cells whose interval of the mean includes the trivial score.
    """
    sides = [side for pair in pairs for side in (pair.compared, pair.reference) if side is not None and side.main]
    collapsed = {run for run, state in _get_states(validity, "collapsed").items() if state}
    collapsed |= _find_runs_below_best_seed(sides, weak)
    seeds: dict[CellKey, CollapsedSeeds] = {}
    for key, cell_pairs in group_rows(pairs, lambda pair: pair.compared.key).items():
        # The same pairs, in the same order, as the rows of the cell's table in estimate_differences.
        paired = [(pair.compared, pair.reference) for pair in cell_pairs if pair.has_delta and not pair.is_same_run]
        seeds[key] = CollapsedSeeds(
            tuple(_get_run(compared) in collapsed for compared, _ in paired),
            tuple(reference is not None and _get_run(reference) in collapsed for _, reference in paired),
        )
    return seeds


def compute_p_of_loss(table: Array, p: float, seeds: CollapsedSeeds) -> float:
    """Return the p value of a difference for a cell with collapsed seeds, which may only be a loss.

    The test must reject both with all seeds and without the collapsed ones, so the larger of the two p values counts.
    Without the collapsed seeds, the cell also keeps its own variance (see `moderate_by_metric`), because its seeds may
    vary unlike those of other cells. If all seeds of the cell collapsed and none of the reference, the seeds agree, but
    that all collapsed under one grouping only may be chance: 3 of 3 against 0 of 3 has p = .1 by Fisher's exact test.
    The larger of this p value and that of the difference counts.

    Args:
        table: (K, C) pseudo-values of the difference, by seed and component.
        p: Two-sided p value over all seeds.
        seeds: Collapsed seeds of the cell.

    Returns:
        NaN if the mean difference is not negative, with all seeds or without the collapsed ones. NaN also if fewer than
        two seeds are intact, unless all seeds of the cell and none of the reference collapsed.
    """
    if not float(table.mean()) < 0:
        return math.nan
    if seeds.is_only_cell_collapsed:
        return max(p, 2 / math.comb(2 * len(table), len(table)))
    intact = table[seeds.intact]
    if len(intact) < 2:
        return math.nan
    without = estimate(intact)
    return max(p, float(without.compute_two_sided_p())) if float(without.value) < 0 else math.nan


def _find_runs_below_best_seed(
    observations: Iterable[Observation], weak: abc.Collection[CellKey]
) -> set[RunTask]:  # fmt: skip
    """Return the runs whose skill is below a quarter of the best seed's skill in the same cell, and .2 lower.

    The score of a run that ignores the image exceeds the trivial score by chance in half of the test sets and in half
    of the validation sets. A comparison with the trivial score finds a collapsed run only if neither is better, so it
    would miss three of four where scores are noisy. If all seeds of a cell collapsed, there is no good seed to compare
    with; a weak cell is therefore compared with the best seed of any grouping. Only weak cells are, because a cell
    whose interval excludes the trivial score has learned something.

    Args:
        observations: Observations of main metrics.
        weak: Cells whose interval of the mean includes the trivial score.
    """
    scored = [row for row in observations if not math.isnan(row.skill)]
    best_of_task = {
        task: max(row.skill for row in rows_of_task) for task, rows_of_task in group_rows(scored, _get_task_key).items()
    }
    collapsed: set[RunTask] = set()
    for key, seeds in group_rows(scored, lambda row: row.key).items():
        best = best_of_task[_get_task_key(seeds[0])] if key in weak else max(row.skill for row in seeds)
        collapsed |= {
            _get_run(row) for row in seeds if row.skill < LARGEST_SHARE * best and best - row.skill >= LEAST_FALL
        }
    return collapsed


def _get_task_key(observation: Observation) -> tuple[str, float | int, str]:
    return (observation.variant, observation.scale, observation.task)


def _get_run(observation: Observation) -> RunTask:
    return (observation.fingerprint, observation.task)


def _get_states(validity: pd.DataFrame, state: str) -> dict[RunTask, bool]:
    """Return a state of each run and task for which it could be checked."""
    checked = validity[validity[state].notna()]
    return dict(
        zip(zip(checked["fingerprint"], checked["task"], strict=True), checked[state].astype(bool), strict=True)
    )


def _is_true_for_most(states: Sequence[bool | None]) -> bool:
    """Return whether more than half of the states are true, missing ones left out."""
    checked = [state for state in states if state is not None]
    return 2 * sum(checked) > len(checked)
