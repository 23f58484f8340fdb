"""Computes cells (task x grouping x scale x variant) and their differences from the reference, paired by seed.

This module computes means and intervals; verdict_table.py tests them.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from usaggr.analysis.cell_pseudovalues import CellPseudovalues
from usaggr.analysis.cell_rows import CellDifference, CellKey, CellMetric, CellScore
from usaggr.analysis.difference_intervals import Array, Difference, moderate_by_metric
from usaggr.analysis.observations import Observation
from usaggr.analysis.reference_pairs import ReferencePair
from usaggr.analysis.row_tables import group_rows
from usaggr.statistics.two_way_anova import ROUNDING, stack_estimates

_NO_BOUNDS = (math.nan, math.nan)
"""Bounds of the interval of a cell without a score."""


class _Interval(NamedTuple):
    """Interval of a difference; NaN if it has none."""

    low: float = math.nan
    high: float = math.nan
    df: float = math.nan
    se: float = math.nan


def score_cells(
    observations: Iterable[Observation], pseudovalues: CellPseudovalues, confidence: float
) -> tuple[CellScore, ...]:
    """Return the mean score of each cell and metric with its interval, including the cells of the reference.

    The variance between seeds is moderated over the tasks of a variant, metric, grouping and scale.

    Args:
        observations: The long table from `observe`.
        pseudovalues: Pseudo-values of the same runs.
        confidence: Confidence level of the intervals, in (0, 1).
    """
    observations_by_cell = group_rows(observations, lambda row: row.key)
    tables: dict[CellKey, Array] = {}
    for key, cell_observations in observations_by_cell.items():
        scored = [row for row in cell_observations if row.has_value]
        if scored:
            values = pseudovalues.get_table(
                cell_observations[0].cell, cell_observations[0].metric, [row.seed for row in scored]
            )
            # A metric may lack pseudo-values although it has a score; then only the variance between seeds is known.
            tables[key] = values if np.isfinite(values).all() else np.array([[row.value] for row in scored])
    estimates = moderate_by_metric(tables)
    bounds = np.transpose(
        stack_estimates([cell.estimate for cell in estimates.values()]).compute_interval(confidence)
    ).tolist()
    low_and_high = dict(zip(estimates, bounds, strict=True))
    return tuple(
        _score_cell(cell_observations, *low_and_high.get(key, _NO_BOUNDS))
        for key, cell_observations in observations_by_cell.items()
    )


def _score_cell(cell_observations: Sequence[Observation], low: float, high: float) -> CellScore:
    gain = _average_finite(row.compute_improvement_on(row.trivial) for row in cell_observations)
    return CellScore(
        **vars(_describe_cell(cell_observations, seeds=sum(row.has_value for row in cell_observations))),
        mean=_average_finite(row.value for row in cell_observations),
        low=low,
        high=high,
        trivial=_average_finite(row.trivial for row in cell_observations),
        skill=_average_finite(row.skill for row in cell_observations),
        beats_trivial=None if math.isnan(gain) else gain > 0,
    )


def compare_cells(
    pairs: Iterable[ReferencePair], differences: Mapping[CellKey, Difference], confidence: float
) -> tuple[CellDifference, ...]:
    """Return the difference from the reference of each cell and metric, with its interval.

    Means are over the seeds of both sides, so that delta is the difference of the two means. Without a common seed,
    each mean is over all its seeds and delta is missing. Delta is also missing if block and reference are the same run.

    Args:
        pairs: Pairs from `pair_with_reference`.
        differences: Estimates from `estimate_differences`, for the cells that can be compared.
        confidence: Confidence level of the intervals, in (0, 1).
    """
    intervals = _compute_intervals(differences, confidence)
    pairs_by_cell = group_rows(pairs, lambda pair: pair.compared.key)
    return tuple(
        _compare_cell(cell_pairs, intervals.get(key, _Interval())) for key, cell_pairs in pairs_by_cell.items()
    )


def _compare_cell(pairs: Sequence[ReferencePair], interval: _Interval) -> CellDifference:
    paired = [pair for pair in pairs if pair.has_delta]
    # Without a common seed, each side's mean is over its own seeds, and there is no delta.
    averaged = paired or pairs
    mean = _average_finite(pair.compared.value for pair in averaged)
    reference_mean = _average_finite(pair.reference_value for pair in averaged)
    # A run minus itself is 0, which would count as no loss although nothing is compared.
    is_same_run = all(pair.is_same_run for pair in pairs)
    delta = math.nan if is_same_run else _average_finite(pair.delta for pair in paired)
    if interval.se <= ROUNDING * (1 + abs(mean)):
        interval = _Interval()
    return CellDifference(
        **vars(_describe_cell([pair.compared for pair in pairs], seeds=len(paired))),
        same=is_same_run,
        mean=mean,
        reference_mean=reference_mean,
        trivial=_average_finite(pair.compared.trivial for pair in pairs),
        delta=delta,
        delta_low=interval.low,
        delta_high=interval.high,
        df=interval.df,
        se=interval.se,
        relative=delta / abs(reference_mean) if reference_mean != 0 else math.nan,
        delta_skill=math.nan if is_same_run else _average_finite(pair.delta_skill for pair in paired),
    )


def _describe_cell(cell_observations: Sequence[Observation], seeds: int) -> CellMetric:
    """Return the facts of a cell that do not depend on scores, from its observations, one per planned seed."""
    first = cell_observations[0]
    return CellMetric(
        variant=first.variant,
        scale=first.scale,
        grouping=first.grouping,
        task=first.task,
        metric=first.metric,
        task_type=first.task_type,
        clinical_group=first.clinical_group,
        n_train=first.n_train,
        n_test=first.n_test,
        n_subjects=first.n_subjects,
        main=first.main,
        planned=len(cell_observations),
        seeds=seeds,
    )


def _compute_intervals(differences: Mapping[CellKey, Difference], confidence: float) -> dict[CellKey, _Interval]:
    # All cells at once: quantiles of single cells would take far longer.
    estimates = stack_estimates([difference.estimate for difference in differences.values()])
    columns = (*estimates.compute_interval(confidence), estimates.compute_df(confidence), estimates.se)
    numbers = np.transpose(columns).tolist()
    return {key: _Interval(*values) for key, values in zip(differences, numbers, strict=True)}


def _average_finite(values: Iterable[float]) -> float:
    """Return the mean of the values that are not NaN; NaN without one."""
    defined = [value for value in values if not math.isnan(value)]
    return math.fsum(defined) / len(defined) if defined else math.nan
