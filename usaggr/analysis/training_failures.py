"""Finds training failures of cells and of their single seeds, and tests for a loss despite collapsed seeds.

One collapsed seed among a few makes the distribution over seeds a mixture that no interval from a few seeds covers
(docs/methodology.md). Therefore such a cell has no gain and no no_loss. A loss remains if it does not depend on the
collapsed seeds.
"""

import math
from collections.abc import Collection, Iterable, Sequence
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
"""Share of the best seed's skill below which a seed has collapsed, even if it exceeds the trivial score by chance."""
LEAST_FALL = 0.2
"""Smallest difference in skill from the best seed for the same rule, which spares tasks that no seed has learned."""

Run = tuple[str, str]
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
    """Collapsed seeds of a cell and of its reference: one value per seed that is finished on both sides, in order."""

    compared: tuple[bool, ...]
    reference: tuple[bool, ...]

    @property
    def has_any(self) -> bool:
        """True if a seed collapsed on either side."""
        return any(self.compared) or any(self.reference)

    @property
    def is_total(self) -> bool:
        """True if all seeds of the cell collapsed and none of the reference, so that no side is a mixture."""
        return all(self.compared) and not any(self.reference)

    @property
    def intact(self) -> list[bool]:
        """True for each seed that collapsed on neither side."""
        return [not (seed or other) for seed, other in zip(self.compared, self.reference, strict=True)]

    def list_notes(self) -> list[str]:
        """Return the note on each side of which some seeds collapsed."""
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
    pairs: Sequence[ReferencePair], validity: pd.DataFrame, weak: Collection[CellKey]
) -> dict[CellKey, CollapsedSeeds]:
    """Return the collapsed seeds of each cell and metric, over the seeds that are finished on both sides.

    A run has collapsed on a task if neither its validation nor its test score is better than the trivial predictor's,
    or if it fell far below its cell's best seed (see `_find_fallen_runs`). Both depend on the main metric only.

    Args:
        pairs: Pairs from `pair_with_reference`.
        validity: Table from `read_validity`.
        weak: Cells whose interval of the mean includes the trivial score.
    """
    sides = [side for pair in pairs for side in (pair.compared, pair.reference) if side is not None and side.main]
    collapsed = {run for run, state in _get_states(validity, "collapsed").items() if state} | _find_fallen_runs(
        sides, weak
    )
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

    The loss must exist with all seeds and without the collapsed ones, so the larger of the two p values counts. Without
    the collapsed seeds, the variance between seeds is not pooled, because other cells may include collapsed seeds. If
    all seeds of the cell collapsed and none of the reference, the seeds agree, but their agreement may be chance: three
    against none has p = .1 by Fisher's exact test. The larger of this p value and that of the difference counts.

    Args:
        table: (K, C) pseudo-values of the difference, by seed and component.
        p: Two-sided p value over all seeds.
        seeds: Collapsed seeds of the cell.

    Returns:
        NaN if the difference is no loss, or if fewer than two seeds are intact and both sides are mixtures.
    """
    if not float(table.mean()) < 0:
        return math.nan
    if seeds.is_total:
        return max(p, 2 / math.comb(2 * len(table), len(table)))
    intact = table[seeds.intact]
    if len(intact) < 2:
        return math.nan
    without = estimate(intact, None)
    return max(p, float(without.compute_two_sided_p())) if float(without.value) < 0 else math.nan


def _find_fallen_runs(observations: Iterable[Observation], weak: Collection[CellKey]) -> set[Run]:
    """Return the runs whose skill is below a quarter of the best seed's skill in the same cell, and .2 lower.

    The score of a run that ignores the image exceeds the trivial score by chance in half of the test sets. A comparison
    with the trivial score alone would therefore miss most collapsed runs of tasks whose score is noisy. If all seeds of
    a cell collapsed, they have no better seed; a weak cell is therefore compared with the best seed of any grouping.

    Args:
        observations: Observations of main metrics.
        weak: Cells whose interval of the mean includes the trivial score.
    """
    scored = [row for row in observations if not math.isnan(row.skill)]
    best_of_task = {
        task: max(row.skill for row in rows_of_task) for task, rows_of_task in group_rows(scored, _get_task).items()
    }
    fallen: set[Run] = set()
    for key, seeds in group_rows(scored, lambda row: row.key).items():
        best = best_of_task[_get_task(seeds[0])] if key in weak else max(row.skill for row in seeds)
        fallen |= {
            _get_run(row) for row in seeds if row.skill < LARGEST_SHARE * best and best - row.skill >= LEAST_FALL
        }
    return fallen


def _get_task(observation: Observation) -> tuple[str, float | int, str]:
    return (observation.variant, observation.scale, observation.task)


def _get_run(observation: Observation) -> Run:
    return (observation.fingerprint, observation.task)


def _get_states(validity: pd.DataFrame, state: str) -> dict[Run, bool]:
    """Return a state of each run and task for which it could be checked."""
    checked = validity[validity[state].notna()]
    return dict(
        zip(zip(checked["fingerprint"], checked["task"], strict=True), checked[state].astype(bool), strict=True)
    )


def _is_true_for_most(states: Sequence[bool | None]) -> bool:
    """Return whether more than half of the states are true, missing ones left out."""
    checked = [state for state in states if state is not None]
    return 2 * sum(checked) > len(checked)
