"""From observations to cells (task x grouping x scale x variant) and to differences from the reference, paired by seed.

Means and intervals; what they prove is judged in judgement.py.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from usaggr.analysis.cell_scores import Cases
from usaggr.analysis.difference_intervals import Difference, Key, pooled_by_task
from usaggr.statistics.two_way_anova import stacked

COMPARISON_COLUMNS = (
    "task", "task_type", "clinical_group", "scale", "n_train", "grouping", "variant", "metric", "reference_mean",
    "mean", "delta", "delta_low", "delta_high", "df", "relative", "p", "p_adjusted", "p_ni", "p_ni_adjusted", "margin",
    "seeds", "n_test", "n_subjects", "seeds_needed", "verdict", "note",
)  # fmt: skip
"""Of comparison.csv."""
CELL = ["variant", "scale", "grouping", "task", "metric"]
_PAIR = ["variant", "scale", "task", "metric", "seed"]
_FACTS = ("task_type", "clinical_group", "n_train", "n_test", "n_subjects", "sign", "main")


def cells_of(observations: pd.DataFrame, cases: Cases, confidence: float) -> pd.DataFrame:
    """Each cell's mean over seeds with its interval, beside the trivial predictor; the reference's cells too.

    The interval covers seeds and test subjects (subjects alone, with one seed); a task's variance between seeds is
    pooled over groupings and scales where it is alike. Columns: CELL, task_type,
    clinical_group, n_train, n_test, n_subjects, sign, main, planned and seeds (how many seeds were asked for, and have
    a value), mean, low, high, trivial, skill, beats_trivial (boolean, or missing).
    """
    table = observations.assign(
        gain=observations["sign"] * (observations["value"] - observations["trivial"]), seeds=observations["value"]
    )
    facts: dict[str, Any] = dict.fromkeys(_FACTS, "first")
    means = dict.fromkeys(("value", "trivial", "skill", "gain"), "mean")
    cells = table.groupby(CELL, sort=False).agg({**facts, "seed": "size", "seeds": "count", **means})
    cells = cells.rename(columns={"seed": "planned", "value": "mean"}).reset_index()
    tables, runs = {}, {}
    for key, rows in observations[observations["value"].notna()].groupby(CELL, sort=False):
        variant, scale, grouping, task, metric = _names(key)
        values = cases.pseudovalues(task, grouping, scale, variant, metric, rows["seed"].tolist())
        whole = np.isfinite(values).all()
        tables[_names(key)] = values if whole else rows["value"].to_numpy(dtype=float)[:, None]
        runs[_names(key)] = tuple(rows["fingerprint"])
    # Runs of different groupings and scales are drawn apart: no two cells' mean squares are correlated.
    found = pooled_by_task(tables, runs, CELL, tuple(CELL))
    keys = list(cells[CELL].itertuples(index=False, name=None))
    known = [i for i, key in enumerate(keys) if key in found]
    bounds = np.full((len(cells), 2), np.nan)
    bounds[known] = np.transpose(stacked([found[keys[i]].estimate for i in known]).interval(confidence))
    cells["low"], cells["high"] = bounds[:, 0], bounds[:, 1]
    gain = cells.pop("gain")
    cells["beats_trivial"] = (gain > 0).astype("boolean").mask(gain.isna())
    return cells


def _names(key: Any) -> tuple[str, float | int, str, str, str]:
    """Of a cell: CELL."""
    variant, scale, grouping, task, metric = key
    return variant, scale, grouping, task, metric


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


def compare(pairs: pd.DataFrame, found: Mapping[Key, Difference], confidence: float) -> pd.DataFrame:
    """Differences from the reference, cell by cell, with their intervals, from `intervals.differences`.

    Means are over the seeds that both have, so that delta is their difference; without such a seed each mean is over
    what there is, and delta is missing. Where block and reference are the same run, delta is missing too: there is
    nothing to compare.

    Columns: CELL; task_type, clinical_group, n_train, n_test, n_subjects, sign, main; same; planned and seeds; mean,
    reference_mean, trivial, delta, delta_low, delta_high, df, relative, delta_skill; se.
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
    return cells
