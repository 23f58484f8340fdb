"""Computes cells (task x grouping x scale x variant) and their differences from the reference, paired by seed.

This module computes means and intervals; verdict_table.py tests them.
"""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pandas as pd

from usaggr.analysis.cell_pseudovalues import CellPseudovalues
from usaggr.analysis.cell_rows import CELL, CellDifference, CellKey, CellScore
from usaggr.analysis.difference_intervals import Difference, pooled_by_task
from usaggr.analysis.row_tables import read_rows
from usaggr.statistics.two_way_anova import stacked

_PAIR = ["variant", "scale", "task", "metric", "seed"]
_FACTS = ("task_type", "clinical_group", "n_train", "n_test", "n_subjects", "main")


def score_cells(observations: pd.DataFrame, pseudovalues: CellPseudovalues, confidence: float) -> tuple[CellScore, ...]:
    """Return the mean score of each cell and metric with its interval, including the cells of the reference.

    The variance between seeds is pooled over a task's groupings and scales, if their variances are equal.

    Args:
        observations: The long table from `observe`.
        pseudovalues: Pseudo-values of the same runs.
        confidence: Confidence level of the intervals, in (0, 1).
    """
    table = observations.assign(
        gain=observations["sign"] * (observations["value"] - observations["trivial"]), seeds=observations["value"]
    )
    facts: dict[str, Any] = dict.fromkeys(_FACTS, "first")
    means = dict.fromkeys(("value", "trivial", "skill", "gain"), "mean")
    cells = table.groupby(CELL, sort=False).agg({**facts, "seed": "size", "seeds": "count", **means})
    cells = cells.rename(columns={"seed": "planned", "value": "mean"}).reset_index()
    tables, runs = {}, {}
    for group, scores in observations[observations["value"].notna()].groupby(CELL, sort=False):
        key: CellKey = cast(CellKey, group)
        variant, scale, grouping, task, metric = key
        values = pseudovalues.table((task, grouping, scale, variant), metric, scores["seed"].tolist())
        # A metric may lack pseudo-values although it has a score; then only the variance between seeds is available.
        tables[key] = values if np.isfinite(values).all() else scores["value"].to_numpy(dtype=float)[:, None]
        runs[key] = tuple(scores["fingerprint"])
    # Each cell has runs of its own, so that no two cells' mean squares are correlated.
    estimates = pooled_by_task(tables, runs, CELL, tuple(CELL))
    keys = list(cells[CELL].itertuples(index=False, name=None))
    indices = [i for i, key in enumerate(keys) if key in estimates]
    bounds = np.full((len(cells), 2), np.nan)
    bounds[indices] = np.transpose(stacked([estimates[keys[i]].estimate for i in indices]).interval(confidence))
    cells["low"], cells["high"] = bounds[:, 0], bounds[:, 1]
    gain = cells.pop("gain")
    cells["beats_trivial"] = (gain > 0).astype("boolean").mask(gain.isna())
    return read_rows(CellScore, cells)


def pair_with_reference(observations: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Return the observations of the other groupings, each with the reference's values of the same seed.

    New columns: `reference` (name of the grouping); `value_reference`, `skill_reference`, `trivial_reference`,
    `fingerprint_reference` and `remarks_reference`; `same` (block and reference are one run); `delta` and `delta_skill`
    (positive if better, missing unless both sides have a value).

    Args:
        observations: The long table from `observe`.
        reference: Name of the reference grouping.
    """
    paired_columns = ["value", "skill", "trivial", "fingerprint", "remarks"]
    reference_values = observations[observations["grouping"] == reference][_PAIR + paired_columns]
    compared = observations[observations["grouping"] != reference]
    pairs = compared.merge(reference_values, on=_PAIR, how="left", suffixes=("", "_reference"))
    pairs["reference"] = reference
    pairs["same"] = pairs["fingerprint"] == pairs["fingerprint_reference"]
    pairs["delta"] = pairs["sign"] * (pairs["value"] - pairs["value_reference"])
    pairs["delta_skill"] = pairs["skill"] - pairs["skill_reference"]
    return pairs


def compare_cells(
    pairs: pd.DataFrame, differences: Mapping[CellKey, Difference], confidence: float
) -> tuple[CellDifference, ...]:
    """Return the difference from the reference of each cell and metric, with its interval.

    Means are over the seeds of both sides, so that delta is the difference of the two means. Without a common seed,
    each mean is over all its seeds and delta is missing. Delta is also missing if block and reference are the same run.

    Args:
        pairs: Table from `pair_with_reference`.
        differences: Estimates from `estimate_differences`, for the cells that can be compared.
        confidence: Confidence level of the intervals, in (0, 1).
    """
    is_paired = pairs["delta"].notna()
    table = pairs.assign(
        paired=pairs["value"].where(is_paired),
        paired_reference=pairs["value_reference"].where(is_paired),
        seeds=is_paired.astype(int),
        planned=1,
    )
    facts: dict[str, Any] = dict.fromkeys(_FACTS, "first")
    means = ("value", "value_reference", "paired", "paired_reference", "delta", "delta_skill", "trivial")
    cells = table.groupby(CELL, sort=False).agg(
        {**facts, **dict.fromkeys(means, "mean"), "seeds": "sum", "planned": "sum", "same": "all"}
    )
    cells = cells.reset_index()
    cells["mean"] = cells["paired"].fillna(cells["value"])
    cells["reference_mean"] = cells["paired_reference"].fillna(cells["value_reference"])
    cells.loc[cells["same"], ["delta", "delta_skill"]] = np.nan
    size = cells["reference_mean"].abs()
    cells["relative"] = cells["delta"] / size.where(size > 0)
    keys = list(cells[CELL].itertuples(index=False, name=None))
    indices = [i for i, key in enumerate(keys) if key in differences]
    estimates = stacked([differences[keys[i]].estimate for i in indices])
    columns = ["delta_low", "delta_high", "df", "se"]
    bounds = np.full((len(cells), len(columns)), np.nan)
    bounds[indices] = np.transpose([*estimates.interval(confidence), estimates.df(confidence), estimates.se])
    cells[columns] = bounds
    # If neither subjects nor seeds differ, the standard error is rounding noise and there is no interval.
    cells.loc[cells["se"] <= 1e-12 * (1 + cells["mean"].abs()), columns] = np.nan
    return read_rows(CellDifference, cells)
