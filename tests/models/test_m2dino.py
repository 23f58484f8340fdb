"""Invariants of m2dino: it starts as the plain transformer, and no output depends on the other samples of the batch."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision import transforms

from tests.models.networks import ALL, CLS, DET, REG, SEG, awaken, images, loss, make_batch_indices, network
from usaggr.data.batches.batches import MEAN, STD
from usaggr.models.experts import ExpertMlp
from usaggr.models.m2dino import M2Dino
from usaggr.models.normalization import has_batch_statistics
from usaggr.models.per_task import PerTask

CONDITIONINGS: tuple[dict[str, Any], ...] = (
    {"experts": {"top_k": 2}},
    {"experts": {"top_k": 4}},
    {"experts": {"router": "token"}},
    {"experts": {"router": "uniform", "top_k": 4, "noise": 0.1}},
    {"conditioning": "lora"},
    {"conditioning": "film"},
    {"conditioning": "none"},
)
NAMES = ("sparse", "dense", "blind", "wide", "lora", "film", "none")
each_conditioning = pytest.mark.parametrize("changes", CONDITIONINGS, ids=NAMES)


@pytest.mark.parametrize("landmarks", ["heatmap", "direct"])
@pytest.mark.parametrize(
    ("size", "changes"),
    [
        ((64, 64), {}),
        ((40, 88), {}),  # grids with odd sides
        ((48, 80), {"patch_size": 16}),
        ((42, 70), {"patch_size": 14}),
        ((64, 32), {"encoder": "vit_small_patch16_dinov3", "patch_size": None}),
    ],
)
def test_the_output_of_each_task_type_has_its_shape_and_range(
    landmarks: str, size: tuple[int, int], changes: dict[str, Any]
) -> None:
    outputs = network(landmarks=landmarks, **changes)(images(8, size), make_batch_indices())
    assert {t: tuple(o.shape) for t, o in outputs.items()} == {
        SEG.id: (2, 4, *size), CLS.id: (2, 3), DET.id: (2, 4), REG.id: (2, 3, 2),
    }  # fmt: skip
    assert (outputs[DET.id][:, :2] <= outputs[DET.id][:, 2:]).all()
    for task in (DET, REG):
        assert outputs[task.id].min() >= 0
        assert outputs[task.id].max() <= 1


@pytest.mark.parametrize(
    ("encoder", "top_k", "router"),
    [("test_vit", top_k, router) for top_k in (1, 2, 3, 4) for router in ("task", "token")]
    + [("vit_small_patch16_dinov3", 2, "task"), ("vit_small_patch16_dinov3", 3, "token")],
)
def test_with_experts_the_network_starts_as_the_plain_transformer(encoder: str, top_k: int, router: str) -> None:
    changes: dict[str, Any] = {"encoder": encoder, "patch_size": None}
    plain = _louder(network(conditioning="none", **changes))
    routed = _louder(network(experts={"top_k": top_k, "router": router}, **changes))
    batch = images()
    expected, result = plain(batch, make_batch_indices()), routed.forward_with_routing(batch, make_batch_indices())
    assert len(result.routing) == plain.encoder.depth // 2
    for task in ALL:
        assert expected[task.id].std() > 1e-3
        assert torch.allclose(result.outputs[task.id], expected[task.id], atol=1e-5), task.id


@pytest.mark.parametrize("conditioning", ["lora", "film"])
def test_with_adapters_the_network_starts_as_the_plain_transformer(conditioning: str) -> None:
    expected = network(conditioning="none")(images(), make_batch_indices())
    outputs = network(conditioning=conditioning)(images(), make_batch_indices())
    assert all(torch.equal(outputs[t], expected[t]) for t in expected)


def test_noise_separates_the_experts_at_once_by_the_configured_amount() -> None:
    mlp = network(experts={"noise": 0.5}).encoder.blocks[-1].mlp
    assert isinstance(mlp, ExpertMlp)
    plain: Any = network(conditioning="none").encoder.blocks[-1].mlp
    for expert in mlp.experts:
        change = expert.fc1.weight - plain.fc1.weight  # type: ignore[operator,union-attr]
        assert (change.std() / plain.fc1.weight.std()).item() == pytest.approx(0.5, rel=0.05)
    first, second = mlp.experts[0].fc1.weight, mlp.experts[1].fc1.weight  # type: ignore[union-attr]
    assert not torch.equal(first, second)  # type: ignore[arg-type]


@each_conditioning
def test_a_sample_has_the_same_output_and_gradient_in_any_batch(changes: dict[str, Any]) -> None:
    # In double precision, sums in another order differ too little to be mistaken for mixing, and no two experts are
    # so nearly equal in probability that rounding could change which of them serves a token.
    built = awaken(network(**changes)).train().double()
    batch, batch_indices = images().double(), make_batch_indices()
    mixed = built(batch, batch_indices)
    loss(mixed).backward()  # type: ignore[no-untyped-call]
    gradients = {name: p.grad.clone() for name, p in built.named_parameters() if p.grad is not None}
    built.zero_grad()
    for task in ALL:
        alone = built(batch[batch_indices[task.id]], {task.id: torch.tensor([0, 1])})
        assert torch.allclose(alone[task.id], mixed[task.id], atol=1e-9), task.id
        loss(alone).backward()  # type: ignore[no-untyped-call]
    sample_gradients = {name: p.grad for name, p in built.named_parameters() if p.grad is not None}
    assert sample_gradients.keys() == gradients.keys()
    for name, gradient in sample_gradients.items():
        size = gradients[name].abs().max().clamp(min=1)
        digits = 1e-6 if name.endswith("pos_embed") else 1e-9  # timm interpolates positions in single precision
        assert torch.allclose(gradient / size, gradients[name] / size, atol=digits), name


@each_conditioning
def test_permuting_a_batch_permutes_its_outputs(changes: dict[str, Any]) -> None:
    built = awaken(network(**changes)).train().double()
    batch, batch_indices, order = (
        images().double(),
        make_batch_indices(),
        torch.randperm(8, generator=torch.Generator().manual_seed(3)),
    )
    back = torch.argsort(order)
    first = built(batch, batch_indices)
    second = built(batch[order], {task_id: back[indices] for task_id, indices in batch_indices.items()})
    assert all(torch.allclose(first[t], second[t], atol=1e-9) for t in first)


@each_conditioning
def test_no_layer_mixes_samples(changes: dict[str, Any]) -> None:
    assert not any(has_batch_statistics(module) for module in network(**changes).modules())


def test_all_heads_read_one_spatial_map_and_no_token_leaves_the_encoder() -> None:
    built = network(landmarks="direct", encoder="vit_small_patch16_dinov3", patch_size=None)
    seen: list[tuple[int, ...]] = []
    built.decoder.register_forward_hook(lambda module, inputs, out: seen.extend(tuple(m.shape) for m in inputs[0]))
    read: list[Tensor] = []
    for task in ALL:
        assert built.get_head(task.id).reads == "decoder"
        built.get_head(task.id).register_forward_hook(lambda module, inputs, out: read.append(inputs[0]))
    built(images(8, (32, 48)), make_batch_indices())
    assert seen == [(8, 384, 2, 3)] * 4
    assert {tuple(shape.shape) for shape in read} == {(2, 32, 8, 12)}


@pytest.mark.parametrize("changes", [CONDITIONINGS[0], *CONDITIONINGS[4:6]], ids=["experts", "lora", "film"])
def test_every_sample_is_conditioned_on_its_own_task(changes: dict[str, Any]) -> None:
    built = awaken(network(**changes))
    batch, batch_indices = images(), make_batch_indices()
    before = built(batch, batch_indices)
    with torch.no_grad():
        for module in built.modules():
            if isinstance(module, PerTask):
                module.of[f"task_{DET.id}"].mul_(-3)
    after = built(batch, batch_indices)
    assert [t for t in before if not torch.allclose(before[t], after[t], atol=1e-6)] == [DET.id]


def test_a_router_blind_to_tasks_sends_one_image_the_same_way_for_all_of_them() -> None:
    image = images(1).expand(8, -1, -1, -1)
    for router, is_blind in (("token", True), ("task", False)):
        built = awaken(network(experts={"router": router}))
        routing = built.forward_with_routing(image, make_batch_indices()).routing
        assert routing
        for routed in routing.values():
            assert torch.allclose(routed.probabilities[0], routed.probabilities[1], atol=1e-6) == is_blind


def test_parameters_of_a_task_without_samples_get_no_gradient() -> None:
    built = network()
    loss(built(images(2), {CLS.id: torch.tensor([0, 1]), SEG.id: torch.tensor([], dtype=torch.int64)})).backward()  # type: ignore[no-untyped-call]
    assert built.embeddings is not None
    touched = {name for name, parameter in built.embeddings.of.items() if parameter.grad is not None}
    assert touched == {f"task_{CLS.id}"}
    assert all(p.grad is None for p in built.get_head(SEG.id).parameters())


@each_conditioning
def test_initial_weights_depend_on_seed_and_task_alone(changes: dict[str, Any]) -> None:
    state = torch.random.get_rng_state()
    multi_task, single_task, other = (
        network(ALL, 3, **changes),
        network([DET], 3, **changes),
        network([DET], 4, **changes),
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    shared = multi_task.state_dict()
    assert all(torch.equal(shared[name], value) for name, value in single_task.state_dict().items())
    assert any(not torch.equal(a, b) for a, b in zip(single_task.parameters(), other.parameters(), strict=True))


def test_experts_have_parted_after_twenty_steps() -> None:
    built = network()
    optimizer = torch.optim.AdamW(built.parameters(), 1e-3)
    target = {task_id: torch.zeros_like(output) for task_id, output in built(images(), make_batch_indices()).items()}
    for _ in range(20):
        outputs = built(images(), make_batch_indices())
        error = torch.stack([(outputs[t] - target[t] - 0.3).square().mean() for t in outputs]).sum()
        optimizer.zero_grad()
        error.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    for block in built.encoder.blocks[3:]:
        mlp = block.mlp
        assert isinstance(mlp, ExpertMlp)
        weights = torch.stack([expert.fc2.weight.flatten() for expert in mlp.experts])  # type: ignore[operator,union-attr]
        assert torch.pdist(weights).min() > 1e-2


def test_routers_of_different_blocks_and_embeddings_of_different_tasks_start_differently() -> None:
    built = network()
    routers = [block.mlp.router for block in built.encoder.blocks if isinstance(block.mlp, ExpertMlp)]
    tokens = torch.stack([router.token.weight for router in routers if router is not None])
    assert built.embeddings is not None
    embeddings = torch.stack(list(built.embeddings.of.values()))
    for drawn in (tokens, embeddings):
        assert torch.pdist(drawn.flatten(1)).min() > 0.1


@pytest.mark.parametrize(
    ("encoder", "levels"), [("test_vit", [1, 2, 4, 5]), ("vit_small_patch16_dinov3", [2, 5, 8, 11])]
)
def test_maps_are_read_from_blocks_evenly_spread_over_the_depth(encoder: str, levels: list[int]) -> None:
    assert network(encoder=encoder, conditioning="none", patch_size=None).encoder.levels == levels


def test_the_configured_blocks_are_conditioned() -> None:
    def conditioned(**changes: Any) -> list[int]:
        blocks = network(**changes).encoder.blocks
        return [i + 1 for i, block in enumerate(blocks) if isinstance(block.mlp, ExpertMlp)]

    assert conditioned() == [4, 5, 6]
    assert conditioned(conditioned_blocks=[2, 3]) == [2, 3]


def test_the_router_computes_in_single_precision_under_half() -> None:
    built = network()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = built.forward_with_routing(images(), make_batch_indices())
    assert result.outputs[CLS.id].dtype == torch.bfloat16
    assert result.routing
    for routed in result.routing.values():
        assert routed.probabilities.dtype == torch.float32
        assert torch.allclose(routed.probabilities.sum(dim=-1), torch.ones(()), atol=1e-6)
        assert not torch.equal(routed.probabilities, routed.probabilities.bfloat16().float())


def test_pretrained_weights_see_images_as_they_were_trained_with(tmp_path: Path) -> None:
    vit: Any = timm.create_model("test_vit", num_classes=0, dynamic_img_size=True)
    assert vit.pretrained_cfg["mean"] != MEAN
    torch.save(vit.state_dict(), tmp_path / "vit.pt")
    built = network(patch_size=None, weights=str(tmp_path / "vit.pt"), conditioning="none")
    gray = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    ours = transforms.functional.normalize(gray, list(MEAN), list(STD))
    theirs = transforms.functional.normalize(gray, vit.pretrained_cfg["mean"], vit.pretrained_cfg["std"])
    expected = vit.forward_intermediates(theirs, norm=True, intermediates_only=True)[-1]
    assert torch.allclose(built.encoder(ours)[-1], expected, atol=1e-5)
    assert not torch.allclose(network(patch_size=None, conditioning="none").encoder(ours)[-1], expected, atol=1e-2)


def test_nothing_holds_on_to_a_batch() -> None:
    built = network()
    assert built.forward_with_routing(images(), make_batch_indices()).routing
    context = built._context
    assert (context.tasks, context.embedding, context._routing) == ((), None, {})
    with pytest.raises(AssertionError):  # a layer that is called outside the network has no task
        built.encoder(images())


@pytest.mark.parametrize("freeze", ["none", "early", "backbone"])
@each_conditioning
def test_frozen_parts_stay_as_they_are(freeze: str, changes: dict[str, Any]) -> None:
    built = network(freeze=freeze, **changes).train()
    before = {name: value.clone() for name, value in built.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in built.parameters() if p.requires_grad], 1e-2, weight_decay=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        loss(built(images(), make_batch_indices())).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    moved = {name for name, value in built.state_dict().items() if not torch.equal(value, before[name])}
    assert all(p.grad is None for p in built.parameters() if not p.requires_grad)
    early = {n for n in before if n.startswith("encoder.vit.") and ".blocks." not in n and ".norm." not in n}
    early |= {n for n in before if n.startswith(tuple(f"encoder.vit.blocks.{i}." for i in range(3)))}
    plain = set(network(conditioning="none").encoder.state_dict())
    backbone = {n for n in before if n.startswith("encoder.") and _plain_name(n) in {f"encoder.{p}" for p in plain}}
    match freeze:
        case "none":
            assert {"encoder.vit.patch_embed.proj.weight", "encoder.vit.blocks.0.attn.qkv.weight"} <= moved
        case "early":
            assert not moved & early
            assert "encoder.vit.blocks.3.attn.qkv.weight" in moved
        case "backbone":
            assert not moved & backbone
    assert any(name.startswith("decoder.") for name in moved)
    if changes.get("conditioning") != "none":
        assert any(name.startswith("encoder.vit.blocks.5.mlp") for name in moved)


@pytest.mark.parametrize(("freeze", "evaluating"), [("none", []), ("early", [0, 1, 2]), ("backbone", [0, 1, 2])])
def test_frozen_blocks_are_in_evaluation_mode(freeze: str, evaluating: list[int]) -> None:
    built = network(freeze=freeze).train()
    blocks = built.encoder.blocks
    assert [i for i in range(3) if not any(module.training for module in blocks[i].modules())] == evaluating
    mlp = blocks[5].mlp
    assert isinstance(mlp, ExpertMlp)
    assert all(module.training for module in mlp.experts.modules())
    assert isinstance(blocks[5].attn, nn.Module)
    assert blocks[5].attn.training == (freeze != "backbone")
    built.eval()
    assert not any(module.training for module in built.modules())


def _plain_name(name: str) -> str:
    """Return the name of a weight in the plain transformer, where experts do not exist."""
    return name if ".experts." in name else name.replace(".linear.", ".").replace(".mlp.mlp.", ".mlp.")


def _louder(built: M2Dino) -> M2Dino:
    """Raise the layer scale of DINOv3's blocks, which is almost 0 before training: the blocks must have an effect."""
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            if "gamma_" in name:
                parameter.fill_(0.5)
    return built
