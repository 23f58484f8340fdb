"""What each grouping did over all tasks at a scale: delta_m, mean difference of skill, what is missing, the cost."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from usaggr.report.collect import CollectedRun, Collection
from usaggr.report.statistics import half_width

SUMMARY_COLUMNS = (
    "grouping", "scale", "variant", "tasks", "delta_m", "low", "high", "delta_skill", "gain", "no_loss", "loss",
    "undecided", "same", "collapsed", "unconverged", "missing", "parameters", "train_seconds",
)  # fmt: skip
"""Of summary.csv."""


def summarise(comparison: pd.DataFrame, pairs: pd.DataFrame, collection: Collection) -> pd.DataFrame:
    """One row a variant, scale and grouping, the reference's own (with its cost, and nothing to compare) too.

    delta_m is the mean of `relative` of the main metric over the tasks counted (Maninis et al., CVPR 2019): those with
    a relative change, which leaves out tasks whose block is the reference's run. Its interval is a t-interval over
    per-seed means of the same tasks, each task's differences divided by the reference's mean over seeds; it rests on
    the seeds that all these tasks have. delta_skill is over the same tasks.
    """
    study, rows = collection.study, []
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
                effect = _effect(cells, pairs, study.confidence)
                rows.append(
                    {"grouping": grouping, "scale": scale, "variant": variant, **effect, "same": same, **_cost(runs)}
                )
    table = pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))
    integers = ["tasks", "gain", "no_loss", "loss", "undecided", "same", "collapsed", "unconverged", "missing"]
    floats = ["delta_m", "low", "high", "delta_skill", "train_seconds"]
    return table.astype(dict.fromkeys([*integers, "parameters"], "Int64") | dict.fromkeys(floats, "float64"))


def _belongs(run: CollectedRun, variant: str, scale: float | int, grouping: str) -> bool:
    return (run.row.variant, run.row.scale) == (variant, scale) and grouping in run.row.groupings


def _effect(cells: pd.DataFrame, pairs: pd.DataFrame, confidence: float) -> dict[str, Any]:
    counted = cells[cells["relative"].notna()]
    if counted.empty:
        return {"tasks": 0}
    delta_m = float(counted["relative"].mean())
    per_seed = _delta_m_by_seed(counted, pairs)
    spread = per_seed.std(ddof=1) if per_seed.size > 1 else np.nan
    half = float(half_width(spread, per_seed.size, confidence))
    skill = float(counted["delta_skill"].mean())
    return {
        "tasks": len(counted),
        "delta_m": delta_m,
        "low": delta_m - half,
        "high": delta_m + half,
        "delta_skill": skill,
    }


def _delta_m_by_seed(counted: pd.DataFrame, pairs: pd.DataFrame) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """delta_m of each seed that all counted tasks have."""
    cell = counted.iloc[0]
    where = pairs["main"]
    for name in ("variant", "scale", "grouping"):
        where &= pairs[name] == cell[name]
    deltas = pairs[where].pivot(index="task", columns="seed", values="delta").loc[counted["task"].tolist()]
    relative = deltas.div(counted["reference_mean"].abs().to_numpy(), axis=0)
    return relative.dropna(axis="columns").mean(axis="index").to_numpy(dtype=float)


def _cost(runs: Sequence[CollectedRun]) -> dict[str, Any]:
    """Parameters of all models of the grouping (one a block), missing where one of them is not known; training time."""
    parameters: dict[tuple[str, ...], int | None] = {run.row.tasks: None for run in runs}
    for run in runs:
        if run.result is not None:
            parameters[run.row.tasks] = run.result.cost.parameters
    known = [count for count in parameters.values() if count is not None]
    return {
        "missing": sum(run.state != "done" for run in runs),
        "parameters": sum(known) if len(known) == len(parameters) else None,
        "train_seconds": sum(run.result.cost.train_seconds for run in runs if run.result is not None),
    }
