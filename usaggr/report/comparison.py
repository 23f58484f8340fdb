"""From observations to cells (task x grouping x scale x variant) and to differences from the reference, paired by seed.

All of it is groupby over the long table; only interval bounds and notes are put together here.
"""

from typing import Any

import numpy as np
import pandas as pd

from usaggr.data.manifest import MIN_TEST_SUBJECTS
from usaggr.report.sources import StudyFacts
from usaggr.report.statistics import half_width

COMPARISON_COLUMNS = (
    "task", "task_type", "clinical_group", "scale", "n_train", "grouping", "variant", "metric", "reference_mean",
    "mean", "delta", "delta_low", "delta_high", "df", "relative", "p", "p_adjusted", "p_ni", "p_ni_adjusted", "margin",
    "seeds", "n_test", "n_subjects", "seeds_needed", "verdict", "note",
)  # fmt: skip
"""Of comparison.csv."""
CELL = ["variant", "scale", "grouping", "task", "metric"]
_PAIR = ["variant", "scale", "task", "metric", "seed"]
_FACTS = ("task_type", "clinical_group", "n_train", "n_test", "n_subjects", "sign", "main")


def cells_of(observations: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Each cell's mean over seeds with its interval, beside the trivial predictor; the reference's cells too.

    Columns: CELL, task_type, clinical_group, n_train, n_test, n_subjects, sign, main, planned and seeds (how many seeds
    were asked for, and have a value), mean, low, high, trivial, skill, beats_trivial (boolean, or missing).
    """
    table = observations.assign(
        gain=observations["sign"] * (observations["value"] - observations["trivial"]),
        spread=observations["value"],
        seeds=observations["value"],
    )
    facts: dict[str, Any] = dict.fromkeys(_FACTS, "first")
    cells = table.groupby(CELL, sort=False).agg(
        {**facts, "seed": "size", "seeds": "count", "value": "mean", "spread": "std", "trivial": "mean"}
        | {"skill": "mean", "gain": "mean"}
    )
    cells = cells.rename(columns={"seed": "planned", "value": "mean"}).reset_index()
    half = half_width(cells.pop("spread"), cells["seeds"], confidence)
    cells["low"], cells["high"] = cells["mean"] - half, cells["mean"] + half
    gain = cells.pop("gain")
    cells["beats_trivial"] = (gain > 0).astype("boolean").mask(gain.isna())
    return cells


def pairs_of(observations: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Observations of the other groupings, each beside the reference's of the same seed.

    New columns: value_reference, skill_reference, fingerprint_reference, remarks_reference; same (block and reference
    are one run); delta and delta_skill, positive where better, missing unless both are there.
    """
    own = ["value", "skill", "fingerprint", "remarks"]
    of_reference = observations[observations["grouping"] == reference][_PAIR + own]
    others = observations[observations["grouping"] != reference]
    pairs = others.merge(of_reference, on=_PAIR, how="left", suffixes=("", "_reference"))
    pairs["same"] = pairs["fingerprint"] == pairs["fingerprint_reference"]
    pairs["delta"] = pairs["sign"] * (pairs["value"] - pairs["value_reference"])
    pairs["delta_skill"] = pairs["skill"] - pairs["skill_reference"]
    return pairs


def compare(pairs: pd.DataFrame, study: StudyFacts) -> pd.DataFrame:
    """Differences from the reference, cell by cell: COMPARISON_COLUMNS and main, same, planned, delta_skill.

    Means are over the seeds that both have, so that delta is their difference; without such a seed each mean is over
    what there is, and delta is missing. Where block and reference are the same run, delta is missing too: there is
    nothing to compare.
    """
    both = pairs["delta"].notna()
    table = pairs.assign(
        paired=pairs["value"].where(both),
        paired_reference=pairs["value_reference"].where(both),
        seeds=both.astype(int),
        spread=pairs["delta"],
        planned=1,
    )
    facts: dict[str, Any] = dict.fromkeys(_FACTS, "first")
    means = dict.fromkeys(("value", "value_reference", "paired", "paired_reference", "delta", "delta_skill"), "mean")
    cells = table.groupby(CELL, sort=False).agg(
        {**facts, **means, "spread": "std", "seeds": "sum", "planned": "sum", "same": "all"}
    )
    cells = cells.reset_index()
    cells["mean"] = cells["paired"].fillna(cells["value"])
    cells["reference_mean"] = cells["paired_reference"].fillna(cells["value_reference"])
    cells.loc[cells["same"], ["delta", "delta_skill", "spread"]] = np.nan
    half = half_width(cells["spread"], cells["seeds"], study.confidence)
    cells["delta_low"], cells["delta_high"] = cells["delta"] - half, cells["delta"] + half
    cells["df"] = (cells["seeds"] - 1).where(cells["delta_low"].notna()).astype("Int64")
    size = cells["reference_mean"].abs()
    cells["relative"] = cells["delta"] / size.where(size > 0)
    for name in ("p", "p_adjusted", "p_ni", "p_ni_adjusted", "margin", "seeds_needed"):
        cells[name] = np.nan
    cells["verdict"] = ""
    cells["note"] = _notes(cells, pairs)
    return cells[[*COMPARISON_COLUMNS, "main", "same", "planned", "delta_skill"]]


def _notes(cells: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    remarks = _remarks(pairs)
    columns = [*CELL, "same", "n_subjects", "seeds", "planned", "reference_mean"]
    notes = []
    for values in cells[columns].itertuples(index=False, name=None):
        cell, (same, subjects, seeds, planned, reference_mean) = values[:5], values[5:]
        said = ["same run"] if same else []
        if subjects < MIN_TEST_SUBJECTS:
            said.append("few subjects")
        if seeds < planned:
            said.append(f"{seeds} of {planned} seeds")
        if reference_mean == 0 and not same:
            said.append("relative change is not defined: the reference's mean is 0")
        notes.append("; ".join([*said, *sorted(remarks.get(cell, ()))]))
    return notes


def _remarks(pairs: pd.DataFrame) -> dict[tuple[Any, ...], set[str]]:
    """Remarks of the runs of each cell and of the reference's."""
    remarks: dict[tuple[Any, ...], set[str]] = {}
    columns = [*CELL, "remarks", "remarks_reference"]
    for values in pairs[columns].itertuples(index=False, name=None):
        for said in values[5:]:
            if isinstance(said, tuple) and said:
                remarks.setdefault(values[:5], set()).update(said)
    return remarks
