from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor, nn

from usaggr.config.model import MhMtlConfig
from usaggr.models.build_network import build_network
from usaggr.models.network import MultiTaskNetwork
from usaggr.models.normalization import choose_groups, has_batch_statistics
from usaggr.models.parameters import count_parameters
from usaggr.tasks import CATALOGUE, Task

SEG, CLS, DET, REG = (CATALOGUE[t] for t in ("cardiac_multi", "breast_3cls", "thyroid_nodule_det", "IUGC"))
ALL = (SEG, CLS, DET, REG)


def model(**changes: object) -> MhMtlConfig:
    values: dict[str, object] = {
        "name": "mh_mtl", "encoder": "tu-test_resnet", "weights": None, "decoder_channels": 32, "norm": "group",
        "landmarks": "heatmap", "dropout": 0.0, "freeze": "none",
    }  # fmt: skip
    return MhMtlConfig.model_validate({**values, **changes})


def make_batch_indices(tasks: Sequence[Task]) -> dict[str, Tensor]:
    """Batch indices of two samples per task, interleaved."""
    return {task.id: torch.tensor([i, i + len(tasks)]) for i, task in enumerate(tasks)}


def images(n: int, size: tuple[int, int] = (64, 64)) -> Tensor:
    return torch.randn(n, 3, *size, generator=torch.Generator().manual_seed(0))


def loss(outputs: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([output.square().sum() for output in outputs.values()]).sum()


@pytest.mark.parametrize("landmarks", ["heatmap", "direct"])
@pytest.mark.parametrize("size", [(64, 64), (32, 96)])
def test_the_output_of_each_task_type_has_its_shape_and_range(landmarks: str, size: tuple[int, int]) -> None:
    network = build_network(model(landmarks=landmarks), ALL, 0)
    outputs = network(images(8, size), make_batch_indices(ALL))
    assert {t: tuple(o.shape) for t, o in outputs.items()} == {
        SEG.id: (2, 4, *size), CLS.id: (2, 3), DET.id: (2, 4), REG.id: (2, 3, 2),
    }  # fmt: skip
    box = outputs[DET.id]
    assert (box[:, :2] <= box[:, 2:]).all()
    for task in (DET, REG):
        assert outputs[task.id].min() >= 0
        assert outputs[task.id].max() <= 1


@pytest.mark.parametrize("encoder", ["tu-test_resnet", "resnet18", "efficientnet-b0", "tu-mobilenetv3_small_050"])
def test_no_layer_mixes_samples(encoder: str) -> None:
    network = build_network(model(encoder=encoder), ALL, 0)
    assert not any(has_batch_statistics(module) for module in network.modules())
    assert any(isinstance(module, nn.GroupNorm) for module in network.encoder.modules())


@pytest.mark.parametrize("channels", [8, 24, 32, 96, 112, 448])
def test_group_normalization_leaves_something_of_a_map_of_one_pixel(channels: int) -> None:
    norm = nn.GroupNorm(choose_groups(channels), channels)
    maps = torch.randn(2, channels, 1, 1, generator=torch.Generator().manual_seed(0))
    first, second = norm(maps)
    assert not torch.equal(first, second)
    assert norm(maps[:1]).abs().max() > 0.5


# In training EfficientNet drops blocks of single samples at random, by design.
@pytest.mark.parametrize(("encoder", "training"), [("tu-test_resnet", True), ("efficientnet-b0", False)])
def test_a_sample_has_the_same_output_and_gradient_in_any_batch(encoder: str, training: bool) -> None:
    # In double precision, sums in another order differ too little to be mistaken for mixing.
    network = build_network(model(encoder=encoder), ALL, 0).train(training).double()
    batch, batch_indices = images(8).double(), make_batch_indices(ALL)
    mixed = network(batch, batch_indices)
    loss(mixed).backward()
    gradients = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    network.zero_grad()
    for task in ALL:
        alone = network(batch[batch_indices[task.id]], {task.id: torch.tensor([0, 1])})
        assert torch.allclose(alone[task.id], mixed[task.id], atol=1e-9)
        loss(alone).backward()
    for name, parameter in network.named_parameters():
        if name in gradients:
            assert parameter.grad is not None
            scale = gradients[name].abs().max().clamp(min=1)
            assert torch.allclose(parameter.grad / scale, gradients[name] / scale, atol=1e-9), name


def test_permuting_a_batch_permutes_its_outputs() -> None:
    network = build_network(model(), ALL, 0).double()
    batch, batch_indices, order = (
        images(8).double(),
        make_batch_indices(ALL),
        torch.randperm(8, generator=torch.Generator().manual_seed(3)),
    )
    back = torch.argsort(order)
    first = network(batch, batch_indices)
    second = network(batch[order], {task_id: back[indices] for task_id, indices in batch_indices.items()})
    assert all(torch.allclose(first[t], second[t], atol=1e-9) for t in first)


def test_initial_weights_depend_on_seed_and_task_alone() -> None:
    torch.rand(5)
    state = torch.random.get_rng_state()
    multi_task, single_task = build_network(model(), ALL, 3), build_network(model(), [DET], 3)
    assert torch.equal(torch.random.get_rng_state(), state)
    for module_name in ("encoder", "decoder"):
        ours, theirs = getattr(multi_task, module_name).state_dict(), getattr(single_task, module_name).state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    head = multi_task.get_head(DET.id).state_dict()
    assert all(torch.equal(head[name], value) for name, value in single_task.get_head(DET.id).state_dict().items())
    other = build_network(model(), [DET], 4)
    for module_name in ("encoder", "decoder", "heads"):
        ours, theirs = (getattr(network, module_name).parameters() for network in (single_task, other))
        assert any(not torch.equal(a, b) for a, b in zip(ours, theirs, strict=True)), module_name


def test_two_tasks_of_one_type_start_from_different_heads() -> None:
    network = build_network(model(), [CATALOGUE["lung"], CATALOGUE["cervix"]], 0)
    first, second = (network.get_head(task_id).state_dict() for task_id in ("lung", "cervix"))
    assert any(not torch.equal(first[name], second[name]) for name in first)


def test_a_head_without_a_sample_in_the_batch_gets_no_gradient() -> None:
    network = build_network(model(), ALL, 0)
    outputs = network(images(2), {CLS.id: torch.tensor([0, 1]), SEG.id: torch.tensor([], dtype=torch.int64)})
    assert list(outputs) == [CLS.id]
    loss(outputs).backward()
    touched = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None}
    assert touched == {"encoder", "heads"}
    for task in ALL:
        assert all((p.grad is not None) == (task is CLS) for p in network.get_head(task.id).parameters())


def test_a_frozen_encoder_is_not_trained_and_stays_in_evaluation_mode() -> None:
    network = build_network(model(freeze="encoder"), ALL, 0).train()
    assert not any(module.training for module in network.encoder.modules())
    assert all(module.training for module in (*network.decoder.modules(), *network.heads.modules()))
    loss(network(images(8), make_batch_indices(ALL))).backward()
    touched = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None}
    assert touched == {"decoder", "heads"}


def test_the_encoder_is_passed_once_for_a_batch_of_many_tasks() -> None:
    network = build_network(model(), ALL, 0)
    calls: list[int] = []
    network.encoder.register_forward_hook(lambda module, inputs, out: calls.append(len(inputs[0])))
    network(images(8), make_batch_indices(ALL))
    assert calls == [8]


def test_parts_add_up() -> None:
    network = build_network(model(), ALL, 0)
    counts = count_parameters(network)
    assert (
        sum(counts.by_role.values()) == counts.total == counts.trained == sum(p.numel() for p in network.parameters())
    )
    assert counts.by_role["backbone"] == sum(p.numel() for p in network.encoder.parameters())
    heads = [sum(p.numel() for p in network.get_head(task.id).parameters()) for task in ALL]
    assert counts.active == counts.total - sum(heads) + max(heads)


@pytest.mark.parametrize("task", ALL, ids=lambda task: task.type)
def test_each_head_can_learn_a_batch_by_heart(task: Task) -> None:
    network: MultiTaskNetwork = build_network(model(), [task], 0)
    batch, batch_indices = images(4), {task.id: torch.arange(4)}
    landmarks = [[0.2, 0.3], [0.5, 0.5], [0.8, 0.1]], [[0.6, 0.7], [0.2, 0.5], [0.4, 0.9]]
    target = {
        "segmentation": torch.zeros(4, 4, 64, 64),
        "classification": torch.eye(4, 3),
        "detection": torch.tensor([[0.1, 0.2, 0.4, 0.6]] * 2 + [[0.5, 0.5, 0.9, 0.8]] * 2),
        "regression": torch.tensor([landmarks[0]] * 2 + [landmarks[1]] * 2),
    }[task.type]
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    errors = []
    for _ in range(40):
        error = (network(batch, batch_indices)[task.id] - target).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(float(error.detach()))
    assert errors[-1] < 0.35 * errors[0]
