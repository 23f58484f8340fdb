"""Results of earlier versions are read, continued and loaded, and give the same numbers as those versions.

tests/fixtures/earlier_versions/README.md describes the archive's content and origin. If a test fails, change the code
and not the archive, because users have such files.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

import usaggr
from usaggr.config.compose import compose_study
from usaggr.data.batches.cache import build_or_open
from usaggr.data.batches.run_data import select_run_data
from usaggr.models.encoders import build_encoder
from usaggr.report import build
from usaggr.report.build import build_report
from usaggr.results.plan import read_plan
from usaggr.results.predictions import read_predictions
from usaggr.results.run_directory import RunDirectory
from usaggr.results.spec import Placement
from usaggr.sweep.execution.jobs import Job
from usaggr.sweep.executors.local.worker import run_in_worker
from usaggr.sweep.inspect.status import read_sweep_status
from usaggr.sweep.planning.study_plan import Plan, make_plan, write_plan

ARCHIVE = Path(__file__).parent / "fixtures" / "earlier_versions" / "663d23c.tar.xz"
RESULTS = {"seg": "mask", "cls": "probabilities", "det": "box", "reg": "points"}
"""Attribute of the result that is compared, for each task."""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the unpacked archive, for tests that only read it."""
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def continued(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a writable copy and make it the current folder, as it was when the studies were started."""
    folder = shutil.copytree(stored, tmp_path / "earlier")
    monkeypatch.chdir(folder)
    return folder


def plan_of(folder: Path, study: str) -> Plan:
    overrides = json.loads((folder / "studies.json").read_text())[study]
    return make_plan(compose_study("demo", overrides))


def directory_of(folder: Path, study: str, block: str) -> Path:
    (directory,) = (folder / "outputs" / study / "runs").glob(f"{block}-*")
    return directory


def m2dino_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights with which the expected outputs were computed; make_663d23c.py uses the same formula."""
    weights = {}
    for name, shape in json.loads((folder / "expected" / "m2dino_shapes.json").read_text()).items():
        phase = int(hashlib.sha256(name.encode()).hexdigest()[:6], 16) / 1000
        waves = np.sin(0.7 * np.arange(int(np.prod(shape))) ** 2 + phase).reshape(shape)
        if len(shape) > 1:
            values = 2 * waves / np.sqrt(np.prod(shape[1:]))
        else:
            values = 0.2 * waves + (0 if name.endswith(("bias", "shift")) else 1)
        weights[name] = torch.tensor(values, dtype=torch.float32)
    return weights


def check_predictions(run: Path, expected: Path) -> None:
    """Check that a loaded model computes the same as the earlier version, up to the rounding of float32."""
    model = usaggr.load(run, device="cpu")
    with np.load(expected) as arrays:
        images = arrays["images"]
        assert set(model.tasks) == set(RESULTS)
        for task_id, attribute in RESULTS.items():
            outputs = model.outputs(images[..., None], task_id).numpy()
            scale = max(1.0, float(np.abs(outputs).max()))
            np.testing.assert_allclose(outputs, arrays[f"outputs_{task_id}"], atol=1e-5 * scale, rtol=0)
            predictions = np.stack([getattr(result, attribute) for result in model.predict_many(list(images), task_id)])
            if attribute != "mask":
                np.testing.assert_allclose(predictions, arrays[f"{attribute}_{task_id}"], atol=1e-3)
                continue
            gap = np.abs(outputs[:, 1] - outputs[:, 0])
            certain = gap > 1e-4 * scale  # rounding may decide the class of the other pixels
            assert certain.mean() > 0.9
            np.testing.assert_array_equal(predictions[certain], arrays[f"mask_{task_id}"][certain])


@pytest.mark.parametrize("study", ["earlier", "earlier_m2dino"])
def test_the_same_study_plans_the_runs_of_the_earlier_version(continued: Path, study: str) -> None:
    directory = continued / "outputs" / study
    before = {row.run_id: row.fingerprint for row in read_plan(directory)}
    plan = plan_of(continued, study)
    assert {planned.spec.run_id: planned.spec.fingerprint for planned in plan.runs} == before
    split = pd.read_csv(directory / "split.csv")
    write_plan(plan)  # raises an error if the folder belongs to other data or to another split
    pd.testing.assert_frame_equal(pd.read_csv(directory / "split.csv")[split.columns.tolist()], split)


def test_an_interrupted_run_of_an_earlier_version_continues_from_its_checkpoint(
    continued: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    directory = continued / "outputs" / "earlier"
    states = {run.run_id.split("-")[0]: run.state for run in read_sweep_status(directory).runs}
    assert states == {"cls": "pending", "det": "done", "reg": "done", "seg": "done", "unified": "done"}
    plan = plan_of(continued, "earlier")
    (planned,) = (planned for planned in plan.runs if planned.spec.block == "cls")
    data = select_run_data(plan.manifest, planned.spec, build_or_open(plan.manifest.dataset, plan.study.data))
    job = Job(planned.spec, planned.directory, planned.study, data, 2)
    assert run_in_worker(job, Placement(threads=1)) == ("done", "")
    assert "continues at step 1 of 3" in capfd.readouterr().out

    expected = continued / "expected"
    predictions, before = (read_predictions(folder / "predictions.parquet") for folder in (planned.directory, expected))
    assert list(predictions["sample_id"]) == list(before["sample_id"])
    np.testing.assert_allclose(np.stack(predictions["probs"]), np.stack(before["probs"]), atol=1e-4)
    curves = [pd.read_csv(folder / "curve.csv") for folder in (planned.directory, expected)]
    pd.testing.assert_frame_equal(*curves, atol=1e-4, rtol=1e-4)
    result = RunDirectory(planned.directory).read_result()
    stored = json.loads((expected / "result.json").read_text())
    assert result.scores["cls"] == pytest.approx(stored["scores"]["cls"], abs=1e-9)
    assert read_sweep_status(directory).count("done") == 5


def test_a_study_of_an_earlier_version_is_reported(continued: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Figures take most of the time; the slow test below has them.
    monkeypatch.setattr(build, "write_figures", lambda tables, folder: (folder.mkdir(), ())[1])
    status = read_sweep_status(continued / "outputs" / "earlier")
    assert not status.unplanned
    assert not status.missing_metrics
    tables = build_report([continued / "outputs" / "earlier"]) / "tables"
    scores = pd.read_csv(tables / "scores.csv")
    assert set(scores.loc[scores["grouping"] == "unified", "status"]) == {"done"}
    pending = scores[scores["status"] == "pending"]
    assert set(zip(pending["task"], pending["grouping"], strict=True)) == {("cls", "task_specific")}
    for block in ("unified", "det"):
        result = RunDirectory(directory_of(continued, "earlier", block)).read_result()
        name = {"unified": "unified", "det": "task_specific"}[block]
        main_scores = scores[(scores["task"] == "det") & (scores["grouping"] == name) & (scores["metric"] == "iou")]
        assert main_scores["value"].tolist() == pytest.approx([result.scores["det"]["iou"]])


def test_weights_of_an_earlier_version_give_its_predictions(stored: Path) -> None:
    check_predictions(directory_of(stored, "earlier", "unified"), stored / "expected" / "unified.npz")


def test_weights_of_an_earlier_m2dino_keep_their_names_and_give_its_predictions(continued: Path) -> None:
    run = directory_of(continued, "earlier_m2dino", "unified")
    (run / "weights").mkdir()
    save_file(m2dino_weights(continued), run / "weights" / "scored.safetensors")
    check_predictions(run, continued / "expected" / "m2dino.npz")


def test_weights_of_an_earlier_version_can_be_used_as_pretrained_weights(stored: Path) -> None:
    file = directory_of(stored, "earlier", "unified") / "weights" / "scored.safetensors"
    study = compose_study("demo", ["model=tiny", f"model.weights={file}"])
    encoder, _ = build_encoder(study.model)  # type: ignore[arg-type]
    tensors = load_file(file)
    for name, tensor in encoder.state_dict().items():
        torch.testing.assert_close(tensor, tensors[f"encoder.{name}"], rtol=0, atol=0)


def test_an_export_of_an_earlier_version_computes_the_same_as_its_model(stored: Path) -> None:
    file = stored / "export" / "unified.onnx"
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    card = json.loads(file.with_suffix(".json").read_text())
    model = usaggr.load(directory_of(stored, "earlier", "unified"), device="cpu")
    with np.load(stored / "expected" / "unified.npz") as arrays:
        images = arrays["images"]
        for task in card["tasks"]:
            (computed,) = session.run([task["output"]["name"]], {"images": images[:, None].astype(np.float32)})
            for outputs in (
                torch.from_numpy(arrays[f"outputs_{task['id']}"]),
                model.outputs(images[..., None], task["id"]),
            ):
                expected = outputs.softmax(dim=1) if task["type"] == "classification" else outputs
                scale = max(1.0, float(expected.abs().max()))
                np.testing.assert_allclose(computed, expected.numpy(), atol=1e-4 * scale, rtol=0)


@pytest.mark.slow
def test_repeating_the_interrupted_command_finishes_the_study(continued: Path) -> None:
    overrides = json.loads((continued / "studies.json").read_text())["earlier"]
    command = [sys.executable, "-m", "usaggr", "sweep", *overrides]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    log = directory_of(continued, "earlier", "cls") / "log.txt"
    assert "continues at step 1 of 3" in log.read_text()
    assert read_sweep_status(continued / "outputs" / "earlier").count("done") == 5
    report = continued / "outputs" / "earlier" / "report"
    assert (report / "index.html").is_file()
    assert any((report / "figures").iterdir())
