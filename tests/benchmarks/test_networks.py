"""Tests of the parameters, FLOPs and training steps that the benchmarks of networks measure."""

import pytest
import torch

from benchmarks.models.networks import NETWORKS, count_backbone_parameters, count_flops, count_step_flops, measure_facts
from benchmarks.training.training_step import TASKS, TrainingStep, make_study, measure_rate
from usaggr.config.model import M2DinoConfig
from usaggr.models.build_network import build_network
from usaggr.models.m2dino import M2Dino
from usaggr.models.parameters import count_parameters

TINY = "model=m2dino_tiny"


@pytest.mark.parametrize("overrides", [o for o in NETWORKS if o[0].startswith("model=m2dino")], ids=" ".join)
def test_the_backbone_has_as_many_parameters_as_in_timm(overrides: tuple[str, ...]) -> None:
    model = make_study(overrides, 1, 256).model
    assert isinstance(model, M2DinoConfig)
    with torch.device("meta"):
        counts = count_parameters(build_network(model, TASKS, seed=0))
        bare = count_backbone_parameters(overrides)
    # One of the experts replaces the MLP of the block.
    experts = counts.by_role.get("experts", 0)
    assert counts.by_role["backbone"] + experts // model.experts.count == bare
    assert (experts > 0) == (model.conditioning == "experts")


def test_networks_other_than_m2dino_have_no_transformer() -> None:
    assert count_backbone_parameters(("model=tiny",)) is None


def test_flops_of_a_transformer_are_those_of_its_matrix_products() -> None:
    network = build_network(make_study([TINY, "model.conditioning=none"], 1, 64).model, TASKS, seed=0)
    assert isinstance(network, M2Dino)
    vit, width, patches = network.encoder, network.encoder.channels, (64 // network.encoder.patch) ** 2
    tokens = patches + 1
    hidden = vit.blocks[0].mlp.fc1.out_features  # type: ignore[union-attr]
    block = 2 * tokens * width * (3 * width + width + 2 * hidden) + 2 * 2 * tokens**2 * width
    embedding = 2 * patches * width * 3 * vit.patch**2
    with torch.inference_mode():
        flops = count_flops(lambda: vit(torch.randn(1, 3, 64, 64)))
    assert flops == vit.depth * block + embedding


@pytest.mark.slow
def test_the_cost_of_experts_depends_on_their_number_per_token_and_not_on_their_total_number() -> None:
    def flops(experts: int, top_k: int) -> float:
        overrides = [TINY, f"model.experts.count={experts}", f"model.experts.top_k={top_k}"]
        return count_step_flops(TrainingStep(overrides, 4, 64))

    few, more_experts, more_a_token = flops(4, 2), flops(8, 2), flops(8, 4)
    assert few <= more_experts < 1.01 * few  # the router has more outputs
    assert more_a_token > 1.15 * more_experts


def test_a_training_step_trains_all_components() -> None:
    step = TrainingStep([TINY], 4, 64)
    before = {name: parameter.detach().clone() for name, parameter in step.network.named_parameters()}
    time = step()
    still = {name for name, p in step.network.named_parameters() if torch.equal(before[name], p)}
    assert {name for name in still if not name.startswith("encoder")} == set()
    assert len(still) < len(before) / 10
    assert time.total == time.gradient + time.update > 0
    assert all(parameter.grad is None for parameter in step.network.parameters())


def test_at_least_three_steps_are_timed_even_if_they_take_long() -> None:
    rate, steps = measure_rate(TrainingStep(["model=tiny"], 4, 64), repetitions=9, most_seconds=0.0)
    assert steps == 3
    assert rate > 0


def test_facts_are_of_a_segmentation_task_with_all_heads_counted() -> None:
    network = build_network(make_study(["model=tiny"], 1, 256).model, TASKS, seed=0)
    network_facts = measure_facts(("model=tiny",), network)
    assert sum(network_facts.counts.by_role.values()) == sum(parameter.numel() for parameter in network.parameters())
    assert network_facts.counts.active < network_facts.counts.total
    assert network_facts.forward_flops > 0
