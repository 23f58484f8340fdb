"""Reads the validity of finished runs: a row a run and task, from its scores and its validation curve."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.metrics.names import Metric, main_metric, skill
from usaggr.results import contract
from usaggr.results.curve import read_curve
from usaggr.results.run_result import RunResult
from usaggr.statistics.convergence import is_collapsed, is_diverged, is_unconverged

VALIDITY_COLUMNS = ("fingerprint", "task", "collapsed", "unconverged", "diverged")


def read_validity(collection: Collection, margin: float) -> pd.DataFrame:
    """Whether each finished run is collapsed, not converged or diverged in each of its tasks.

    Columns: VALIDITY_COLUMNS; the last three are nullable booleans, missing where the run does not tell: a curve that
    is lost, damaged or too short, a score that the validation fold does not have.

    Args:
        collection: the study's runs.
        margin: of convergence, in skill.
    """
    rows = [row for run in collection.runs for row in _rows_of(run, collection, margin)]
    table = pd.DataFrame(rows, columns=list(VALIDITY_COLUMNS))
    return table.astype(dict.fromkeys(VALIDITY_COLUMNS[2:], "boolean"))


def _rows_of(run: CollectedRun, collection: Collection, margin: float) -> Iterator[tuple[Any, ...]]:
    if run.result is None or run.path is None:
        return
    table = read_curve(run.path / contract.CURVE)
    for task in run.row.tasks:
        metric = main_metric(collection.data.tasks[task].task.type)
        of_curve = (None, None) if table is None else _of_curve(table, run.result, task, metric, margin)
        yield (run.row.fingerprint, task, _collapsed(run.result, task, metric), *of_curve)


def _collapsed(result: RunResult, task: str, metric: Metric) -> bool | None:
    folds = (result.scores, result.trivial, result.validation, result.trivial_validation)
    test, trivial_test, val, trivial_val = (_score(scores, task, metric) for scores in folds)
    return is_collapsed(test, trivial_test, val, trivial_val, metric)


def _of_curve(
    curve: pd.DataFrame, result: RunResult, task: str, metric: Metric, margin: float
) -> tuple[bool | None, bool | None]:
    """Whether it has not converged, and whether it has diverged."""
    name, loss, trivial = f"{task}:{metric.name}", f"{task}:val_loss", _score(result.trivial_validation, task, metric)
    if name not in curve or not np.isfinite(trivial):
        return None, None
    scores = curve[name].to_numpy(dtype=float)
    skills = [skill(score, trivial, metric) if np.isfinite(score) else np.nan for score in scores]
    progress = curve["progress"].to_numpy(dtype=float)
    losses = curve[loss].to_numpy(dtype=float) if loss in curve else np.zeros(0)
    return is_unconverged(progress, skills, margin), is_diverged(progress, skills, losses, margin)


def _score(scores: Any, task: str, metric: Metric) -> float:
    """NaN where it is not there: what concerns validation is not checked when runs are collected."""
    try:
        return float(scores[task][metric.name])
    except (KeyError, TypeError, ValueError):
        return float("nan")
