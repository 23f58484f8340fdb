"""Weighted sums of cells' scores in units that tasks share, each as one table seeds x components.

All that the report says over several tasks, scales, clinical groups or variants is such a sum with fixed weights.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usaggr.analysis.cell_rows import CellDifference, CellVerdict
from usaggr.analysis.cell_scores import Cases, Cell
from usaggr.analysis.difference_intervals import pooled_estimates
from usaggr.metrics.names import Metric
from usaggr.metrics.names import metric as metric_of
from usaggr.statistics.claims import Quantity
from usaggr.statistics.effect_units import relative_pseudovalues, skill_pseudovalues
from usaggr.statistics.joint_tables import WeightedTable, joint_table
from usaggr.statistics.scale_trend import ROUNDING
from usaggr.statistics.two_way_anova import Estimate, stacked

Array = NDArray[np.float64]
Unit = Literal["skill", "relative"]
UNITS: tuple[Unit, ...] = ("skill", "relative")
Weights = Mapping[Cell, float]
_NO_COMPONENT = -1
"""Stands for all components of a task if a run's predictions are gone: its score shows the variance of seeds alone."""


@dataclass(frozen=True)
class WeightedSum:
    """A weighted sum over cells."""

    table: Array
    """(K, C) by seed and component; its mean over components is the sum, seed by seed."""
    seeds: tuple[int, ...]
    """(K,) in order."""
    runs: tuple[str, ...]
    """Fingerprints of all runs in it; equal for sums of the same runs."""
    whole: bool
    """Whether all runs have predictions; otherwise the table holds the variance of seeds alone for some cells."""


@dataclass(frozen=True)
class _Score:
    """A finished run's result on a task's main metric."""

    trivial: float
    """Score of the predictor that ignores the image; NaN if not known."""
    skill: float
    """NaN if `trivial` is."""
    run: str
    """Fingerprint."""


class WeightedSums:
    """Weighted sums of finished cells' skill, and of their differences from the reference, on the main metrics."""

    def __init__(self, observations: pd.DataFrame, cases: Cases, reference: str) -> None:
        """Take what all sums are made of.

        Args:
            observations: The long table from `observe`.
            cases: Pseudo-values of the same runs.
            reference: Grouping from which differences are taken.
        """
        self._cases, self._reference = cases, reference
        self._scores: dict[Cell, dict[int, _Score]] = {}
        self._metrics: dict[str, Metric] = {}
        known = observations[observations["main"] & observations["value"].notna()]
        names = ["task", "grouping", "scale", "variant", "seed", "metric", "trivial", "skill", "fingerprint"]
        columns = (known[name].tolist() for name in names)
        for task, grouping, scale, variant, seed, metric, trivial, skill, run in zip(*columns, strict=True):
            self._metrics.setdefault(task, metric_of(metric))
            self._scores.setdefault((task, grouping, scale, variant), {})[seed] = _Score(trivial, skill, run)
        self._with_skill = {
            cell: frozenset(seed for seed, score in scores.items() if not np.isnan(score.skill))
            for cell, scores in self._scores.items()
        }
        self._difference = lru_cache(maxsize=None)(self._read_difference)

    def seeds(self, cells: Iterable[Cell]) -> tuple[int, ...]:
        """Return the seeds in which all cells have a skill, in order."""
        return _in_all(self._with_skill.get(cell, frozenset()) for cell in cells)

    def run(self, cell: Cell, seed: int) -> str:
        """Return the fingerprint of a finished run of a cell.

        Raises:
            KeyError: There is none.
        """
        return self._scores[cell][seed].run

    def mean_skill(self, weights: Weights, seeds: Iterable[int]) -> float:
        """Return the weighted sum of skill, averaged over seeds; NaN without a seed."""
        sums = [sum(weight * self._scores[cell][seed].skill for cell, weight in weights.items()) for seed in seeds]
        return float(np.mean(sums)) if sums else float("nan")

    def of_skill(self, weights: Weights) -> WeightedSum | None:
        """Return the weighted sum of skill over the seeds that all cells have; None if they have none in common.

        Within a task, components are paired; those that several tasks share stay together (see joint_tables.py).
        """
        seeds = self.seeds(weights)
        if not seeds:
            return None
        tasks = list(dict.fromkeys(cell[0] for cell in weights))
        by_task = [{cell: weight for cell, weight in weights.items() if cell[0] == task} for task in tasks]
        parts = [self._skill_of_task(task_weights, seeds) for task_weights in by_task]
        return WeightedSum(joint_table(parts), seeds, self._runs(weights, seeds), _are_whole(parts))

    def of_differences(self, sums: Sequence[Weights], unit: Unit) -> tuple[WeightedSum, ...] | None:
        """Return weighted sums of differences from the reference, positive where better.

        All have the same seeds and components: those of all cells of all sums. None if the cells have no seed in
        common with each other and the reference, or a difference is not defined in the unit.

        Args:
            sums: Weight of each cell, for each sum.
            unit: Skill; or relative change, whose reference mean must not be 0.
        """
        cells = list(dict.fromkeys(cell for weights in sums for cell in weights))
        sides = [side for cell in cells for side in (cell, self._reference_of(cell))]
        seeds = _in_all(self._scores.get(side, {}).keys() for side in sides)
        if not seeds:
            return None
        parts = [self._difference(cell, unit, seeds) for cell in cells]
        if not all(np.isfinite(part.values).all() for part in parts):
            return None
        runs, whole = self._runs(sides, seeds), _are_whole(parts)
        totals = []
        for weights in sums:
            weighted = [
                WeightedTable(part.values, part.components, weights.get(cell, 0.0))
                for cell, part in zip(cells, parts, strict=True)
            ]
            totals.append(WeightedSum(joint_table(weighted), seeds, runs, whole))
        return tuple(totals)

    def _reference_of(self, cell: Cell) -> Cell:
        return (cell[0], self._reference, *cell[2:])

    def _runs(self, cells: Iterable[Cell], seeds: tuple[int, ...]) -> tuple[str, ...]:
        return tuple(self._scores[cell][seed].run for cell in cells for seed in seeds)

    def _skill_of_task(self, weights: Weights, seeds: tuple[int, ...]) -> WeightedTable:
        """Return the sum over the cells of one task."""
        (task,) = {cell[0] for cell in weights}
        components = self._cases.components(task)
        tables = [self._skill(cell, self._values(cell, seeds), seeds) for cell in weights]
        if any(table.shape[1] != components.size or not np.isfinite(table).all() for table in tables):
            # The scores themselves, which are there even if the predictions are not.
            tables = [np.array([[self._scores[cell][seed].skill] for seed in seeds]) for cell in weights]
            components = np.array([_NO_COMPONENT], dtype=np.int64)
        total = sum(weight * table for weight, table in zip(weights.values(), tables, strict=True))
        return WeightedTable(np.asarray(total, dtype=float), components, 1.0)

    def _read_difference(self, cell: Cell, unit: Unit, seeds: tuple[int, ...]) -> WeightedTable:
        """Return a cell's difference from the reference, with weight 1."""
        sides = (cell, self._reference_of(cell))
        values, references = (self._values(side, seeds) for side in sides)
        components = self._cases.components(cell[0])
        if values.shape[1] != components.size or references.shape[1] != components.size:
            values, references = (side.mean(axis=1, keepdims=True) for side in (values, references))
            components = np.array([_NO_COMPONENT], dtype=np.int64)
        if unit == "relative":
            return WeightedTable(relative_pseudovalues(values, references, self._metrics[cell[0]]), components, 1.0)
        difference = self._skill(sides[0], values, seeds) - self._skill(sides[1], references, seeds)
        return WeightedTable(np.asarray(difference), components, 1.0)

    def _values(self, cell: Cell, seeds: tuple[int, ...]) -> Array:
        """(K, C) pseudo-values of a cell's score."""
        task, grouping, scale, variant = cell
        return self._cases.pseudovalues(task, grouping, scale, variant, self._metrics[task].name, seeds)

    def _skill(self, cell: Cell, values: Array, seeds: tuple[int, ...]) -> Array:
        """(K, C) pseudo-values of a cell's skill, from those of its score."""
        trivial = np.array([self._scores[cell][seed].trivial for seed in seeds])
        return skill_pseudovalues(values, trivial, self._metrics[cell[0]])


def _in_all(seeds_of_cells: Iterable[Iterable[int]]) -> tuple[int, ...]:
    sets = [set(seeds) for seeds in seeds_of_cells]
    return tuple(sorted(set.intersection(*sets))) if sets else ()


def _are_whole(parts: Sequence[WeightedTable]) -> bool:
    return all(part.components[0] != _NO_COMPONENT for part in parts)


def mean_of(cells: Sequence[Cell]) -> dict[Cell, float]:
    """Weights of the mean over cells."""
    return dict.fromkeys(cells, 1 / len(cells)) if cells else {}


def scaled(weights: Weights, factor: float) -> dict[Cell, float]:
    """Weights of a multiple of a sum."""
    return {cell: factor * float(weight) for cell, weight in weights.items()}


def combined(*sums: Weights) -> dict[Cell, float]:
    """Weights of the sum of sums."""
    total: dict[Cell, float] = {}
    for weights in sums:
        for cell, weight in weights.items():
            total[cell] = total.get(cell, 0.0) + weight
    return total


Setting = tuple[float | int | None, str]
"""scale (None: a sum over scales), grouping"""


@dataclass(frozen=True)
class Found:
    """An estimate, and what it rests on."""

    mean: Quantity
    seeds: int
    """0: the cells have none in common."""
    whole: bool
    """Whether chance by test subjects is known of for all cells."""


@dataclass(frozen=True)
class Compared:
    """The cells that count in a table, with what their intervals are made of."""

    cells: Sequence[CellVerdict]
    """Verdicts on main metrics of cells with a difference from the reference."""
    planned: Sequence[CellVerdict]
    """Verdicts on main metrics of all cells: those that are the reference's own run too."""
    sums: WeightedSums
    confidence: float

    def of(self, unit: Unit) -> list[CellVerdict]:
        """Return the cells that have a difference in the unit."""
        return [row for row in self.cells if not np.isnan(difference_in(row, unit))]

    def estimate(self, sums: Mapping[Setting, Weights], unit: Unit) -> dict[Setting, Found]:
        """Estimates of sums that differ in their setting alone; the variance between seeds is pooled where it is alike.

        Sums of one scale share their reference's runs.
        """
        found = {setting: self.sums.of_differences([weights], unit) for setting, weights in sums.items()}
        tables: dict[tuple[Any, ...], Array] = {s: known[0].table for s, known in found.items() if known is not None}
        pooled = pooled_estimates(tables, {setting: setting[0] for setting in tables})
        estimates = [difference.estimate for difference in pooled.values()]
        means = dict(zip(pooled, quantities(estimates, self.confidence), strict=True))
        return {
            setting: Found(
                means.get(setting, UNKNOWN),
                0 if known is None else len(known[0].seeds),
                known is not None and known[0].whole,
            )
            for setting, known in found.items()
        }


def cells_in(rows: Iterable[CellVerdict]) -> list[Cell]:
    """Return the cells of rows."""
    return [row.cell for row in rows]


def difference_in(row: CellDifference, unit: Unit) -> float:
    """Return a cell's difference from the reference in a unit; NaN where there is none."""
    return row.relative if unit == "relative" else row.delta_skill


def quantities(found: Sequence[Estimate], confidence: float) -> list[Quantity]:
    """Return each estimate with its bounds; without them where no seed and no subject differs."""
    if not found:
        return []
    whole = stacked(found)
    numbers = np.transpose([whole.value, *whole.interval(confidence), whole.p_two_sided()])
    varies = whole.se > ROUNDING * (1 + np.abs(whole.value))
    return [
        Quantity(*map(float, row)) if known else Quantity(float(row[0]), np.nan, np.nan)
        for row, known in zip(numbers, varies, strict=True)
    ]


UNKNOWN = Quantity(np.nan, np.nan, np.nan)
