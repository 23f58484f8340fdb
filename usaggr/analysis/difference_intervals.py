"""Intervals of the comparison's differences: a table seeds x components for each cell, the seeds' variance pooled."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usaggr.analysis.cell_rows import CELL, CellKey
from usaggr.analysis.cell_scores import Cases
from usaggr.statistics.two_way_anova import Estimate, estimate, mean_squares
from usaggr.statistics.variance_pooling import pool

Array = NDArray[np.float64]
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Difference:
    """A cell's difference from the reference, positive where better."""

    table: Array
    """(K, C) by seed and component."""
    estimate: Estimate
    homogeneity: float
    """P value of the test whether the task's cells vary alike by seed; NaN where there is none."""
    pooled: bool
    """Whether the seeds' variance is pooled with that of the task's other cells."""


def differences(pairs: pd.DataFrame, cases: Cases) -> dict[CellKey, Difference]:
    """Return the difference of each cell and metric that has a seed in common with the reference.

    `pairs` are the rows of `pairs_of`. Cells of one variant, task and metric are pooled where they vary alike.
    """
    tables: dict[CellKey, Array] = {}
    runs: dict[CellKey, Key] = {}
    both = pairs[pairs["delta"].notna() & ~pairs["same"]]
    for group, rows in both.groupby(CELL, sort=False):
        key: CellKey = cast(CellKey, group)
        variant, scale, grouping, task, metric = key
        where = (scale, variant, metric, rows["seed"].tolist())
        own = cases.pseudovalues(task, grouping, *where)
        reference = cases.pseudovalues(task, str(rows["reference"].iloc[0]), *where)
        tables[key] = float(rows["sign"].iloc[0]) * (_narrow(own, reference) - _narrow(reference, own))
        runs[key] = tuple(rows["fingerprint"])
    # Cells of one scale share the reference's runs.
    return pooled_by_task(tables, runs, CELL, ("scale",))


def pooled_estimates(tables: dict[Key, Array], families: dict[Key, Any]) -> dict[Key, Difference]:
    """Estimates of tables that belong together, their variance between seeds pooled where they vary alike.

    Tables of the same family share their reference's runs.
    """
    keys = list(tables)
    # What varies alike is the seeds' means: a mean square grows with the number of components.
    columns = np.array([tables[key].shape[1] for key in keys], dtype=float)
    squares = np.array([float(mean_squares(tables[key]).seeds) for key in keys]) / columns
    df = np.array([tables[key].shape[0] - 1 for key in keys], dtype=float)
    numbers = {family: i for i, family in enumerate(dict.fromkeys(families[key] for key in keys))}
    found = pool(squares, df, [numbers[families[key]] for key in keys])
    return {
        key: Difference(
            tables[key],
            estimate(tables[key], (found.squares[i] * columns[i], found.df[i]) if df[i] > 0 else None),
            found.p,
            found.pooled,
        )
        for i, key in enumerate(keys)
    }


def pooled_by_task(
    tables: dict[Key, Array], runs: dict[Key, Key], cell: list[str], share: tuple[str, ...]
) -> dict[Key, Difference]:
    """Pool within variant, task and metric; a block that stands in two groupings counts once.

    Args:
        tables: (K, C) tables by cell.
        runs: fingerprints of each cell's runs.
        cell: names of the parts of a key.
        share: parts of a key that cells have in common whose mean squares are correlated.
    """
    groups: dict[Key, list[Key]] = defaultdict(list)
    for key in tables:
        groups[_pick(key, cell, ("variant", "task", "metric"))].append(key)
    found: dict[Key, Difference] = {}
    for keys in groups.values():
        first = {runs[key]: key for key in reversed(keys)}
        once = {key: tables[key] for key in first.values()}
        estimates = pooled_estimates(once, {key: _pick(key, cell, share) for key in once})
        found |= {key: estimates[first[runs[key]]] for key in keys}
    return found


def _pick(key: Key, cell: list[str], names: Iterable[str]) -> Key:
    return tuple(key[cell.index(name)] for name in names)


def _narrow(values: Array, other: Array) -> Array:
    """Values in as many columns as the other table has: one, if that tells of seeds alone."""
    same = values.shape[1] == other.shape[1] and np.isfinite(values).all() and np.isfinite(other).all()
    return values if same else np.asarray(values.mean(axis=1, keepdims=True))
