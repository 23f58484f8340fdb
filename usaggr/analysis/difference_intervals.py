"""Estimates of differences from the reference: one table (seeds x components) per cell, with pooled seed variance."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usaggr.analysis.cell_pseudovalues import CellPseudovalues
from usaggr.analysis.cell_rows import CELL, CellKey
from usaggr.analysis.reference_pairs import ReferencePair
from usaggr.analysis.row_tables import group_rows
from usaggr.statistics.two_way_anova import Estimate, compute_mean_squares, estimate
from usaggr.statistics.variance_pooling import pool

Array = NDArray[np.float64]
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Difference:
    """Difference of a cell from the reference, positive if the cell is better."""

    table: Array
    """(K, C) pseudo-values of the difference, by seed and component."""
    estimate: Estimate
    """Mean with its standard error and degrees of freedom."""
    homogeneity: float
    """P value of the test that the task's cells have equal variance between seeds; NaN without a test."""
    pooled: bool
    """True if the variance between seeds is pooled with that of the task's other cells."""


def estimate_differences(pairs: Sequence[ReferencePair], pseudovalues: CellPseudovalues) -> dict[CellKey, Difference]:
    """Return the difference of each cell and metric that has a common seed with the reference.

    The variance between seeds is pooled over the cells of one variant, task and metric, if their variances are equal.

    Args:
        pairs: Pairs from `pair_with_reference`.
        pseudovalues: Pseudo-values of the same runs.
    """
    tables: dict[CellKey, Array] = {}
    runs: dict[CellKey, Key] = {}
    comparable = [pair for pair in pairs if pair.has_delta and not pair.is_same_run]
    for key, cell_pairs in group_rows(comparable, lambda pair: pair.compared.key).items():
        first, reference = cell_pairs[0].compared, cell_pairs[0].reference
        assert reference is not None  # because the pair has a delta
        seeds = [pair.compared.seed for pair in cell_pairs]
        values = pseudovalues.get_table(first.cell, first.metric, seeds)
        references = pseudovalues.get_table(reference.cell, first.metric, seeds)
        sign = 1.0 if first.higher_is_better else -1.0
        tables[key] = sign * (_match_columns(values, references) - _match_columns(references, values))
        runs[key] = tuple(pair.compared.fingerprint for pair in cell_pairs)
    # Cells of one scale are compared with the same runs of the reference, which correlates their mean squares.
    return pool_by_task(tables, runs, CELL, ("scale",))


def pool_estimates(tables: dict[Key, Array], families: dict[Key, Any]) -> dict[Key, Difference]:
    """Return the estimate of each table, with the variance between seeds pooled if the tables' variances are equal.

    Args:
        tables: (K, C) tables by key.
        families: Family of each key; tables of one family share the reference's runs.
    """
    keys = list(tables)
    # Equal variance is expected of the seeds' means; a mean square also grows with the number of components.
    columns = np.array([tables[key].shape[1] for key in keys], dtype=float)
    squares = np.array([float(compute_mean_squares(tables[key]).seeds) for key in keys]) / columns
    df = np.array([tables[key].shape[0] - 1 for key in keys], dtype=float)
    numbers = {family: i for i, family in enumerate(dict.fromkeys(families[key] for key in keys))}
    pooled = pool(squares, df, [numbers[families[key]] for key in keys])
    return {
        key: Difference(
            tables[key],
            # With one seed the interval is over subjects only: no pooled variance is added.
            estimate(tables[key], (pooled.squares[i] * columns[i], pooled.df[i]) if df[i] > 0 else None),
            pooled.p,
            pooled.pooled,
        )
        for i, key in enumerate(keys)
    }


def pool_by_task(
    tables: dict[Key, Array], runs: dict[Key, Key], cell: list[str], share: tuple[str, ...]
) -> dict[Key, Difference]:
    """Return the estimate of each table, pooled within variant, task and metric.

    Args:
        tables: (K, C) tables by key.
        runs: Fingerprints of the runs of each key.
        cell: Names of the elements of a key.
        share: Names of the elements that are equal in cells whose mean squares are correlated.
    """
    groups: dict[Key, list[Key]] = defaultdict(list)
    for key in tables:
        groups[_select_cell(key, cell, ("variant", "task", "metric"))].append(key)
    differences: dict[Key, Difference] = {}
    for keys in groups.values():
        # A block that belongs to two groupings is one set of runs: it must give its degrees of freedom once.
        first = {runs[key]: key for key in reversed(keys)}
        once = {key: tables[key] for key in first.values()}
        estimates = pool_estimates(once, {key: _select_cell(key, cell, share) for key in once})
        differences |= {key: estimates[first[runs[key]]] for key in keys}
    return differences


def _select_cell(key: Key, cell: list[str], names: Iterable[str]) -> Key:
    return tuple(key[cell.index(name)] for name in names)


def _match_columns(values: Array, other: Array) -> Array:
    """Return a table that can be subtracted from the other: unchanged, or averaged over components.

    Tables without predictions have one column, and tables with missing values are compared by their means.
    """
    same = values.shape[1] == other.shape[1] and np.isfinite(values).all() and np.isfinite(other).all()
    return values if same else np.asarray(values.mean(axis=1, keepdims=True))
