"""What each grouping did over all tasks at a scale: delta_m, difference of skill, verdicts, what is missing, cost."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.analysis.difference_intervals import pooled_estimates
from usaggr.analysis.exposure import is_unequal
from usaggr.analysis.weighted_sums import Unit, WeightedSums, cells_in, mean_of
from usaggr.statistics.verdicts import VERDICTS

SUMMARY_COLUMNS = (
    "grouping", "scale", "variant", "tasks", "delta_m", "low", "high", "delta_skill", "gain", "no_loss", "loss",
    "undecided", "same", "collapsed", "unconverged", "missing", "parameters", "train_seconds",
    "skill_low", "skill_high", "no_verdict", "negative_transfer",
    "tasks_valid", "delta_m_valid", "low_valid", "high_valid", "gain_valid", "no_loss_valid", "loss_valid",
    "undecided_valid", "unequal",
)  # fmt: skip
"""Of summary.csv: those of the contract, then what goes past it."""

Array = NDArray[np.float64]
Setting = tuple[str, float | int, str]
"""variant, scale, grouping"""


def summarise(comparison: pd.DataFrame, sums: WeightedSums, collection: Collection) -> pd.DataFrame:
    """One row a variant, scale and grouping, the reference's own (with its cost, and nothing to compare) too.

    delta_m is the mean of `relative` of the main metric over the tasks counted (Maninis et al., CVPR 2019): those with
    a relative change, which leaves out tasks whose block is the reference's run. Its interval keeps these tasks fixed,
    and takes seeds and test components jointly over all of them (joint.py); it rests on the seeds that they all have.
    delta_skill likewise. Columns that end in _valid are over cells where neither the grouping nor the reference is
    collapsed or unconverged. `collapsed` counts cells that are collapsed where the reference's is not; `unconverged`
    those of which either side is. `unequal` counts tasks that are not equally exposed, as the grouping's runs say.
    """
    study, rows = collection.study, []
    counted: dict[tuple[Setting, bool], pd.DataFrame] = {}
    for variant in study.variants:
        for scale in study.scales:
            for grouping in study.groupings:
                runs = [r for r in collection.runs if _belongs(r, variant, scale, grouping)]
                if not runs:
                    continue
                where = (comparison["variant"] == variant) & (comparison["scale"] == scale)
                cells = comparison[where & (comparison["grouping"] == grouping) & comparison["main"]]
                same = int(cells["same"].sum())
                if grouping == study.reference:
                    same = len({task for run in runs for task in run.row.tasks})
                row = {"grouping": grouping, "scale": scale, "variant": variant, "same": same}
                rows.append(row | _cost(runs, collection) | _counts(cells) | _means(cells))
                known = cells[cells["relative"].notna()]
                counted[(variant, scale, grouping), False] = known
                counted[(variant, scale, grouping), True] = known[known["valid"]]
    table = pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))
    _add_intervals(table, counted, sums, study.confidence)
    integers = [name for name in SUMMARY_COLUMNS if name.removesuffix("_valid") in _INTEGERS]
    floats = [name for name in SUMMARY_COLUMNS[3:] if name not in integers]
    return table.astype(dict.fromkeys(integers, "Int64") | dict.fromkeys(floats, "float64"))


_INTEGERS = {"tasks", *VERDICTS, "same", "collapsed", "unconverged", "missing", "parameters", "no_verdict", "unequal"}


def _belongs(run: CollectedRun, variant: str, scale: float | int, grouping: str) -> bool:
    return (run.row.variant, run.row.scale) == (variant, scale) and grouping in run.row.groupings


def _counts(cells: pd.DataFrame) -> dict[str, Any]:
    if cells.empty:
        return {}
    counts: dict[str, Any] = {}
    for suffix, chosen in (("", cells), ("_valid", cells[cells["valid"]])):
        counts |= {f"{name}{suffix}": int((chosen["verdict"] == name).sum()) for name in VERDICTS}
    judged = sum(counts[name] for name in VERDICTS)
    return counts | {
        "no_verdict": int(((cells["verdict"] == "") & ~cells["same"]).sum()),
        "negative_transfer": counts["loss"] / judged if judged else None,
        "collapsed": int((cells["collapsed"] & ~cells["collapsed_reference"] & ~cells["same"]).sum()),
        "unconverged": int(((cells["unconverged"] | cells["unconverged_reference"]) & ~cells["same"]).sum()),
    }


def _means(cells: pd.DataFrame) -> dict[str, Any]:
    means: dict[str, Any] = {}
    known = cells[cells["relative"].notna()]
    for suffix, chosen in (("", known), ("_valid", known[known["valid"]] if len(known) else known)):
        means[f"tasks{suffix}"] = len(chosen)
        means[f"delta_m{suffix}"] = float(chosen["relative"].mean()) if len(chosen) else None
    if len(known):
        means["delta_skill"] = float(known["delta_skill"].mean())
    return means


def _add_intervals(
    table: pd.DataFrame,
    counted: dict[tuple[Setting, bool], pd.DataFrame],
    sums: WeightedSums,
    confidence: float,
) -> None:
    """Bounds of delta_m and delta_skill; the variance between seeds is pooled within a variant."""
    columns = ("delta_m", "low", "high"), ("delta_skill", "skill_low", "skill_high")
    wanted = [(*columns[0], False), (*columns[1], False), ("delta_m_valid", "low_valid", "high_valid", True)]
    for mean, low, high, valid in wanted:
        tables: dict[Any, Array] = {}
        for (setting, of_valid), cells in counted.items():
            if of_valid == valid and len(cells):
                unit: Unit = "skill" if mean == "delta_skill" else "relative"
                joint = sums.of_differences([mean_of(cells_in(cells))], unit)
                if joint is not None:
                    tables[setting] = joint[0].table
        for variant in {setting[0] for setting in tables}:
            chosen = {setting: joint for setting, joint in tables.items() if setting[0] == variant}
            for setting, found in pooled_estimates(chosen, {setting: setting[1] for setting in chosen}).items():
                names = (table["variant"] == setting[0]) & (table["scale"] == setting[1])
                place = table.index[names & (table["grouping"] == setting[2])][0]
                half = float(found.estimate.critical(confidence) * found.estimate.se)
                value = float(table.loc[place, mean])
                table.loc[place, [low, high]] = value - half, value + half


def _cost(runs: Sequence[CollectedRun], collection: Collection) -> dict[str, Any]:
    """Parameters of all models of the grouping (one a block), missing where one of them is not known; training time.

    Time is that of all stages, each run once; a model that others only start from is none of the grouping's.
    """
    trained = {stage.row.fingerprint: stage.result for run in runs for stage in collection.stages(run)}
    parameters: dict[tuple[str, ...], int | None] = {run.row.tasks: None for run in runs}
    for run in runs:
        if run.result is not None:
            parameters[run.row.tasks] = run.result.cost.parameters
    known = [count for count in parameters.values() if count is not None]
    return {
        "unequal": len({task for run in runs for task in run.row.tasks if is_unequal(run, task)}),
        "missing": sum(run.state != "done" for run in runs),
        "parameters": sum(known) if len(known) == len(parameters) else None,
        "train_seconds": sum(result.cost.train_seconds for result in trained.values() if result is not None),
    }
