import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.inference.exports import check_export
from tests.inference.factories import plan_of, train
from usaggr.cli.main import app
from usaggr.config.compose import compose_study
from usaggr.errors import ConfigError, RunError
from usaggr.inference import export as exporting
from usaggr.inference.export import export
from usaggr.inference.model_card import find_license, make_card
from usaggr.progress import NoProgress
from usaggr.results.run_directory import RunDirectory
from usaggr.results.trained_model import read_stored_run


@pytest.mark.slow
def test_an_exported_transformer_agrees_with_the_original_on_all_task_types(folder: Path, tmp_path: Path) -> None:
    """The other network is exported and compared by the recipes of docs/inference.md."""
    experts = ("model.experts.count=2", "model.experts.top_k=1", "model.conditioned_blocks=[6,6]")
    directory = train(plan_of(folder, "name=m2dino", "model=m2dino_tiny", *experts))[0].directory
    completed = CliRunner().invoke(app, ["export", str(directory), "--out", str(tmp_path / "model.onnx")])
    assert completed.exit_code == 0, completed.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.onnx"]
    check_export(directory, tmp_path / "model.onnx", conditioned=True)


def test_the_card_has_the_facts_of_the_run(run: Path) -> None:
    stored, result = read_stored_run(run), RunDirectory(run).read_result()
    card = make_card(stored, False, {"name": "x.onnx"})
    assert card["intended_use"] == "Research use; not a medical device."
    tasks = {task["id"]: task for task in card["tasks"]}
    assert tasks["cls"]["classes"] == ["class_0", "class_1", "class_2"]
    assert tasks["reg"]["points"] == ["point_1", "point_2"]
    for task_id, task in tasks.items():
        assert task["n_train"] == result.n_train[task_id]
        for name, score in task["scores"].items():
            assert score["value"] == result.scores[task_id][name]
            assert score["trivial"] == result.trivial[task_id][name]
    iou = tasks["det"]["scores"]["iou"]
    assert iou["low"] < iou["value"] < iou["high"]
    assert not tasks["reg"]["scores"]["mre"]["higher_is_better"]
    data = json.loads((run.parents[1] / "data.json").read_text())
    assert card["training_data"]["content_sha256"] == data["content_hash"]
    assert card["training_data"]["split_sha256"] == data["split_hash"]
    assert card["run"]["fingerprint"] == stored.fingerprint
    assert card["licence"]["pretrained_weights"] == "no pretrained weights: trained from scratch"
    assert "task" not in card["input"]
    assert card["versions"]["exported_with"]["onnxruntime"]
    assert json.loads(json.dumps(card, allow_nan=False)) == card


@pytest.mark.parametrize(
    ("overrides", "licence"),
    [
        (["model=m2dino", "model.weights=timm"], "dinov3-license (timm/vit_base_patch16_dinov3"),
        (["model=mh_mtl", "model.encoder=tu-resnet18", "model.weights=a1_in1k"], "apache-2.0"),
        (
            ["model=mh_mtl", "model.encoder=resnet18", "model.weights=imagenet"],
            "not known: imagenet weights of resnet18",
        ),
        (["model=mh_mtl", "model.weights=gone/weights.pt"], "not known: a local file"),
    ],
)
def test_the_license_is_that_of_the_pretrained_weights(overrides: list[str], licence: str) -> None:
    model = compose_study("demo", ["data.image_size=224", *overrides]).model
    assert find_license(model).startswith(licence)


def test_the_card_names_no_folder_of_the_machine(run: Path) -> None:
    stored = read_stored_run(run)
    moved = replace(stored, model=stored.model.model_copy(update={"weights": "/home/me/encoder.safetensors"}))
    card = make_card(moved, False, {})
    assert card["run"]["network"]["weights"] == "encoder.safetensors"
    assert "/home/me" not in json.dumps(card)
    assert str(run.parents[1]) not in json.dumps(card)


def test_a_graph_with_different_outputs_is_not_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from usaggr.inference import onnx_graph

    monkeypatch.setattr(onnx_graph, "write_onnx", lambda *arguments: arguments[-1].write_bytes(b"graph"))
    for difference in (0.01, float("nan")):
        monkeypatch.setattr(onnx_graph, "compute_largest_difference", lambda *_, value=difference: value)
        with pytest.raises(RunError, match="differ from the model"):
            export(run, tmp_path / "model.onnx", NoProgress())
        assert not list(tmp_path.iterdir())
    monkeypatch.setattr(onnx_graph, "compute_largest_difference", lambda *_: exporting.TOLERANCE / 2)
    export(run, tmp_path / "model.onnx", NoProgress())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.onnx"]


def test_a_file_of_another_ending_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--out: must end in \.onnx; got .*model\.pt"):
        export(run, tmp_path / "model.pt", NoProgress())
