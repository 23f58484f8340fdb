"""Numbers of parameters: the backbone has those of the library, active ones are those that one task uses."""

from typing import Any

import pytest
import timm

from tests.models.networks import ALL, CLS, model, network
from usaggr.config.compose import compose_study
from usaggr.models.build_network import build_network
from usaggr.models.parameters import count_parameters, get_layer_depth, map_parameter_roles


def timms(encoder: str) -> int:
    vit: Any = timm.create_model(encoder, num_classes=0)
    return sum(parameter.numel() for parameter in vit.parameters())


@pytest.mark.parametrize("encoder", ["test_vit", "vit_tiny_patch16_dinov3_qkvb", "vit_small_patch16_dinov3"])
def test_the_plain_transformer_has_as_many_parameters_as_timms(encoder: str) -> None:
    counts = count_parameters(network(encoder=encoder, patch_size=None, conditioning="none"))
    assert counts.by_role["backbone"] == timms(encoder)
    assert "experts" not in counts.by_role
    assert "conditioning" not in counts.by_role


@pytest.mark.slow
@pytest.mark.parametrize("name", ["m2dino", "m2dino_small"])
def test_the_shipped_models_have_timms_backbone(name: str) -> None:
    shipped = compose_study("demo", [f"model={name}"]).model
    plain = build_network(compose_study("demo", [f"model={name}", "model.conditioning=none"]).model, ALL, 0)
    assert count_parameters(plain).by_role["backbone"] == timms(shipped.encoder)


@pytest.mark.parametrize(("count", "top_k"), [(4, 1), (4, 2), (8, 2), (4, 4)])
def test_experts_are_copies_of_the_mlp_of_which_some_are_active(count: int, top_k: int) -> None:
    plain = count_parameters(network(conditioning="none"))
    mlp: Any = network(conditioning="none").encoder.blocks[-1].mlp
    each = sum(parameter.numel() for parameter in mlp.parameters())
    counts = count_parameters(network(experts={"count": count, "top_k": top_k}))
    assert counts.by_role["experts"] == 3 * count * each
    assert counts.by_role["backbone"] == plain.by_role["backbone"] - 3 * each
    routers = 3 * (64 * count + count + 64 * count)
    assert counts.by_role["conditioning"] == routers + 64 * len(ALL)
    assert counts.active == plain.active + 3 * (top_k - 1) * each + routers + 64
    assert counts.total == sum(counts.by_role.values()) == counts.trained


def test_all_of_a_wide_dense_mlp_is_active() -> None:
    wide = count_parameters(network(experts={"count": 2, "top_k": 2, "router": "uniform", "noise": 0.5}))
    routed = count_parameters(network(experts={"count": 4, "top_k": 2}))
    assert wide.active == pytest.approx(routed.active, rel=0.01)


@pytest.mark.parametrize("conditioning", ["experts", "lora", "film", "none"])
def test_with_one_task_all_is_active_that_serves_it(conditioning: str) -> None:
    single = count_parameters(network([CLS], conditioning=conditioning))
    multiple = count_parameters(network(ALL, conditioning=conditioning))
    biggest = max(count_parameters(network([task], conditioning=conditioning)).active for task in ALL)
    assert multiple.active == biggest
    assert single.active == (
        single.total if conditioning != "experts" else single.total - single.by_role["experts"] // 2
    )


@pytest.mark.parametrize("freeze", ["none", "early", "backbone"])
def test_frozen_parameters_are_not_counted_as_trained(freeze: str) -> None:
    built = network(freeze=freeze)
    counts = count_parameters(built)
    assert counts.trained == sum(p.numel() for p in built.parameters() if p.requires_grad)
    if freeze == "backbone":
        assert counts.trained == counts.total - counts.by_role["backbone"]


def test_every_parameter_has_its_role() -> None:
    built = network()
    parts = map_parameter_roles(built)
    assert set(parts) == {name for name, _ in built.named_parameters()}
    assert parts["encoder.vit.blocks.5.attn.qkv.weight"] == "backbone"
    assert parts["encoder.vit.blocks.5.mlp.experts.0.fc1.weight"] == "experts"
    assert parts["encoder.vit.blocks.5.mlp.router.token.weight"] == "conditioning"
    assert {role for name, role in parts.items() if name.startswith("embeddings.")} == {"conditioning"}


@pytest.mark.parametrize(
    ("name", "depth"),
    [
        ("encoder.vit.patch_embed.proj.weight", 0),
        ("encoder.vit.cls_token", 0),
        ("encoder.vit.blocks.0.norm1.weight", 1),
        ("encoder.vit.blocks.11.mlp.experts.3.fc1.bias", 12),
        ("encoder.vit.norm.weight", 13),
        ("encoder.vit.fc_norm.weight", 13),
    ],
)
def test_depth_of_a_parameter(name: str, depth: int) -> None:
    assert get_layer_depth(name, 12) == depth


def test_the_tiny_model_is_tiny() -> None:
    assert count_parameters(network()).total < 2e6
    assert model().encoder == "test_vit"
