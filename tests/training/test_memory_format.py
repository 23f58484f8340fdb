"""Networks prepared for a device compute the same as before."""

from typing import Any

import pytest
import torch

from tests.models.networks import network as m2dino
from usaggr.config.compose import compose_study
from usaggr.config.study import TrainingConfig
from usaggr.models.build_network import build_network
from usaggr.models.network import MultiTaskNetwork
from usaggr.tasks import CATALOGUE
from usaggr.training.memory_format import (
    compile_shared_modules,
    find_shared_modules,
    prepare_for_device,
    should_use_channels_last,
    undo_compilation,
)

TASKS = ("lung", "fetal_plane_cls", "thyroid_nodule_det", "FUGC")
GPU, CPU = torch.device("cuda"), torch.device("cpu")


def training(*overrides: str) -> TrainingConfig:
    return compose_study("demo", list(overrides)).training


def tiny() -> MultiTaskNetwork:
    return build_network(compose_study("demo", ["model=tiny"]).model, [CATALOGUE[t] for t in TASKS], 0)


def batch(n: int, tasks: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Make a batch with a number of samples and tasks."""
    images = torch.randn(n, 3, 64, 64, generator=torch.Generator().manual_seed(n))
    return images, {task_id: torch.arange(i, n, tasks) for i, task_id in enumerate(TASKS[:tasks])}


def gradients(
    network: MultiTaskNetwork, images: torch.Tensor, batch_indices: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    network.zero_grad()
    outputs = network(images, batch_indices)
    sum(output.square().mean() for output in outputs.values()).backward()  # type: ignore[union-attr]
    return {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}


def assert_same(actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.allclose(actual[name], tensor, atol=1e-5, rtol=1e-4), name


def test_channels_last_changes_no_gradient_and_no_parameter_object() -> None:
    plain, laid = tiny(), tiny()
    parameters = [id(p) for p in laid.parameters()]
    prepare_for_device(laid, CPU, training("training.channels_last=true"))
    weight = next(p for p in laid.parameters() if p.ndim == 4 and p.shape[1] > 1 and p.shape[2] > 1)
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()
    assert [id(p) for p in laid.parameters()] == parameters
    assert_same(gradients(laid, *batch(8, 4)), gradients(plain, *batch(8, 4)))


def test_by_auto_channels_are_last_only_on_a_gpu_in_mixed_precision_without_group_norm() -> None:
    plain = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    grouped = torch.nn.Sequential(plain, torch.nn.GroupNorm(2, 4))
    half = training("training.precision=bf16-mixed")
    assert should_use_channels_last(plain, GPU, half)
    assert not should_use_channels_last(plain, CPU, half)
    assert not should_use_channels_last(plain, GPU, training())
    assert not should_use_channels_last(grouped, GPU, half)
    assert should_use_channels_last(grouped, CPU, training("training.channels_last=true"))
    assert not should_use_channels_last(
        plain, GPU, training("training.precision=bf16-mixed", "training.channels_last=false")
    )


def test_blocks_that_know_the_tasks_are_not_compiled() -> None:
    conditioned = m2dino()
    blocks = list(conditioned.encoder.blocks)
    plain = [block for block in blocks if not any("router" in name for name, _ in block.named_modules())]
    assert 0 < len(plain) < len(blocks)
    assert find_shared_modules(conditioned) == [*plain, conditioned.decoder]
    unconditioned = tiny()
    assert find_shared_modules(unconditioned) == [unconditioned.encoder, unconditioned.decoder]


@pytest.mark.parametrize(
    "build", [pytest.param(tiny, marks=pytest.mark.slow), lambda: m2dino()], ids=["tiny", "m2dino"]
)
def test_compiled_parts_compute_the_same_with_few_graphs_for_all_batches(build: Any) -> None:
    graphs: list[torch.fx.GraphModule] = []

    def count(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
        graphs.append(graph)
        return graph.forward

    plain, compiled = build(), build()
    tasks = tuple(task_id for task_id in TASKS if task_id in plain.tasks) or plain.tasks
    compile_shared_modules(compiled, count)
    sizes = [(8, 4), (8, 3), (7, 2), (6, 4), (5, 3)]
    seen = []
    for n, several in sizes:
        images, _ = batch(n, 1)
        batch_indices = {t: torch.arange(i, n, several) for i, t in enumerate(tasks[:several])}
        assert_same(gradients(compiled, images, batch_indices), gradients(plain, images, batch_indices))
        seen.append(len(graphs))
    assert seen[0] > 0
    assert seen[-1] <= seen[0] + 1  # other numbers of samples and other tasks need no further graphs


def test_without_gradients_nothing_is_compiled_and_release_leaves_no_trace() -> None:
    graphs: list[torch.fx.GraphModule] = []

    def count(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
        graphs.append(graph)
        return graph.forward

    network = tiny()
    names = list(network.state_dict())
    compile_shared_modules(network, count)
    assert list(network.state_dict()) == names
    with torch.no_grad():
        network(*batch(4, 4))
    assert not graphs
    undo_compilation(network)
    network(*batch(4, 4))
    assert not graphs
