import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import usaggr
from tests.data.factories import noise
from tests.inference.factories import plan_of, train
from usaggr.errors import ConfigError, DataError, RunError
from usaggr.inference.loaded_model import Model
from usaggr.inference.result_types import BoxResult, ClassificationResult, LandmarksResult, SegmentationResult
from usaggr.results.predictions import decode_mask, read_predictions
from usaggr.sweep.planning.study_plan import Plan

MODELS = {
    "m2dino": ("model=m2dino_tiny",),
    "gray": ("data.channels=1", "data.image_size=[32,64]"),
}


ROUNDING = 1e-5
"""Allowed difference of probabilities between a run, which scores batches of all tasks, and a loaded model.

In double precision the two differ by 4e-16. In float32 each differs from that by up to 1.1e-6, which depends on torch's
instructions, and by up to 2.5e-6 if each weight is rounded again. In 1224 tokens, the probabilities of the second and
third expert differ by at least 2e-5, so that rounding does not change the routing.
"""


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_model_of_another_kind_predicts_what_its_run_scored(folder: Path, name: str) -> None:
    plan = plan_of(folder, f"name={name}", *MODELS[name])
    _agrees_with_its_run(train(plan)[0].directory, plan)


def test_a_loaded_model_predicts_what_the_run_scored(folder: Path, run: Path) -> None:
    _agrees_with_its_run(run, plan_of(folder))


def _agrees_with_its_run(run: Path, plan: Plan) -> None:
    model = usaggr.load(run)
    table = read_predictions(run / "predictions.parquet")
    samples = {(s.task_id, s.sample_id): s for s in plan.manifest.dataset.samples}
    assert set(model.tasks) == {"seg", "cls", "det", "reg"}
    for task_id, task_rows in table.groupby("task_id"):
        images = [samples[task_id, sample_id].image_path for sample_id in task_rows["sample_id"]]
        results = model.predict_many(images, str(task_id), batch_size=4)
        for row, result in zip(task_rows.to_dict("records"), results, strict=True):
            assert result.task == task_id
            _compare(row, result)


def _compare(row: dict[str, object], result: object) -> None:
    match result:
        case SegmentationResult():
            expected = decode_mask(row["mask"])
            assert result.mask.shape == expected.shape
            assert (result.mask != expected).mean() < 1e-3  # a tie of two classes may be decided either way
            assert result.classes[0] == "background"
        case ClassificationResult():
            np.testing.assert_allclose(result.probabilities, row["probs"], atol=ROUNDING)
            assert result.class_name == result.classes[result.class_index]
            assert result.class_index == result.probabilities.argmax()
        case BoxResult():
            np.testing.assert_allclose(result.box, row["box"], atol=1e-4)
        case LandmarksResult():
            np.testing.assert_allclose(result.points.ravel(), row["points"], atol=1e-4)
            assert len(result.names) == len(result.points)


def test_an_array_is_read_as_the_file_of_it(run: Path, tmp_path: Path) -> None:
    model = usaggr.load(run)
    for i, channels in enumerate((None, 2, 3, 4)):
        pixels = noise(i, 40, 50, channels)
        if channels in (2, 4):
            pixels[:, :, -1] = 255  # other values would need a decision about transparency
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        from_file = model.predict(tmp_path / f"{i}.png", "reg")
        from_array = model.predict(pixels, "reg")
        assert isinstance(from_file, LandmarksResult)
        assert isinstance(from_array, LandmarksResult)
        np.testing.assert_array_equal(from_file.points, from_array.points)
    gray = noise(9, 40, 50)
    results = [model.predict(image, "cls") for image in (gray, gray[:, :, None])]
    assert all(isinstance(result, ClassificationResult) for result in results)
    np.testing.assert_array_equal(*(result.probabilities for result in results))  # type: ignore[union-attr]


def test_an_invalid_image_or_task_is_refused(run: Path) -> None:
    model = usaggr.load(run)
    with pytest.raises(ConfigError, match="task: unknown 'segm', did you mean 'seg'"):
        model.predict(noise(0), "segm")
    with pytest.raises(ConfigError, match="task: the model has several tasks; give one of cls, det, reg, seg"):
        model.predict(noise(0))
    with pytest.raises(DataError, match=r"array \(24, 32\) of float64; pixels must be uint8"):
        model.predict(noise(0).astype(float), "seg")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"none\.png"):
        model.predict("none.png", "seg")
    with pytest.raises(ConfigError, match="device: unknown 'gpu'"):
        usaggr.load(run, device="gpu")


def test_weights_that_are_missing_or_changed_are_refused(folder: Path) -> None:
    plan = plan_of(folder, "name=changed")
    run = train(plan, ["det"])[0].directory
    weights = run / "weights" / "scored.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(RunError, match="has changed since it was written"):
        usaggr.load(run)
    weights.with_suffix(".sha256").unlink()
    weights.write_bytes(b"12345678")
    with pytest.raises(RunError, match="does not fit the run's network"):
        usaggr.load(run)
    weights.unlink()
    with pytest.raises(RunError, match=r"with training\.keep_weights=scored and --weights") as error:
        usaggr.load(run)
    assert "\n" not in str(error.value)


def test_a_finished_run_is_not_trained_again_to_keep_its_weights(folder: Path) -> None:
    fingerprints = [
        [run.spec.fingerprint for run in plan_of(folder, f"training.keep_weights={keep_weights}").runs]
        for keep_weights in ("none", "scored", "auto")
    ]
    assert fingerprints[0] == fingerprints[1] == fingerprints[2]


def test_a_folder_without_a_finished_run_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="give the folder of a run"):
        usaggr.load(tmp_path)
    with pytest.raises(RunError, match="give the folder of a run"):
        usaggr.load(plan_of(folder).directory)


def test_pretrained_weights_are_not_needed_any_more(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from usaggr.models.build_network import build_network

    plan = plan_of(folder)
    tasks = [plan.manifest.dataset.tasks["det"]]
    batch = plan.study.model.model_copy(update={"norm": "batch"})
    encoder = build_network(batch, tasks, 0).encoder
    file = tmp_path / "encoder.safetensors"
    save_file(dict(encoder.state_dict()), file)
    frozen = plan_of(folder, "name=frozen", f"model.weights={file}", "model.norm=frozen")
    run = train(frozen, ["det"])[0]
    file.unlink()
    model = usaggr.load(run.directory)
    table = read_predictions(run.directory / "predictions.parquet")
    _boxes_agree(model, table, frozen.manifest.dataset.root)


def _boxes_agree(model: Model, table: pd.DataFrame, root: Path) -> None:
    assert len(table)
    for row in table.to_dict("records"):
        result = model.predict(root / "csv_files" / row["sample_id"])
        assert isinstance(result, BoxResult)
        np.testing.assert_allclose(result.box, row["box"], atol=1e-4)


def test_importing_usaggr_imports_no_torch() -> None:
    code = "import sys, usaggr; usaggr.load; print('torch' in sys.modules)"
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == "False"
