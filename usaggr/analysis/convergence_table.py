"""Checks the validity of finished runs from their scores and validation curves: one row per run and task."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.metrics.names import Metric, compute_skill, get_main_metric
from usaggr.results import contract
from usaggr.results.curve import read_curve
from usaggr.results.run_result import RunResult
from usaggr.statistics.convergence import is_collapsed, is_diverged, is_unconverged

VALIDITY_COLUMNS = ("fingerprint", "task", "collapsed", "unconverged", "diverged")


def read_validity(collection: Collection, margin: float) -> pd.DataFrame:
    """Return whether each finished run collapsed, failed to converge or diverged, for each of its tasks.

    Args:
        collection: The study's runs.
        margin: Margin of convergence, in skill.

    Returns:
        Table with VALIDITY_COLUMNS. The last three are nullable booleans. They are missing if the curve is missing,
        damaged or too short, or if the validation set has no score.
    """
    states = [row for run in collection.runs for row in _make_rows(run, collection, margin)]
    table = pd.DataFrame(states, columns=list(VALIDITY_COLUMNS))
    return table.astype(dict.fromkeys(VALIDITY_COLUMNS[2:], "boolean"))


def _make_rows(run: CollectedRun, collection: Collection, margin: float) -> Iterator[tuple[Any, ...]]:
    if run.result is None or run.path is None:
        return
    table = read_curve(run.path / contract.CURVE)
    for task in run.row.tasks:
        metric = get_main_metric(collection.data.tasks[task].task.type)
        curve_states = (None, None) if table is None else _check_curve(table, run.result, task, metric, margin)
        yield (run.row.fingerprint, task, _check_collapse(run.result, task, metric), *curve_states)


def _check_collapse(result: RunResult, task: str, metric: Metric) -> bool | None:
    subsets = (result.scores, result.trivial, result.validation, result.trivial_validation)
    test, trivial_test, val, trivial_val = (_read_score(scores, task, metric) for scores in subsets)
    return is_collapsed(test, trivial_test, val, trivial_val, metric)


def _check_curve(
    curve: pd.DataFrame, result: RunResult, task: str, metric: Metric, margin: float
) -> tuple[bool | None, bool | None]:
    """Return whether a run is unconverged, and whether it diverged; None if its curve does not show it."""
    name, loss, trivial = (
        f"{task}:{metric.name}",
        f"{task}:val_loss",
        _read_score(result.trivial_validation, task, metric),
    )
    if name not in curve or not np.isfinite(trivial):
        return None, None
    scores = curve[name].to_numpy(dtype=float)
    skills = [compute_skill(score, trivial, metric) if np.isfinite(score) else np.nan for score in scores]
    progress = curve["progress"].to_numpy(dtype=float)
    losses = curve[loss].to_numpy(dtype=float) if loss in curve else np.zeros(0)
    return is_unconverged(progress, skills, margin), is_diverged(progress, skills, losses, margin)


def _read_score(scores: Any, task: str, metric: Metric) -> float:
    """Return a score; NaN if it is missing, because validation scores are not checked when runs are collected."""
    try:
        return float(scores[task][metric.name])
    except (KeyError, TypeError, ValueError):
        return float("nan")
