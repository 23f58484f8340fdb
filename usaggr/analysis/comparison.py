"""From observations to cells (task x grouping x scale x variant) and to differences from the reference, paired by seed.

Means and intervals; what they prove is judged in verdict_table.py.
"""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pandas as pd

from usaggr.analysis.cell_rows import CELL, CellDifference, CellKey, CellScore
from usaggr.analysis.cell_scores import Cases
from usaggr.analysis.difference_intervals import Difference, pooled_by_task
from usaggr.analysis.row_tables import read_rows
from usaggr.statistics.two_way_anova import stacked

_PAIR = ["variant", "scale", "task", "metric", "seed"]
_FACTS = ("task_type", "clinical_group", "n_train", "n_test", "n_subjects", "main")


def cells_of(observations: pd.DataFrame, cases: Cases, confidence: float) -> tuple[CellScore, ...]:
    """Return each cell's mean score over seeds with its interval, for each metric; the reference's cells too.

    A task's variance between seeds is pooled over groupings and scales where it is alike.

    Args:
        observations: The long table from `observe`.
        cases: Pseudo-values of the same runs.
        confidence: Of the intervals.
    """
    table = observations.assign(
        gain=observations["sign"] * (observations["value"] - observations["trivial"]), seeds=observations["value"]
    )
    facts: dict[str, Any] = dict.fromkeys(_FACTS, "first")
    means = dict.fromkeys(("value", "trivial", "skill", "gain"), "mean")
    cells = table.groupby(CELL, sort=False).agg({**facts, "seed": "size", "seeds": "count", **means})
    cells = cells.rename(columns={"seed": "planned", "value": "mean"}).reset_index()
    tables, runs = {}, {}
    for group, rows in observations[observations["value"].notna()].groupby(CELL, sort=False):
        key: CellKey = cast(CellKey, group)
        variant, scale, grouping, task, metric = key
        values = cases.pseudovalues(task, grouping, scale, variant, metric, rows["seed"].tolist())
        whole = np.isfinite(values).all()
        tables[key] = values if whole else rows["value"].to_numpy(dtype=float)[:, None]
        runs[key] = tuple(rows["fingerprint"])
    # Runs of different groupings and scales are drawn apart: no two cells' mean squares are correlated.
    found = pooled_by_task(tables, runs, CELL, tuple(CELL))
    keys = list(cells[CELL].itertuples(index=False, name=None))
    known = [i for i, key in enumerate(keys) if key in found]
    bounds = np.full((len(cells), 2), np.nan)
    bounds[known] = np.transpose(stacked([found[keys[i]].estimate for i in known]).interval(confidence))
    cells["low"], cells["high"] = bounds[:, 0], bounds[:, 1]
    gain = cells.pop("gain")
    cells["beats_trivial"] = (gain > 0).astype("boolean").mask(gain.isna())
    return read_rows(CellScore, cells)


def pairs_of(observations: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Observations of the other groupings, each beside the reference's of the same seed.

    New columns: reference (its name); value_reference, skill_reference, trivial_reference, fingerprint_reference,
    remarks_reference; same (block and reference are one run); delta and delta_skill, positive where better, missing
    unless both are there.
    """
    own = ["value", "skill", "trivial", "fingerprint", "remarks"]
    of_reference = observations[observations["grouping"] == reference][_PAIR + own]
    others = observations[observations["grouping"] != reference]
    pairs = others.merge(of_reference, on=_PAIR, how="left", suffixes=("", "_reference"))
    pairs["reference"] = reference
    pairs["same"] = pairs["fingerprint"] == pairs["fingerprint_reference"]
    pairs["delta"] = pairs["sign"] * (pairs["value"] - pairs["value_reference"])
    pairs["delta_skill"] = pairs["skill"] - pairs["skill_reference"]
    return pairs


def compare(pairs: pd.DataFrame, found: Mapping[CellKey, Difference], confidence: float) -> tuple[CellDifference, ...]:
    """Return the difference from the reference of each cell and metric, with its interval.

    Means are over the seeds that both have, so that delta is their difference; without such a seed each mean is over
    what there is, and delta is missing. Where block and reference are the same run, delta is missing too: there is
    nothing to compare.

    Args:
        pairs: From `pairs_of`.
        found: Differences of the cells that can be compared, from `difference_intervals.differences`.
        confidence: Of the intervals.
    """
    both = pairs["delta"].notna()
    table = pairs.assign(
        paired=pairs["value"].where(both),
        paired_reference=pairs["value_reference"].where(both),
        seeds=both.astype(int),
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
    known = [i for i, key in enumerate(keys) if key in found]
    estimates = stacked([found[keys[i]].estimate for i in known])
    columns = ["delta_low", "delta_high", "df", "se"]
    bounds = np.full((len(cells), len(columns)), np.nan)
    bounds[known] = np.transpose([*estimates.interval(confidence), estimates.df(confidence), estimates.se])
    cells[columns] = bounds
    # Where no subject and no seed differs there is nothing to tell an interval from.
    cells.loc[cells["se"] <= 1e-12 * (1 + cells["mean"].abs()), columns] = np.nan
    return read_rows(CellDifference, cells)
