"""Learning rate of each parameter, by hand."""

import pytest
import torch

from tests.models.networks import network
from usaggr.config.compose import compose_study
from usaggr.config.study import TrainingConfig
from usaggr.models.build_network import build_network
from usaggr.tasks import CATALOGUE
from usaggr.training.optimizer import get_learning_rates, make_optimizer


def training(*overrides: str) -> TrainingConfig:
    rates = ["training.learning_rate=1e-2", "training.encoder_learning_rate=1e-3", "training.weight_decay=0.1"]
    return compose_study("demo", [*rates, *overrides]).training


def test_the_encoder_and_new_modules_have_their_own_rates() -> None:
    rates = get_learning_rates(network(), training())
    assert rates["encoder.vit.patch_embed.proj.weight"] == 1e-3
    assert rates["encoder.vit.blocks.5.mlp.experts.0.fc1.weight"] == 1e-3
    assert rates["encoder.vit.blocks.5.mlp.router.token.weight"] == 1e-2
    assert {rate for name, rate in rates.items() if not name.startswith("encoder.")} == {1e-2}


def test_without_its_own_rate_the_encoder_has_that_of_new_modules() -> None:
    assert set(get_learning_rates(network(), training("training.encoder_learning_rate=null")).values()) == {1e-2}


def test_each_block_has_a_part_of_the_rate_of_the_next() -> None:
    rates = get_learning_rates(network(layer_decay=0.5), training())
    assert rates["encoder.vit.norm.weight"] == pytest.approx(1e-3)
    for i in range(6):
        assert rates[f"encoder.vit.blocks.{i}.norm1.weight"] == pytest.approx(1e-3 * 0.5 ** (6 - i))
    assert rates["encoder.vit.blocks.4.mlp.experts.2.fc2.weight"] == rates["encoder.vit.blocks.4.norm1.weight"]
    assert rates["encoder.vit.pos_embed"] == pytest.approx(1e-3 * 0.5**7)
    assert rates["encoder.vit.blocks.4.mlp.router.token.weight"] == 1e-2


def test_weights_decay_and_norms_biases_and_tokens_do_not() -> None:
    built = network()
    names = {id(parameter): name for name, parameter in built.named_parameters()}
    decaying, still = set(), set()
    for group in make_optimizer(built, training()).param_groups:
        chosen = decaying if group["weight_decay"] else still
        assert group["weight_decay"] in (0, 0.1)
        chosen |= {names[id(parameter)] for parameter in group["params"]}
    assert decaying | still == set(names.values())
    assert not decaying & still
    assert {"encoder.vit.pos_embed", "encoder.vit.cls_token", "embeddings.of.task_IUGC"} <= still
    assert all(name.endswith("weight") for name in decaying)
    assert not any("norm" in name for name in decaying if "dpt" not in name)


def test_settings_without_a_key_have_torchs_defaults() -> None:
    """No fingerprint contains these values: other ones would change the numbers of runs that count as done."""
    usual = torch.optim.AdamW([torch.zeros(1)]).param_groups[0]
    for group in make_optimizer(network(), training()).param_groups:
        assert all(
            group[key] == usual[key] for key in ("betas", "eps", "amsgrad", "maximize", "decoupled_weight_decay")
        )


@pytest.mark.parametrize("freeze", ["early", "backbone"])
def test_frozen_parameters_are_not_in_the_optimizer(freeze: str) -> None:
    built = network(freeze=freeze)
    optimized = {id(p) for group in make_optimizer(built, training()).param_groups for p in group["params"]}
    assert optimized == {id(p) for p in built.parameters() if p.requires_grad}
    assert len(optimized) < len(list(built.parameters()))


def test_other_networks_have_two_rates() -> None:
    built = build_network(compose_study("demo").model, [CATALOGUE["lung"]], 0)
    rates = get_learning_rates(built, training())
    assert {rate for name, rate in rates.items() if name.startswith("encoder.")} == {1e-3}
    assert {rate for name, rate in rates.items() if not name.startswith("encoder.")} == {1e-2}
