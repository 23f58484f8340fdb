"""Predictions on real images, scored by `evaluate`, have the scores of the sweep."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from usaggr.cli.main import app
from usaggr.results.run_directory import RunDirectory

TASKS = "[breast_lesion,cardiac_multi,breast_3cls,organ_cls,breast_lesion_det,fetal_head_biometry]"


@pytest.mark.slow
def test_predictions_of_the_test_fold_score_as_the_sweep(real_data: Path, tmp_path: Path) -> None:
    def usaggr(*words: str) -> str:
        completed = CliRunner().invoke(app, list(words))
        assert completed.exit_code == 0, f"{words}\n{completed.output}\n{completed.exception}"
        return completed.output

    small = ("training.budget=16 examples", "training.min_examples=1", "training.validations=1", "data.image_size=64")
    choice = ("groupings=[unified]", "reference=unified", "scales=[1.0]", "seeds=[0]", f"tasks={TASKS}", "model=tiny")
    data = ("data=fmuia", f"data.root={real_data}", "data.on_bad_sample=skip")
    outputs = (f"outputs={tmp_path}", "name=mine", "training.keep_weights=scored")
    usaggr("sweep", *data, *small, *choice, *outputs)
    mine = tmp_path / "mine"
    split = ("--data", str(real_data), "--split", str(mine / "split.csv"), "--fold", "test")
    usaggr("predict", str(mine), "--recommended", "--out", str(tmp_path / "out"), *split)
    tasks = TASKS.strip("[]")
    usaggr("evaluate", str(tmp_path / "out"), *split, "--tasks", tasks, "data.on_bad_sample=skip")
    evaluation = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    (run,) = (mine / "runs").iterdir()
    scores = RunDirectory(run).read_result().scores
    assert set(scores) == set(tasks.split(","))
    for task_id, expected in scores.items():
        assert evaluation["tasks"][task_id] == pytest.approx(expected, abs=1e-6)
