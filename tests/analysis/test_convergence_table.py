"""Tests of the validity of finished runs, from their scores and validation curves."""

from pathlib import Path

import pandas as pd
import pytest

from tests.report.sweeps import FakeSweep, level
from usaggr.analysis.collect import collect
from usaggr.analysis.convergence_table import VALIDITY_COLUMNS, read_validity
from usaggr.results.spec import RunSpec
from usaggr.tasks import CATALOGUE

TASKS = ("breast_lesion", "breast_2cls")


def sweep_of(folder: Path) -> FakeSweep:
    sweep = FakeSweep(folder / "study", tasks=TASKS, groupings=("task_specific",), seeds=(0,))
    return sweep.finish(lambda task, block, scale, seed: level(CATALOGUE[task], 0.5))


def run_of(sweep: FakeSweep, task: str) -> RunSpec:
    return next(run for run, _ in sweep.runs() if run.tasks == (task,))


def write_curve(sweep: FakeSweep, task: str, scores: list[float | str], metric: str) -> None:
    lines = ["step,progress,training_loss,val_loss,skill," + f"{task}:val_loss,{task}:{metric}"]
    lines += [f"{i},{i / len(scores)},1,1,0,1,{score}" for i, score in enumerate(scores, start=1)]
    (sweep.directory / "runs" / run_of(sweep, task).run_id / "curve.csv").write_text("\n".join(lines))


def validity_of(sweep: FakeSweep) -> pd.DataFrame:
    table = read_validity(collect([sweep.directory]), 0.02)
    assert tuple(table.columns) == VALIDITY_COLUMNS
    assert (table.dtypes[["collapsed", "unconverged", "diverged"]] == "boolean").all()
    return table.set_index("task")


def test_each_task_is_judged_by_its_own_curve_in_skill(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path)
    # The trivial predictor scores 0.4: a rise of 0.018 is one of 0.03 in skill.
    write_curve(sweep, "breast_lesion", [0.600, 0.618, 0.636, 0.654], "dsc")
    write_curve(sweep, "breast_2cls", [0.9, 0.9, 0.45, 0.45], "auc")
    validity = validity_of(sweep)
    assert validity["unconverged"].to_dict() == {"breast_2cls": False, "breast_lesion": True}
    assert validity["diverged"].to_dict() == {"breast_2cls": True, "breast_lesion": False}
    assert not validity["collapsed"].any()


def test_a_curve_is_judged_against_the_trivial_score_on_validation(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path)
    scores = {"breast_lesion": level(CATALOGUE["breast_lesion"], 0.5)}
    # A rise of 0.018 per quarter is 0.03 in skill if the trivial score is 0.4 (test), and 0.018 if it is 0.
    trivial = {"breast_lesion": dict.fromkeys(scores["breast_lesion"], 0.0)}
    sweep.write_run(run_of(sweep, "breast_lesion"), scores, trivial_validation=trivial)
    write_curve(sweep, "breast_lesion", [0.600, 0.618, 0.636, 0.654], "dsc")
    assert not validity_of(sweep).loc["breast_lesion", "unconverged"]


def test_a_run_no_better_than_trivial_on_validation_and_test_is_collapsed(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path)
    worse = {"breast_lesion": level(CATALOGUE["breast_lesion"], -0.1)}
    sweep.write_run(run_of(sweep, "breast_lesion"), worse)
    better = {"breast_2cls": level(CATALOGUE["breast_2cls"], 0.1)}
    sweep.write_run(run_of(sweep, "breast_2cls"), {"breast_2cls": level(CATALOGUE["breast_2cls"], -0.1)},
                    validation=better)  # fmt: skip
    assert validity_of(sweep)["collapsed"].to_dict() == {"breast_2cls": False, "breast_lesion": True}


@pytest.mark.parametrize(
    "damage", [None, b"", b"\xff\xfe\x00", b"a,b\n1,2\n", b"progress\n1,2,3\n4,5\n", b"progress\n"]
)
def test_a_missing_or_damaged_curve_leaves_convergence_unknown(tmp_path: Path, damage: bytes | None) -> None:
    sweep = sweep_of(tmp_path)
    if damage is not None:
        (sweep.directory / "runs" / run_of(sweep, "breast_lesion").run_id / "curve.csv").write_bytes(damage)
    validity = validity_of(sweep).loc["breast_lesion"]
    assert not validity["collapsed"]
    assert pd.isna(validity["unconverged"])
    assert pd.isna(validity["diverged"])


def test_a_field_that_is_not_a_number_is_a_missing_value_of_the_curve(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path)
    write_curve(sweep, "breast_lesion", [0.5, 0.6, "", 0.5, 0.6, "x", 0.7, 0.8], "dsc")
    assert validity_of(sweep).loc["breast_lesion", "unconverged"]


def test_without_validation_scores_the_validity_is_unknown(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path)
    worse = {"breast_lesion": level(CATALOGUE["breast_lesion"], -0.1)}
    sweep.write_run(run_of(sweep, "breast_lesion"), worse, validation={}, trivial_validation={})
    write_curve(sweep, "breast_lesion", [0.5, 0.6, 0.7, 0.8], "dsc")
    validity = validity_of(sweep).loc["breast_lesion"]
    assert validity[["collapsed", "unconverged", "diverged"]].isna().all()


def test_unfinished_runs_have_no_row(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", tasks=TASKS, groupings=("task_specific",), seeds=(0, 1))
    sweep.finish(lambda task, block, scale, seed: level(CATALOGUE[task], 0.5), skip=lambda run: run.seed == 1)
    assert sorted(validity_of(sweep).index) == sorted(TASKS)
