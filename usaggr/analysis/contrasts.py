"""Weighted sums of cells' skill, whatever their grouping and variant, as one table seeds x components each.

What differs between variants is such a sum; differences from the reference grouping are read in cell_tables.py.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usaggr.analysis.cell_scores import Cases, Cell
from usaggr.metrics.names import metric as metric_of
from usaggr.statistics.effect_units import skill_pseudovalues
from usaggr.statistics.joint_tables import Part, joint_table

Array = NDArray[np.float64]
_NONE = -1
"""In place of a component where a run's predictions are gone: its score tells of seeds alone."""


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of cells' skill."""

    table: Array
    """(K, C) by seed and component."""
    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    """Fingerprints of all runs that it is made of: the same for sums of the same runs."""
    whole: bool
    """Whether all runs have predictions; otherwise the table tells of seeds alone for some tasks."""


class Skills:
    """Skill of all finished runs on their main metric, by cell and seed."""

    def __init__(self, observations: pd.DataFrame, cases: Cases) -> None:
        """Take `observations` from `observe`; runs without a score of the trivial predictor have no skill."""
        self._cases = cases
        self._skill: dict[Cell, dict[int, float]] = {}
        self._trivial: dict[Cell, dict[int, float]] = {}
        self._runs: dict[Cell, dict[int, str]] = {}
        self._metrics: dict[str, str] = {}
        known = observations[observations["main"] & observations["skill"].notna()]
        for row in known.to_dict("records"):
            cell = (row["task"], row["grouping"], row["scale"], row["variant"])
            self._metrics[row["task"]] = row["metric"]
            self._skill.setdefault(cell, {})[row["seed"]] = row["skill"]
            self._trivial.setdefault(cell, {})[row["seed"]] = row["trivial"]
            self._runs.setdefault(cell, {})[row["seed"]] = row["fingerprint"]

    def seeds(self, cells: Iterable[Cell]) -> tuple[int, ...]:
        """Seeds that all cells have, in order."""
        of_cells = [set(self._skill.get(cell, {})) for cell in cells]
        return tuple(sorted(set.intersection(*of_cells))) if of_cells else ()

    def run(self, cell: Cell, seed: int) -> str:
        """Fingerprint of a finished run of a cell.

        Raises:
            KeyError: there is none.
        """
        return self._runs[cell][seed]

    def mean(self, weights: Mapping[Cell, float], seeds: Iterable[int]) -> float:
        """The weighted sum, averaged over seeds; NaN without a seed."""
        sums = [sum(weight * self._skill[cell][seed] for cell, weight in weights.items()) for seed in seeds]
        return float(np.mean(sums)) if sums else float("nan")

    def contrast(self, weights: Mapping[Cell, float]) -> Contrast | None:
        """The weighted sum over the seeds that all cells have; None where they have none in common.

        Within a task, components are paired; those that several tasks share stay together (see joint.py).
        """
        seeds = self.seeds(weights)
        if not seeds:
            return None
        tasks = list(dict.fromkeys(cell[0] for cell in weights))
        of_task = [{cell: weight for cell, weight in weights.items() if cell[0] == task} for task in tasks]
        parts = [self._part(of, seeds) for of in of_task]
        runs = tuple(self._runs[cell][seed] for cell in weights for seed in seeds)
        return Contrast(joint_table(parts), seeds, runs, all(part.components[0] != _NONE for part in parts))

    def _part(self, weights: Mapping[Cell, float], seeds: tuple[int, ...]) -> Part:
        """The sum over the cells of one task."""
        (task,) = {cell[0] for cell in weights}
        components = self._cases.components(task)
        tables = [self._table(cell, seeds) for cell in weights]
        if any(table.shape[1] != components.size or not np.isfinite(table).all() for table in tables):
            # Told by seeds alone: the score itself, which is there even where the predictions are not.
            tables = [np.array([[self._skill[cell][seed]] for seed in seeds]) for cell in weights]
            components = np.array([_NONE], dtype=np.int64)
        total = sum(weight * table for weight, table in zip(weights.values(), tables, strict=True))
        return Part(np.asarray(total, dtype=float), components, 1.0)

    def _table(self, cell: Cell, seeds: tuple[int, ...]) -> Array:
        task, grouping, scale, variant = cell
        name = self._metrics[task]
        values = self._cases.pseudovalues(task, grouping, scale, variant, name, seeds)
        return skill_pseudovalues(values, np.array([self._trivial[cell][s] for s in seeds]), metric_of(name))
