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
    """Degrees of freedom that other tasks add to the variance between seeds; 0 if the cell keeps its own variance."""
    above_margin: Estimate | None = None
    """Estimate of difference + margin, for a margin that is a fraction of the reference's mean; None if absolute."""


def estimate_differences(
    pairs: Sequence[ReferencePair],
    pseudovalues: CellPseudovalues,
    relative_margin: float,
    not_moderated: Container[CellKey] = frozenset(),
) -> dict[CellKey, Difference]:
    """Return the difference of each cell and metric that has a common seed with the reference.

    The variance between seeds is moderated over the tasks of one variant, metric, grouping and scale.

    Args:
        pairs: Pairs from `pair_with_reference`.
        pseudovalues: Pseudo-values of the same runs.
        relative_margin: Margin of metrics whose best value is not 1, as a fraction of the reference's mean.
        not_moderated: Cells that keep their own variance, as in `moderate_by_metric`.
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
        if not get_metric(first.metric).is_score:
            # The reference's mean is estimated too, so its sampling error belongs in the interval.
            above_margin[key] = tables[key] + relative_margin * references
    differences = moderate_by_metric(tables, not_moderated)
    shifted = moderate_by_metric(above_margin, not_moderated)
    return {
        key: replace(difference, above_margin=shifted[key].estimate) if key in shifted else difference
        for key, difference in differences.items()
    }


def moderate_by_metric(
    tables: Mapping[Key, Array], not_moderated: Container[Key] = frozenset()
) -> dict[Key, Difference]:  # fmt: skip
    """Return the estimate of each table, with variances between seeds moderated over the tasks of a column.

    A column is a variant, metric, grouping and scale. The other columns say how much tasks differ.

    Args:
        tables: (K, C) tables by the key of their cell, as in `CELL`.
        not_moderated: Cells with a collapsed seed. They keep their own variance and are not used for the prior of
            others.
    """
    differences = {
        key: Difference(table, estimate(table), 0.0) for key, table in tables.items() if key in not_moderated
    }
    informing = [key for key in tables if key not in not_moderated]
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
    """Return the estimate of each table, with the variance between seeds moderated over the tables of its column.

    Args:
        tables: (K, C) tables by key.
        runs: What identifies the runs of each key. A block that belongs to two groupings is one set of runs. It informs
            both columns, and has one estimate: with the prior of the first one.
        columns: Column of each key, as in `moderate_variances`.
    """
    first: dict[Key, Key] = {}
    cells: dict[tuple[Key, Key], Key] = {}
    for key in tables:
        first.setdefault(runs[key], key)
        cells.setdefault((runs[key], columns[key]), key)
    keys = list(cells.values())
    # Cells are comparable in the variance of seed means. The mean square is this variance times the number of
    # components, so divide by it.
    sizes = np.array([tables[key].shape[1] for key in keys], dtype=float)
    variances = np.array([float(compute_mean_squares(tables[key]).seeds) for key in keys]) / sizes
    df = np.array([tables[key].shape[0] - 1 for key in keys], dtype=float)
    labels = (_encode_labels([names[key] for key in keys]) for names in (columns, runs))
    moderated = moderate_variances(variances, df, *labels)
    differences = {
        key: Difference(
            tables[key],
            # With one seed the interval is over subjects only: no other cell's variance is added.
            estimate(tables[key], (moderated.values[i] * sizes[i], moderated.df[i]) if df[i] > 0 else None),
            float(moderated.prior_df[i]),
        )
        for i, key in enumerate(keys)
        if first[runs[key]] == key
    }
    return {key: differences[first[runs[key]]] for key in tables}


def _identify(table: Array) -> Key:
    """Return an identifier that is equal for tables with the same values."""
    return table.shape, table.tobytes()


def _encode_labels(labels: Sequence[Any]) -> NDArray[np.int64]:
    """Return each label as an integer, in the order in which labels first occur."""
    numbers = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    return np.array([numbers[label] for label in labels], dtype=np.int64)


def _select_cell(key: Key, names: Iterable[str]) -> Key:
    return tuple(key[CELL.index(name)] for name in names)


def _match_columns(values: Array, other: Array) -> Array:
    """Return the table, or its mean over components if the other table has only the scores.

    Tables have one column if a run has no predictions.
    """
    return values if values.shape[1] == other.shape[1] else np.asarray(values.mean(axis=1, keepdims=True))
