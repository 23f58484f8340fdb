"""What the differences prove: p values, margins, verdicts and notes of each cell, for its main metric."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from usaggr.analysis.cell_scores import Cases
from usaggr.analysis.comparison import CELL, COMPARISON_COLUMNS
from usaggr.analysis.difference_intervals import Difference, Key
from usaggr.data.split.manifest import MIN_TEST_SUBJECTS
from usaggr.metrics.names import metric as metric_of
from usaggr.results.stored_study import StudyFacts
from usaggr.statistics.minimum_evidence import FEWEST, differs_in_few, hangs_on_few
from usaggr.statistics.power import seeds_needed
from usaggr.statistics.two_way_anova import stacked
from usaggr.statistics.verdicts import ALPHA, judge
from usaggr.tasks import has_class_label

OWN_COLUMNS = (
    "main", "same", "planned", "delta_skill", "se", "trivial", "collapsed", "collapsed_reference", "unconverged",
    "unconverged_reference", "diverged", "valid",
)  # fmt: skip
"""Beside COMPARISON_COLUMNS; see `judge_cells`."""
_FAMILY = ["variant", "scale", "grouping"]


def judge_cells(
    compared: pd.DataFrame,
    differences: Mapping[Key, Difference],
    cells: pd.DataFrame,
    pairs: pd.DataFrame,
    validity: pd.DataFrame,
    cases: Cases,
    study: StudyFacts,
) -> pd.DataFrame:
    """The comparison: COMPARISON_COLUMNS and OWN_COLUMNS, a row a cell and metric.

    p values, margin, seeds_needed and verdict are those of the main metric; of others there is the interval alone. A
    verdict is empty where block and reference are one run, where test data are too few, and where nothing is compared.
    collapsed, unconverged and diverged are of the cell (most of its seeds), valid says that neither the cell nor the
    reference's is collapsed or unconverged.

    Args:
        compared: from `compare`.
        differences: from `intervals.differences`.
        cells: from `cells_of`.
        pairs: from `pairs_of`.
        validity: from `read_validity`.
        cases: pseudo-values, for the rarer class of each task.
        study: margins.
    """
    table = compared.copy()
    table["margin"] = np.where(table["main"], _margins(table, study), np.nan)
    table = table.merge(_validity_of(pairs, validity), on=CELL, how="left")
    weak = _weak(cells)
    found = [differences.get(_key(row)) for row in table.to_dict("records")]
    scarce = [scarcity(row, found[i], cases) for i, row in enumerate(table.to_dict("records"))]
    table[["p", "p_ni"]] = np.nan
    tested = {i: known for i, known in enumerate(found) if known is not None and table["main"][i] and not scarce[i]}
    if tested:
        estimates = stacked([difference.estimate for difference in tested.values()])
        table.loc[list(tested), "p"] = estimates.p_two_sided()
        table.loc[list(tested), "p_ni"] = estimates.p_greater(-table.loc[list(tested), "margin"].to_numpy(dtype=float))
    table[["p_adjusted", "p_ni_adjusted"]] = np.nan
    table["verdict"], small = "", np.zeros(len(table), dtype=bool)
    for _, family in table[table["main"]].groupby(_FAMILY, sort=False):
        judged = judge(family["delta"], family["p"], family["p_ni"])
        table.loc[family.index, "p_adjusted"] = judged.p_adjusted
        table.loc[family.index, "p_ni_adjusted"] = judged.p_ni_adjusted
        table.loc[family.index, "verdict"] = [verdict or "" for verdict in judged.verdicts]
        small[family.index] = judged.small_loss
    table["seeds_needed"] = _seeds_needed(table, found)
    said = _remarks(pairs)
    table["note"] = [
        "; ".join([*_notes(row, scarce[i], bool(small[i]), weak), *sorted(said.get(_key(row), ()))])
        for i, row in enumerate(table.to_dict("records"))
    ]
    return table[[*COMPARISON_COLUMNS, *OWN_COLUMNS]]


def _margins(table: pd.DataFrame, study: StudyFacts) -> "pd.Series[float]":
    """Of non-inferiority: a number for metrics whose best is 1, a part of the reference's mean for the others."""
    bounded = table["metric"].map(lambda name: metric_of(name).best == 1.0)
    return (study.relative_margin * table["reference_mean"].abs()).mask(bounded, study.margin)


def _validity_of(pairs: pd.DataFrame, validity: pd.DataFrame) -> pd.DataFrame:
    """Of each cell and of the reference's: whether most of the seeds are collapsed, unconverged, diverged."""
    names = ["collapsed", "unconverged", "diverged"]
    own = validity.set_index(["fingerprint", "task"])[names].astype("boolean").astype("Float64")
    table = pairs[[*CELL, "fingerprint", "fingerprint_reference"]]
    for side in ("", "_reference"):
        keys = pd.MultiIndex.from_frame(table[[f"fingerprint{side}", "task"]], names=["fingerprint", "task"])
        found = own.reindex(keys)
        table = table.assign(**{f"{name}{side}": found[name].array for name in names})
    shares = table.groupby(CELL, sort=False)[[f"{name}{side}" for name in names for side in ("", "_reference")]].mean()
    most = (shares > 0.5).astype("boolean").fillna(False).astype(bool)
    most["valid"] = ~most[["collapsed", "collapsed_reference", "unconverged", "unconverged_reference"]].any(axis=1)
    return most.drop(columns="diverged_reference").reset_index()


def _weak(cells: pd.DataFrame) -> set[tuple[Any, ...]]:
    """Cells whose interval of the mean score includes the trivial predictor's."""
    inside = (cells["low"] <= cells["trivial"]) & (cells["trivial"] <= cells["high"])
    return set(cells.loc[inside, CELL].itertuples(index=False, name=None))


def scarcity(row: dict[Any, Any], difference: Difference | None, cases: Cases) -> str:
    """Why a cell with a difference is not judged; empty: it is. `row` has its facts, by the names of the comparison."""
    if difference is None:
        return ""
    if row["n_subjects"] < MIN_TEST_SUBJECTS:
        return "few subjects"
    if difference.table.shape[1] == 1:
        return "no predictions"
    if not row["main"]:
        return ""
    if has_class_label(row["task_type"]):
        rarer = cases.rarer(row["task"], row["grouping"], row["scale"], row["variant"])
        if rarer is not None and rarer < FEWEST:
            return f"too few: {rarer} subject{'s' if rarer != 1 else ''} in the rarer class"
    if bool(differs_in_few(difference.table)):
        return f"too few: under {FEWEST} subjects differ"
    if metric_of(row["metric"]).of_samples and bool(hangs_on_few(difference.table)):
        return f"too few: the difference hangs on under {FEWEST} subjects"
    return ""


def _seeds_needed(table: pd.DataFrame, found: Sequence[Difference | None]) -> "pd.Series[Any]":
    """For undecided cells: how many seeds would decide, if the difference stays what it is."""
    needed = pd.Series(pd.NA, index=table.index, dtype="Int64")
    sizes = table[table["p"].notna()].groupby(_FAMILY).size()
    for i, row in enumerate(table.to_dict("records")):
        difference = found[i]
        if row["verdict"] == "undecided" and difference is not None:
            level = ALPHA / int(sizes[tuple(row[name] for name in _FAMILY)])
            number = seeds_needed(difference.estimate, int(row["seeds"]), float(row["margin"]), level)
            needed.iloc[i] = pd.NA if number is None else number
    return needed


def _notes(row: dict[Any, Any], scarce: str, small: bool, weak: set[tuple[Any, ...]]) -> list[str]:
    said = ["same run"] if row["same"] else []
    if row["n_subjects"] < MIN_TEST_SUBJECTS:
        said.append("few subjects")
    elif scarce:
        said.append(scarce)
    if row["verdict"] and row["seeds"] == 1:
        said.append("provisional")
    if small:
        said.append("small loss")
    if row["verdict"] == "undecided" and pd.isna(row["seeds_needed"]):
        said.append("more subjects needed" if row["seeds"] > 1 else "a second seed needed")
    if row["main"]:
        for name in ("collapsed", "unconverged", "diverged"):
            said += [name] if row[name] else []
            said += [f"reference {name}"] if row.get(f"{name}_reference") else []
        if _key(row) in weak:
            said.append("weak")
    if row["seeds"] < row["planned"]:
        said.append(f"{row['seeds']} of {row['planned']} seeds")
    if row["reference_mean"] == 0 and not row["same"]:
        said.append("relative change is not defined: the reference's mean is 0")
    return said


def _key(row: dict[Any, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in CELL)


def _remarks(pairs: pd.DataFrame) -> dict[tuple[Any, ...], set[str]]:
    """Remarks of the runs of each cell and of the reference's."""
    remarks: dict[tuple[Any, ...], set[str]] = {}
    columns = [*CELL, "remarks", "remarks_reference"]
    for values in pairs[columns].itertuples(index=False, name=None):
        for said in values[5:]:
            if isinstance(said, tuple) and said:
                remarks.setdefault(values[:5], set()).update(said)
    return remarks
