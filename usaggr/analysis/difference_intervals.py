"""Estimates of differences from the reference: one table (seeds x components) per cell, with moderated variances."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usaggr.analysis.cell_pseudovalues import CellPseudovalues
from usaggr.analysis.cell_rows import CELL, CellKey
from usaggr.analysis.reference_pairs import ReferencePair
from usaggr.analysis.row_tables import group_rows
from usaggr.metrics.names import get_metric
from usaggr.statistics.moderated_variances import moderate_variances
from usaggr.statistics.two_way_anova import Estimate, compute_mean_squares, estimate

Array = NDArray[np.float64]
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Difference:
    """Difference of a cell from the reference, positive if the cell is better."""

    table: Array
    """(K, C) pseudo-values of the difference, by seed and component."""
    estimate: Estimate
    """Mean with its standard error and degrees of freedom."""
    prior_df: float
    """Degrees of freedom that other cells add to the variance between seeds; 0 if the cell keeps its own variance."""
    above_margin: Estimate | None = None
    """Estimate of the difference plus a margin relative to the reference's mean; None if the margin is absolute."""


def estimate_differences(
    pairs: Sequence[ReferencePair],
    pseudovalues: CellPseudovalues,
    relative_margin: float,
    unlike: Container[CellKey] = frozenset(),
) -> dict[CellKey, Difference]:
    """Return the difference of each cell and metric that has a common seed with the reference.

    The variance between seeds is moderated over the cells of one variant and metric.

    Args:
        pairs: Pairs from `pair_with_reference`.
        pseudovalues: Pseudo-values of the same runs.
        relative_margin: Margin of metrics whose best value is not 1, as a fraction of the reference's mean.
        unlike: Cells whose seeds vary unlike all others, as in `moderate_by_metric`.
    """
    above_margin: dict[CellKey, Array] = {}
    tables: dict[CellKey, Array] = {}
    comparable = [pair for pair in pairs if pair.has_delta and not pair.is_same_run]
    for key, cell_pairs in group_rows(comparable, lambda pair: pair.compared.key).items():
        first, reference = cell_pairs[0].compared, cell_pairs[0].reference
        assert reference is not None  # because the pair has a delta
        seeds = [pair.compared.seed for pair in cell_pairs]
        values = pseudovalues.get_table(first.cell, first.metric, seeds)
        references = pseudovalues.get_table(reference.cell, first.metric, seeds)
        sign = 1.0 if first.higher_is_better else -1.0
        values, references = _match_columns(values, references), _match_columns(references, values)
        tables[key] = sign * (values - references)
        if get_metric(first.metric).best != 1.0:
            # The reference's mean is estimated too, so that the margin varies with seeds and subjects.
            above_margin[key] = tables[key] + relative_margin * references
    differences, shifted = moderate_by_metric(tables, unlike), moderate_by_metric(above_margin, unlike)
    return {
        key: replace(difference, above_margin=shifted[key].estimate) if key in shifted else difference
        for key, difference in differences.items()
    }


def moderate_by_metric(tables: Mapping[Key, Array], unlike: Container[Key] = frozenset()) -> dict[Key, Difference]:
    """Return the estimate of each table, with variances between seeds moderated within a variant and metric.

    Args:
        tables: (K, C) tables by the key of their cell, as in `CELL`.
        unlike: Cells that keep their own variance and inform no other, because a seed collapsed.
    """
    differences = {key: Difference(table, estimate(table), 0.0) for key, table in tables.items() if key in unlike}
    informing = [key for key in tables if key not in unlike]
    for keys in group_rows(informing, lambda key: _select_cell(key, ("variant", "metric"))).values():
        differences |= _moderate(
            {key: tables[key] for key in keys},
            {key: (_select_cell(key, ("task",)), _identify(tables[key])) for key in keys},
            {key: _select_cell(key, ("grouping", "scale")) for key in keys},
        )
    return {key: differences[key] for key in tables}


def moderate_sums(tables: Mapping[Key, Array]) -> dict[Key, Difference]:
    """Return the estimate of each sum over tasks, with the variance between seeds moderated over all sums.

    Args:
        tables: (K, C) tables by key; sums of one kind under several groupings and scales.
    """
    # There is one sum per grouping and scale, so that all sums are one column.
    return _moderate(tables, {key: _identify(table) for key, table in tables.items()}, dict.fromkeys(tables, ()))


def _moderate(
    tables: Mapping[Key, Array], runs: Mapping[Key, Key], columns: Mapping[Key, Key]
) -> dict[Key, Difference]:
    """Return the estimate of each table, with the variance between seeds moderated over all tables.

    Args:
        tables: (K, C) tables by key.
        runs: What identifies the runs of each key. A block that belongs to two groupings is one set of runs, and must
            give its degrees of freedom once.
        columns: Column of each key, as in `moderate_variances`.
    """
    first = {runs[key]: key for key in reversed(list(tables))}
    keys = [key for key in tables if first[runs[key]] == key]
    # Similar variance is expected of the seeds' means; a mean square also grows with the number of components.
    sizes = np.array([tables[key].shape[1] for key in keys], dtype=float)
    variances = np.array([float(compute_mean_squares(tables[key]).seeds) for key in keys]) / sizes
    df = np.array([tables[key].shape[0] - 1 for key in keys], dtype=float)
    moderated = moderate_variances(variances, df, _number([columns[key] for key in keys]))
    differences = {
        key: Difference(
            tables[key],
            # With one seed the interval is over subjects only: no other cell's variance is added.
            estimate(tables[key], (moderated.values[i] * sizes[i], moderated.df[i]) if df[i] > 0 else None),
            float(moderated.prior_df[i]),
        )
        for i, key in enumerate(keys)
    }
    return {key: differences[first[runs[key]]] for key in tables}


def _identify(table: Array) -> Key:
    """Return what two tables have in common only if they are of the same runs."""
    return table.shape, table.tobytes()


def _number(labels: Sequence[Any]) -> NDArray[np.int64]:
    numbers = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    return np.array([numbers[label] for label in labels], dtype=np.int64)


def _select_cell(key: Key, names: Iterable[str]) -> Key:
    return tuple(key[CELL.index(name)] for name in names)


def _match_columns(values: Array, other: Array) -> Array:
    """Return a table that can be subtracted from the other: unchanged, or averaged over components.

    Tables without predictions have one column, and tables with missing values are compared by their means.
    """
    same = values.shape[1] == other.shape[1] and np.isfinite(values).all() and np.isfinite(other).all()
    return values if same else np.asarray(values.mean(axis=1, keepdims=True))
