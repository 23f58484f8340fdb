"""Differences of cells in units that tasks share, as tables seeds x components, and any weighted sum of them as one.

All that the report says over several tasks, scales or clinical groups is such a sum with fixed weights.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usaggr.analysis.cell_scores import Cases, Cell
from usaggr.analysis.collect import Collection
from usaggr.analysis.difference_intervals import pooled_estimates
from usaggr.metrics.names import main_metric
from usaggr.statistics.claims import Quantity
from usaggr.statistics.effect_units import relative_pseudovalues, skill_pseudovalues
from usaggr.statistics.joint_tables import Part, joint_table
from usaggr.statistics.scale_trend import ROUNDING
from usaggr.statistics.two_way_anova import Estimate, stacked

Array = NDArray[np.float64]
Unit = Literal["skill", "relative"]
UNITS: tuple[Unit, ...] = ("skill", "relative")
Weights = Mapping[Cell, float]


@dataclass(frozen=True)
class Joint:
    """Weighted sums over cells."""

    values: Array
    """(N sums, K, C): each sum's table, over the same seeds and components."""
    seeds: tuple[int, ...]
    whole: bool
    """Whether all runs have predictions; otherwise the tables tell of seeds alone for some cells."""


class CellTables:
    """Differences from the reference of finished cells, for the main metric, positive where better."""

    def __init__(self, collection: Collection, cases: Cases) -> None:
        self._cases, self._reference = cases, collection.study.reference
        self._metrics = {id_: main_metric(facts.task.type) for id_, facts in collection.data.tasks.items()}
        self._trivial: dict[Cell, dict[int, float]] = {}
        for run in collection.runs:
            for task in run.row.tasks if run.result is not None else ():
                assert run.result is not None
                name = self._metrics[task].name
                score, trivial = run.result.scores[task].get(name), run.result.trivial[task].get(name)
                for grouping in run.row.groupings if score is not None else ():
                    cell = (task, grouping, run.row.scale, run.row.variant)
                    self._trivial.setdefault(cell, {})[run.row.seed] = float("nan") if trivial is None else trivial
        self._part = lru_cache(maxsize=None)(self._read)

    def seeds(self, cells: Iterable[Cell]) -> tuple[int, ...]:
        """Seeds whose runs are done on both sides of all cells, in order."""
        sides = [self._trivial.get(side, {}) for cell in cells for side in (cell, self._other(cell))]
        return tuple(sorted(set.intersection(*(set(side) for side in sides)))) if sides else ()

    def joint(self, sums: Sequence[Weights], unit: Unit, seeds: tuple[int, ...] | None = None) -> Joint | None:
        """Tables of weighted sums of cells' differences; None where the cells have no seed in common.

        Args:
            sums: weight of each cell, for each sum.
            unit: skill; or relative change, whose reference mean must not be 0.
            seeds: to be used; otherwise all that the cells have in common.
        """
        cells = list(dict.fromkeys(cell for weights in sums for cell in weights))
        common = self.seeds(cells) if seeds is None else seeds
        if not common:
            return None
        parts = [self._part(cell, unit, common) for cell in cells]
        if not all(np.isfinite(values).all() for values, _ in parts):
            return None
        tables = [
            joint_table([
                Part(values, components, weights.get(cell, 0.0))
                for cell, (values, components) in zip(cells, parts, strict=True)
            ])
            for weights in sums
        ]  # fmt: skip
        return Joint(np.stack(tables), common, all(components[0] != _NONE for _, components in parts))

    def _other(self, cell: Cell) -> Cell:
        return (cell[0], self._reference, *cell[2:])

    def _read(self, cell: Cell, unit: Unit, seeds: tuple[int, ...]) -> tuple[Array, NDArray[np.int64]]:
        """(K, C) pseudo-values of a cell's difference, and (C,) its components."""
        task, _, scale, variant = cell
        metric = self._metrics[task]
        sides = [
            self._cases.pseudovalues(task, side[1], scale, variant, metric.name, seeds)
            for side in (cell, self._other(cell))
        ]
        components = self._cases.components(task)
        if any(side.shape[1] != components.size for side in sides):
            sides = [side.mean(axis=1, keepdims=True) for side in sides]
            components = np.array([_NONE], dtype=np.int64)
        if unit == "relative":
            return relative_pseudovalues(sides[0], sides[1], metric), components
        trivial = [
            np.array([self._trivial[side][seed] for seed in seeds]) for side in (cell, self._other(cell))
        ]  # fmt: skip
        own, other = (skill_pseudovalues(v, t, metric) for v, t in zip(sides, trivial, strict=True))
        return np.asarray(own - other), components


_NONE = -1
"""In place of a component where a run's predictions are gone: its score tells of seeds alone."""


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

    cells: pd.DataFrame
    """Rows of the comparison, for main metrics, of cells with a difference from the reference."""
    planned: pd.DataFrame
    """Rows of the comparison, for main metrics, of all cells: those that are the reference's own run too."""
    tables: CellTables
    confidence: float

    def of(self, unit: Unit) -> pd.DataFrame:
        """Cells that have a difference in the unit."""
        return self.cells[self.cells["relative" if unit == "relative" else "delta_skill"].notna()]

    def estimate(self, sums: Mapping[Setting, Weights], unit: Unit) -> dict[Setting, Found]:
        """Estimates of sums that differ in their setting alone; the variance between seeds is pooled where it is alike.

        Sums of one scale share their reference's runs.
        """
        joints = {setting: self.tables.joint([weights], unit) for setting, weights in sums.items()}
        tables: dict[tuple[Any, ...], Array] = {s: joint.values[0] for s, joint in joints.items() if joint is not None}
        pooled = pooled_estimates(tables, {setting: setting[0] for setting in tables})
        estimates = [difference.estimate for difference in pooled.values()]
        means = dict(zip(pooled, quantities(estimates, self.confidence), strict=True))
        return {
            setting: Found(
                means.get(setting, UNKNOWN),
                0 if joint is None else len(joint.seeds),
                joint is not None and joint.whole,
            )
            for setting, joint in joints.items()
        }


def cells_in(rows: pd.DataFrame) -> list[Cell]:
    """The cells of rows of the comparison."""
    columns = [rows[name].tolist() for name in ("task", "grouping", "scale", "variant")]
    return list(zip(*columns, strict=True))


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
