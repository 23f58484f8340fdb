from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models import networks
from tests.models.networks import ALL, SEG, awaken
from usaggr.config.compose import compose_study
from usaggr.data.batches.batches import normalize_images
from usaggr.errors import ConfigError
from usaggr.inference import onnx_graph
from usaggr.inference.onnx_graph import InferenceGraph, compute_all_experts, is_conditioned, require_onnx, write_onnx
from usaggr.models.build_network import build_network
from usaggr.models.network import MultiTaskNetwork

TASKS = sorted(ALL, key=lambda task: task.id)
WAYS: dict[str, tuple[dict[str, Any], bool]] = {
    "sparse": ({"experts": {"count": 4, "top_k": 2}}, True),
    "one": ({"experts": {"count": 4, "top_k": 1}}, True),
    "dense": ({"experts": {"count": 3, "top_k": 3}}, True),
    "blind": ({"experts": {"count": 4, "top_k": 2, "router": "token"}}, False),
    "uniform": ({"experts": {"count": 2, "top_k": 2, "router": "uniform", "noise": 0.1}}, False),
    "lora": ({"conditioning": "lora"}, True),
    "film": ({"conditioning": "film"}, True),
    "none": ({"conditioning": "none"}, False),
}


def images() -> torch.Tensor:
    return torch.rand(4, 3, 32, 48, generator=torch.Generator().manual_seed(0)) * 255


def own_outputs(network: MultiTaskNetwork, task_id: str) -> torch.Tensor:
    outputs: torch.Tensor = network(normalize_images(images() / 255), {task_id: torch.arange(4)})[task_id]
    return outputs


@pytest.mark.parametrize("name", WAYS)
def test_the_graph_of_a_transformer_computes_what_the_network_does(name: str) -> None:
    changes, conditioned = WAYS[name]
    network = awaken(networks.network(TASKS, **changes)).eval()
    with torch.no_grad():
        expected = {task.id: own_outputs(network, task.id) for task in TASKS}
        compute_all_experts(network)
        built = InferenceGraph(network, TASKS)
        assert built.conditioned == is_conditioned(network) == conditioned
        for place, task in enumerate(TASKS):
            arguments = (images(), torch.full((4,), place)) if conditioned else (images(),)
            exported = dict(zip([item.id for item in TASKS], built(*arguments), strict=True))[task.id]
            task_output = expected[task.id]
            task_output = task_output.softmax(dim=1) if task.type == "classification" else task_output
            torch.testing.assert_close(exported, task_output, atol=1e-4, rtol=1e-4)


def test_a_batch_may_mix_images_of_several_tasks() -> None:
    network = awaken(networks.network(TASKS)).eval()
    with torch.no_grad():
        expected = [own_outputs(network, task.id)[i] for i, task in enumerate(TASKS)]
        compute_all_experts(network)
        outputs = InferenceGraph(network, TASKS)(images(), torch.arange(4))
        for i, task in enumerate(TASKS):
            expected_output = expected[i].softmax(dim=0) if task.type == "classification" else expected[i]
            torch.testing.assert_close(outputs[i][i], expected_output, atol=1e-4, rtol=1e-4)


def test_the_task_that_is_given_matters() -> None:
    network = awaken(networks.network(TASKS)).eval()
    compute_all_experts(network)
    built, place = InferenceGraph(network, TASKS), TASKS.index(SEG)
    with torch.no_grad():
        expected_output, other = (built(images(), torch.full((4,), p))[place] for p in (place, place - 1))
    assert not torch.allclose(expected_output, other, atol=1e-3)


@pytest.mark.parametrize("landmarks", ["heatmap", "direct"])
def test_the_graph_of_a_pyramid_network_computes_what_the_network_does(landmarks: str) -> None:
    model = compose_study("demo", ["model=tiny", f"model.landmarks={landmarks}"]).model
    network = build_network(model, TASKS, 0).eval()
    sized = torch.rand(4, 3, 32, 64) * 255
    with torch.no_grad():
        outputs = InferenceGraph(network, TASKS)(sized)
        for task, output in zip(TASKS, outputs, strict=True):
            expected_output = network(normalize_images(sized / 255), {task.id: torch.arange(4)})[task.id]
            expected_output = expected_output.softmax(dim=1) if task.type == "classification" else expected_output
            torch.testing.assert_close(output, expected_output, atol=1e-5, rtol=1e-5)


def test_the_file_contains_no_path_of_the_machine(tmp_path: Path) -> None:
    network = build_network(compose_study("demo", ["model=tiny"]).model, TASKS, 0).eval()
    write_onnx(network, TASKS, (32, 32), 3, tmp_path / "model.onnx")
    content = (tmp_path / "model.onnx").read_bytes()
    for module in (onnx_graph, torch):
        assert module.__file__ is not None
        assert str(Path(module.__file__).parent).encode() not in content
    assert b"stack_trace" not in content


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_graph, "find_spec", lambda name: None if name == "onnxscript" else object())
    with pytest.raises(ConfigError, match=r"export needs the package onnxscript: pip install usaggr\[onnx\]"):
        require_onnx()
