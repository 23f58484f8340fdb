"""Tests of valid cells: no seed of the cell or of its reference has collapsed, and most have converged."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd
import pytest

from tests.report.sweeps import CATALOGUE, FakeSweep, level
from usaggr.analysis.collect import collect
from usaggr.report.tables import make_tables

TASK = "breast_lesion"
PAIR = ("task_specific", "unified")
RISING = ["step,progress,training_loss,val_loss,skill,breast_lesion:val_loss,breast_lesion:dsc"]
RISING += [f"{i},{i / 4},1,1,0,1,{0.4 + 0.1 * i}" for i in range(1, 5)]
"""Curve that rises by a tenth in each quarter of the run, so that it has not converged."""


def cell_of(
    folder: Path, failure: str, alone: Collection[int], shared: Collection[int], seeds: tuple[int, ...]
) -> "pd.Series[object]":
    """Return the unified cell of a study whose task-specific and unified runs of these seeds have a failure."""
    failing = {1: alone, 2: shared}

    def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        is_collapsed = failure == "collapsed" and seed in failing[len(block)]
        return level(CATALOGUE[task], -0.1 if is_collapsed else 0.5)

    sweep = FakeSweep(folder, tasks=(TASK, "fetal_femur"), groupings=PAIR, seeds=seeds).finish(scorer)
    for run, _ in sweep.runs():
        if failure == "unconverged" and TASK in run.tasks and run.seed in failing[len(run.tasks)]:
            (sweep.directory / "runs" / run.run_id / "curve.csv").write_text("\n".join(RISING))
    comparison = make_tables(collect([sweep.directory])).comparison.verdict_table
    return comparison[comparison["main"]].set_index("task").loc[TASK]


@pytest.mark.parametrize(
    ("alone", "shared", "seeds", "of_reference", "of_cell"),
    [
        ((), (1,), (0, 1), False, False),
        ((1,), (), (0, 1), False, False),
        ((), (0, 1), (0, 1, 2), False, True),
        ((0, 1), (), (0, 1, 2), True, False),
    ],
    ids=["half", "half-of-reference", "most", "most-of-reference"],
)
def test_a_cell_is_collapsed_once_most_seeds_collapsed_and_not_valid_once_one_did(
    tmp_path: Path,
    alone: Collection[int],
    shared: Collection[int],
    seeds: tuple[int, ...],
    of_reference: bool,
    of_cell: bool,
) -> None:
    cell = cell_of(tmp_path / "study", "collapsed", alone, shared, seeds)
    assert (cell["collapsed_reference"], cell["collapsed"]) == (of_reference, of_cell)
    assert (cell["collapsed_seeds"], cell["collapsed_seeds_reference"]) == (len(shared), len(alone))
    assert not cell["valid"]


def test_a_cell_without_a_collapsed_seed_is_valid(tmp_path: Path) -> None:
    assert cell_of(tmp_path / "study", "collapsed", (), (), (0, 1, 2))["valid"]


@pytest.mark.parametrize(("alone", "shared"), [((), (0,)), ((0,), ())])
def test_a_cell_is_not_valid_if_it_or_its_reference_has_not_converged(
    tmp_path: Path, alone: Collection[int], shared: Collection[int]
) -> None:
    cell = cell_of(tmp_path / "study", "unconverged", alone, shared, (0,))
    assert (cell["unconverged_reference"], cell["unconverged"]) == (bool(alone), bool(shared))
    assert not cell["valid"]
