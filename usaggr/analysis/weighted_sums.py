"""Weighted sums of cells' scores in units that are comparable between tasks, each as one table (seeds x components).

Every result over several tasks, scales, clinical groups or variants in the report is such a sum with fixed weights.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from usaggr.analysis.cell_pseudovalues import Cell, CellPseudovalues
from usaggr.analysis.cell_rows import CellDifference, CellVerdict
from usaggr.analysis.difference_intervals import moderate_sums
from usaggr.analysis.observations import Observation
from usaggr.metrics.names import Metric, compute_skill, get_metric
from usaggr.statistics.claims import Quantity
from usaggr.statistics.effect_units import (
    compute_log_error_pseudovalues,
    compute_log_error_ratio,
    compute_log_skill_pseudovalues,
    compute_log_skill_ratio,
    compute_relative_pseudovalues,
    compute_skill_pseudovalues,
)
from usaggr.statistics.joint_tables import WeightedTable, make_joint_table
from usaggr.statistics.two_way_anova import ROUNDING, Estimate, stack_estimates

Array = NDArray[np.float64]
Unit = Literal["skill", "relative", "log_error", "log_skill"]
UNITS: tuple[Unit, ...] = ("skill", "relative")
"""Units of means over tasks. Slopes are also estimated in the others, see `usaggr.statistics.effect_units`."""
Weights = Mapping[Cell, float]
_NO_COMPONENT = -1
"""Id that replaces all components of a task if a run has no predictions, so that only its score is available."""


@dataclass(frozen=True)
class WeightedSum:
    """Weighted sum over cells."""

    table: Array
    """(K, C) pseudo-values by seed and component; the mean over components is the sum for each seed."""
    seeds: tuple[int, ...]
    """(K,) seeds in ascending order."""
    has_predictions: bool
    """True if all runs have predictions; otherwise, some cells contribute only the variance between seeds."""


@dataclass(frozen=True)
class _Score:
    """Result of a finished run on a task's main metric."""

    trivial: float
    """Score of the predictor that ignores the image; NaN if not available."""
    skill: float
    """Skill of the run; NaN if `trivial` is NaN."""
    run: str
    """Fingerprint of the run."""


class WeightedSums:
    """Weighted sums of skill, and of differences from the reference, over finished cells and main metrics."""

    def __init__(self, observations: Iterable[Observation], pseudovalues: CellPseudovalues, reference: str) -> None:
        """Index the scores from which sums are computed.

        Args:
            observations: The long table from `observe`.
            pseudovalues: Pseudo-values of the same runs.
            reference: Grouping with which the others are compared.
        """
        self._pseudovalues, self._reference = pseudovalues, reference
        self._scores: dict[Cell, dict[int, _Score]] = {}
        self._metrics: dict[str, Metric] = {}
        for row in observations:
            if row.main and row.has_value:
                self._metrics.setdefault(row.task, get_metric(row.metric))
                self._scores.setdefault(row.cell, {})[row.seed] = _Score(row.trivial, row.skill, row.fingerprint)
        self._seeds_with_skill = {
            cell: frozenset(seed for seed, score in scores.items() if not np.isnan(score.skill))
            for cell, scores in self._scores.items()
        }
        # Many sums contain the same cells: their tables are computed once.
        self._difference = lru_cache(maxsize=None)(self._compute_difference)

    def list_common_seeds(self, cells: Iterable[Cell]) -> tuple[int, ...]:
        """Return the seeds for which all cells have a skill, in ascending order."""
        return _intersect(self._seeds_with_skill.get(cell, frozenset()) for cell in cells)

    def get_fingerprint(self, cell: Cell, seed: int) -> str:
        """Return the fingerprint of a finished run of a cell.

        Raises:
            KeyError: The cell has no finished run with this seed.
        """
        return self._scores[cell][seed].run

    def average_skill(self, weights: Weights, seeds: Iterable[int]) -> float:
        """Return the weighted sum of skill, averaged over seeds; NaN without a seed."""
        sums = [sum(weight * self._scores[cell][seed].skill for cell, weight in weights.items()) for seed in seeds]
        return float(np.mean(sums)) if sums else float("nan")

    def sum_skill(self, weights: Weights) -> WeightedSum | None:
        """Return the weighted sum of skill over the seeds that all cells have; None if they have none in common.

        Components are paired within a task. A component that several tasks share is one unit (see joint_tables.py).
        """
        seeds = self.list_common_seeds(weights)
        if not seeds:
            return None
        tasks = list(dict.fromkeys(cell[0] for cell in weights))
        by_task = [{cell: weight for cell, weight in weights.items() if cell[0] == task} for task in tasks]
        parts = [self._sum_task_skill(task_weights, seeds) for task_weights in by_task]
        return WeightedSum(make_joint_table(parts), seeds, _all_have_predictions(parts))

    def sum_differences(self, sums: Sequence[Weights], unit: Unit) -> tuple[WeightedSum, ...] | None:
        """Return weighted sums of differences from the reference, positive if better.

        All sums have the same seeds and components: those that all cells of all sums share.

        Args:
            sums: Weight of each cell, for each sum.
            unit: Unit of the differences; relative change needs a reference mean other than 0.

        Returns:
            The sums; None if the cells and the reference have no common seed, or a difference is undefined in the unit.
        """
        cells = list(dict.fromkeys(cell for weights in sums for cell in weights))
        sides = [side for cell in cells for side in (cell, self._get_reference(cell))]
        seeds = _intersect(self._scores.get(side, {}).keys() for side in sides)
        if not seeds:
            return None
        parts = [self._difference(cell, unit, seeds) for cell in cells]
        if not all(np.isfinite(table.values).all() for table in parts):
            return None
        has_predictions = _all_have_predictions(parts)
        differences = []
        for weights in sums:
            weighted = [
                WeightedTable(table.values, table.components, weights.get(cell, 0.0))
                for cell, table in zip(cells, parts, strict=True)
            ]
            differences.append(WeightedSum(make_joint_table(weighted), seeds, has_predictions))
        return tuple(differences)

    def _get_reference(self, cell: Cell) -> Cell:
        return (cell[0], self._reference, *cell[2:])

    def _sum_task_skill(self, weights: Weights, seeds: tuple[int, ...]) -> WeightedTable:
        """Return the sum over the cells of one task."""
        (task,) = {cell[0] for cell in weights}
        components = self._pseudovalues.get_components(task)
        tables = [
            self._compute_skill_pseudovalues(cell, self._compute_pseudovalues(cell, seeds), seeds) for cell in weights
        ]
        if any(table.shape[1] != components.size or not np.isfinite(table).all() for table in tables):
            # Scores are available even if predictions are missing.
            tables = [np.array([[self._scores[cell][seed].skill] for seed in seeds]) for cell in weights]
            components = np.array([_NO_COMPONENT], dtype=np.int64)
        total = sum(weight * table for weight, table in zip(weights.values(), tables, strict=True))
        return WeightedTable(np.asarray(total, dtype=float), components, 1.0)

    def _compute_difference(self, cell: Cell, unit: Unit, seeds: tuple[int, ...]) -> WeightedTable:
        """Return a cell's difference from the reference, with weight 1.

        Without the predictions of either side, the table has one column: the difference of the scores.
        """
        sides = (cell, self._get_reference(cell))
        values, references = (self._compute_pseudovalues(side, seeds) for side in sides)
        components = self._pseudovalues.get_components(cell[0])
        if values.shape[1] != components.size or references.shape[1] != components.size:
            values, references = (side.mean(axis=1, keepdims=True) for side in (values, references))
            components = np.array([_NO_COMPONENT], dtype=np.int64)
        metric = self._metrics[cell[0]]
        if unit == "relative":
            return WeightedTable(compute_relative_pseudovalues(values, references, metric), components, 1.0)
        if unit == "log_error":
            return WeightedTable(compute_log_error_pseudovalues(values, references, metric), components, 1.0)
        skills = self._compute_skill_pseudovalues(sides[0], values, seeds)
        reference_skills = self._compute_skill_pseudovalues(sides[1], references, seeds)
        if unit == "log_skill":
            return WeightedTable(compute_log_skill_pseudovalues(skills, reference_skills), components, 1.0)
        return WeightedTable(np.asarray(skills - reference_skills), components, 1.0)

    def _compute_pseudovalues(self, cell: Cell, seeds: tuple[int, ...]) -> Array:
        """Return the (K, C) pseudo-values of a cell's score."""
        return self._pseudovalues.get_table(cell, self._metrics[cell[0]].name, seeds)

    def _compute_skill_pseudovalues(self, cell: Cell, values: Array, seeds: tuple[int, ...]) -> Array:
        """Return the (K, C) pseudo-values of a cell's skill, from those of its score."""
        trivial = np.array([self._scores[cell][seed].trivial for seed in seeds])
        return compute_skill_pseudovalues(values, trivial, self._metrics[cell[0]])


def _intersect(seeds_of_cells: Iterable[Iterable[int]]) -> tuple[int, ...]:
    """Return the seeds that all cells have, in ascending order."""
    sets = [set(seeds) for seeds in seeds_of_cells]
    return tuple(sorted(set.intersection(*sets))) if sets else ()


def _all_have_predictions(parts: Sequence[WeightedTable]) -> bool:
    return all(table.components[0] != _NO_COMPONENT for table in parts)


def make_mean_weights(cells: Sequence[Cell]) -> dict[Cell, float]:
    """Return the weights of the mean over cells."""
    return dict.fromkeys(cells, 1 / len(cells)) if cells else {}


def scale_weights(weights: Weights, factor: float) -> dict[Cell, float]:
    """Return the weights of a sum multiplied by a factor."""
    return {cell: factor * float(weight) for cell, weight in weights.items()}


def add_weights(*sums: Weights) -> dict[Cell, float]:
    """Return the weights of the sum of several sums."""
    total: dict[Cell, float] = {}
    for weights in sums:
        for cell, weight in weights.items():
            total[cell] = total.get(cell, 0.0) + weight
    return total


Setting = tuple[float | int | None, str]
"""Scale (None: a sum over scales) and grouping."""


@dataclass(frozen=True)
class SumEstimate:
    """Estimate of a sum, with the evidence that it uses."""

    quantity: Quantity
    """Mean of the sum over seeds, with its interval and p value."""
    seeds: int
    """Number of seeds that all cells share; 0 if there is none."""
    has_predictions: bool
    """True if the interval includes the variance between test subjects for all cells."""


@dataclass(frozen=True)
class ComparedCells:
    """Cells of a table, with the sums from which their intervals are computed."""

    cells: Sequence[CellVerdict]
    """Verdicts on main metrics of cells that have a difference from the reference."""
    planned: Sequence[CellVerdict]
    """Verdicts on main metrics of all planned cells, including those that are the reference's own run."""
    sums: WeightedSums
    """Sums over the same study."""
    confidence: float
    """Confidence level of the intervals, in (0, 1)."""

    def select(self, unit: Unit) -> list[CellVerdict]:
        """Return the cells that have a difference in the unit."""
        return [row for row in self.cells if not np.isnan(get_difference(row, unit))]

    def estimate(self, sums: Mapping[Setting, Weights], unit: Unit) -> dict[Setting, SumEstimate]:
        """Return the estimates of sums that differ only in their setting, in the given unit.

        The variance between seeds is moderated over the sums.
        """
        weighted = {setting: self.sums.sum_differences([weights], unit) for setting, weights in sums.items()}
        tables: dict[tuple[Any, ...], Array] = {s: total[0].table for s, total in weighted.items() if total is not None}
        moderated = moderate_sums(tables)
        estimates = [difference.estimate for difference in moderated.values()]
        means = dict(zip(moderated, make_quantities(estimates, self.confidence), strict=True))
        return {
            setting: SumEstimate(
                means.get(setting, NOT_ESTIMATED),
                0 if total is None else len(total[0].seeds),
                total is not None and total[0].has_predictions,
            )
            for setting, total in weighted.items()
        }


def list_cells(verdicts: Iterable[CellVerdict]) -> list[Cell]:
    """Return the cells of verdicts."""
    return [row.cell for row in verdicts]


def get_difference(row: CellDifference, unit: Unit) -> float:
    """Return a cell's difference from the reference in a unit; NaN if it has none."""
    metric = get_metric(row.metric)
    match unit:
        case "skill":
            return row.delta_skill
        case "relative":
            return row.relative
        case "log_error":
            return compute_log_error_ratio(row.mean, row.reference_mean, metric)
        case "log_skill":
            skills = [compute_skill(mean, row.trivial, metric) for mean in (row.mean, row.reference_mean)]
            return compute_log_skill_ratio(*skills)


def make_quantities(estimates: Sequence[Estimate], confidence: float) -> list[Quantity]:
    """Return each estimate with its interval and p value; without them if neither seeds nor subjects differ."""
    if not estimates:
        return []
    stack = stack_estimates(estimates)
    numbers = np.transpose([stack.value, *stack.compute_interval(confidence), stack.compute_two_sided_p()])
    # A standard error at the level of rounding would give an interval without width.
    varies = stack.se > ROUNDING * (1 + np.abs(stack.value))
    return [
        Quantity(*map(float, row)) if has_interval else Quantity(float(row[0]), np.nan, np.nan)
        for row, has_interval in zip(numbers, varies, strict=True)
    ]


NOT_ESTIMATED = Quantity(np.nan, np.nan, np.nan)
"""Quantity without a value."""
