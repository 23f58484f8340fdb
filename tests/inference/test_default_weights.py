"""Models of a sweep with the default configuration can be used, and finished runs get their weights later."""

import json
import shutil
import signal
import subprocess
import sysconfig
import time
from pathlib import Path

import pytest

from tests.data.factories import tiny_data

pytestmark = pytest.mark.slow

STUDY = (
    "data=fmuia", "data.root=data", "data.image_size=32", "scale=full", "seeds=[0]", "training.budget=16 examples",
    "training.min_examples=16", "groupings=[task_specific,unified]", "name=tiny", "executor.workers=1",
)  # fmt: skip


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    script = Path(sysconfig.get_path("scripts")) / "usaggr"
    pipe = subprocess.PIPE
    return subprocess.Popen([script, *arguments], cwd=folder, stdout=pipe, stderr=pipe, text=True, encoding="utf-8")


def usaggr(folder: Path, *arguments: str, status: int = 0) -> str:
    """Run a command that must end with a status, and return what it prints."""
    process = start(folder, *arguments)
    output = "".join(process.communicate())
    assert process.returncode == status, output
    return output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with data and the finished sweep of a study that says nothing about weights."""
    folder = tmp_path_factory.mktemp("default_weights")
    tiny_data(folder / "data", n=24)
    planned = usaggr(folder, "plan", *STUDY)
    swept = usaggr(folder, "sweep", *STUDY)
    (line,) = [line for line in planned.splitlines() if line.startswith("weights: ")]
    assert line.startswith("weights: kept of 5 runs x ")
    assert ", less than 10 GB (training.keep_weights=auto); " in line
    assert line.partition(";")[0] in swept
    # The printed total is that of the files, which have names and shapes in addition.
    (total,) = (float(word) for word in [line.partition(" = ")[2].split()[0]])
    size = sum(path.stat().st_size for path in folder.glob("outputs/tiny/runs/*/weights/scored.safetensors"))
    assert total == pytest.approx(size / 1e6, rel=0.05)
    return folder


def read_files(results: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in results.rglob("*") if path.is_file()}


def test_a_normal_sweep_can_predict_with_the_recommended_models(folder: Path) -> None:
    split = ("--split", "outputs/tiny/split.csv", "--fold", "test")
    words = ("outputs/tiny", "--recommended", "--data", "data", "--out", "predictions")
    assert "predictions: predictions" in usaggr(folder, "predict", *words, *split)
    assert list((folder / "predictions").rglob("*.png"))
    assert "weights of 5 runs stay" in usaggr(folder, "clean", "outputs/tiny")


def test_finished_runs_without_weights_get_the_same_ones_and_keep_their_files(folder: Path) -> None:
    results = folder / "outputs" / "tiny"
    runs = sorted((results / "runs").iterdir())
    before = read_files(results / "runs")
    for run in runs:
        shutil.rmtree(run / "weights")
    assert "5 finished runs have no weights; `usaggr sweep --weights`" in usaggr(folder, "plan", *STUDY)
    assert "nothing to train: 5 of 5 runs are done" in usaggr(folder, "sweep", *STUDY)
    assert not list(results.glob("runs/*/weights"))
    assert usaggr(folder, "status", "outputs/tiny").startswith("outputs/tiny: 5 runs: 5 done")
    refused = usaggr(folder, "predict", str(results), "--recommended", "--data", "data", "--out", "no", status=2)
    assert "training.keep_weights=scored and --weights" in refused

    process = start(folder, "sweep", *STUDY, "--weights")
    while not (retrained := list(results.glob("retrained/*/run.yaml"))):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output = "".join(process.communicate())
    assert process.returncode == 130, output
    assert retrained
    assert len(list(results.glob("runs/*/weights"))) < 5
    assert usaggr(folder, "status", "outputs/tiny").startswith("outputs/tiny: 5 runs: 5 done")

    assert "with the scores of their results" in usaggr(folder, "sweep", *STUDY, "--weights")
    assert not (results / "retrained").exists()
    after = read_files(results / "runs")
    assert after.keys() == before.keys()
    assert [path for path in before if after[path] != before[path]] == []


def test_weights_of_other_scores_are_not_kept(folder: Path) -> None:
    results = folder / "outputs" / "tiny"
    run = next((results / "runs").glob("cls-*"))
    copy = folder / "copy"
    shutil.copytree(run, copy)
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    result["scores"]["cls"]["accuracy"] += 2**-20
    result.pop("sha256")  # as results of earlier versions
    (run / "result.json").write_text(json.dumps(result), encoding="utf-8")
    shutil.rmtree(run / "weights")
    try:
        output = usaggr(folder, "sweep", *STUDY, "--weights", status=1)
        assert f"{run.name}: the scores are not those of its result (test accuracy of cls" in output
        assert not (run / "weights").exists()
    finally:
        shutil.rmtree(run)
        copy.rename(run)
