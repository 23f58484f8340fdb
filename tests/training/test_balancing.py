"""Rules that combine gradients of tasks, and learned weights, against published formulas and gradients by hand."""

import math
from collections.abc import Mapping

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.models.networks import ALL, CLS, DET, SEG, awaken, images, make_batch_indices, network
from usaggr.config.compose import compose_study
from usaggr.config.study import GRADIENT_BALANCING, TrainingConfig
from usaggr.errors import ConfigError
from usaggr.models.build_network import build_network
from usaggr.models.network import MultiTaskNetwork
from usaggr.training.balancing import (
    TaskGradients,
    Uncertainty,
    join_routing,
    make_gradient_weighting,
    make_task_gradients,
    make_uncertainty,
    map_task_parameters,
)

DEMO = compose_study("demo", ["model=tiny", "model.dropout=0"])


def training(balancing: str) -> TrainingConfig:
    return TrainingConfig.model_validate({**DEMO.training.model_dump(), "balancing": balancing})


def combine(method: str, gradients: Tensor) -> Tensor:
    """Return the combination (n,) of gradients (k, n) by a rule."""
    return make_gradient_weighting(method)(gradients @ gradients.T) @ gradients.double()


CONFLICT = torch.tensor([[1.0, 0.5, 0.0], [-1.0, 1.0, 0.5]])
AGREEMENT = torch.tensor([[1.0, 0.5, 0.0], [0.5, 1.0, 0.5]])


def pcgrad_by_hand(gradients: Tensor) -> Tensor:
    """Compute Yu et al. 2020, algorithm 1, for two tasks: each is projected onto the normal plane of the other."""
    a, b = gradients.double()
    if a @ b < 0:
        return (a - (a @ b) / (b @ b) * b) + (b - (a @ b) / (a @ a) * a)
    return a + b


@pytest.mark.parametrize("gradients", [CONFLICT, AGREEMENT], ids=["conflict", "agreement"])
def test_pcgrad_of_two_tasks_is_the_published_formula(gradients: Tensor) -> None:
    assert torch.allclose(combine("pcgrad", gradients), pcgrad_by_hand(gradients))


@pytest.mark.parametrize("gradients", [CONFLICT, AGREEMENT], ids=["conflict", "agreement"])
def test_upgrad_of_two_tasks_projects_as_pcgrad_does(gradients: Tensor) -> None:
    """The nearest point of the dual cone of two vectors is that projection; torchjd regularizes it slightly."""
    assert torch.allclose(combine("upgrad", gradients), pcgrad_by_hand(gradients), atol=2e-3)


def test_upgrad_of_many_tasks_moves_against_none_of_them() -> None:
    gradients = torch.randn(5, 30, generator=torch.Generator().manual_seed(0))
    gradients[1] = -0.7 * gradients[0] + 0.3 * gradients[1]
    assert (gradients.double() @ combine("upgrad", gradients) > -1e-2).all()
    assert (gradients @ gradients.sum(dim=0) < 0).any(), "their sum moves against one of them"


@pytest.mark.parametrize("gradients", [CONFLICT, AGREEMENT], ids=["conflict", "agreement"])
def test_mgda_of_two_tasks_is_twice_the_shortest_vector_between_them(gradients: Tensor) -> None:
    """Désidéri 2012: the point of the segment nearest to the origin."""
    a, b = gradients.double()
    share = float(torch.clamp(((b - a) @ b) / ((b - a) @ (b - a)), 0, 1))
    assert torch.allclose(combine("mgda", gradients), 2 * (share * a + (1 - share) * b), atol=1e-4)


def test_imtl_g_has_the_same_projection_on_the_direction_of_each_gradient() -> None:
    """Liu et al. 2021, equation 5; the weights sum to the number of tasks."""
    gradients = torch.randn(4, 9, generator=torch.Generator().manual_seed(1)).abs()
    weights = make_gradient_weighting("imtl_g")(gradients @ gradients.T)
    assert float(weights.sum()) == pytest.approx(4)
    directions = (gradients / gradients.norm(dim=1, keepdim=True)).double()
    projections = directions @ (weights @ gradients.double())
    assert torch.allclose(projections, projections.mean().expand(4), rtol=1e-4)


@pytest.mark.parametrize("method", GRADIENT_BALANCING)
@given(st.floats(1e-6, 1e6))
def test_no_rule_depends_on_the_common_size_of_the_gradients(method: str, size: float) -> None:
    small, large = combine(method, CONFLICT), combine(method, CONFLICT * size)
    assert torch.allclose(large / size, small, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", GRADIENT_BALANCING)
def test_equal_gradients_give_their_sum(method: str) -> None:
    same = torch.tensor([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]])
    assert torch.allclose(combine(method, same), torch.tensor([3.0, 6.0], dtype=torch.float64), rtol=1e-3)


@pytest.mark.parametrize("method", GRADIENT_BALANCING)
def test_a_gradient_of_zero_is_ignored(method: str) -> None:
    with_zero = torch.stack([CONFLICT[0], torch.zeros(3), CONFLICT[1]])
    assert torch.allclose(combine(method, with_zero), combine(method, CONFLICT), atol=1e-6)


def test_gradients_that_are_not_finite_are_summed_so_that_the_next_loss_ends_the_run() -> None:
    gramian = torch.tensor([[1.0, math.inf], [math.inf, 2.0]])
    for method in GRADIENT_BALANCING:
        assert make_gradient_weighting(method)(gramian).tolist() == [1, 1]


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torchjd.aggregation", None)
    with pytest.raises(ConfigError, match=r"pcgrad needs the package torchjd: pip install usaggr\[torchjd\]"):
        make_gradient_weighting("pcgrad")


# Gradients of a network


def losses_of(outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    size = {task.id: i + 1.0 for i, task in enumerate(ALL)}
    return {task_id: size[task_id] * output.square().mean() for task_id, output in outputs.items()}


def compute_task_losses(
    built: MultiTaskNetwork, batch: Tensor, batch_indices: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return losses from one forward pass per task."""
    outputs = {t: built(batch[indices], {t: torch.arange(len(indices))})[t] for t, indices in batch_indices.items()}
    return losses_of(outputs)


def tiny() -> MultiTaskNetwork:
    return build_network(DEMO.model, list(ALL), 0)


def gradients_of(built: nn.Module) -> dict[str, Tensor | None]:
    gradients = {name: None if p.grad is None else p.grad.clone() for name, p in built.named_parameters()}
    built.zero_grad()
    return gradients


@pytest.mark.parametrize("kind", ["tiny", "m2dino"])
def test_with_equal_weights_gradients_are_those_of_the_sum(kind: str) -> None:
    built = tiny() if kind == "tiny" else awaken(network())
    batch = images(size=(64, 64))
    torch.stack(list(losses_of(built(batch, make_batch_indices())).values())).sum().backward()
    expected = gradients_of(built)
    TaskGradients(built, lambda gramian: torch.ones(len(gramian))).backward(
        compute_task_losses(built, batch, make_batch_indices())
    )
    gradients = gradients_of(built)
    for name, gradient in expected.items():
        if gradient is None:
            assert gradients[name] is None, name
        else:
            assert gradients[name] is not None, name
            # Sums in another order, in single precision: processors differ by up to 1e-5 of the largest gradient. The
            # gradient of a bias before softmax is 0 up to rounding.
            assert torch.allclose(gradients[name], gradient, atol=3e-5 * float(gradient.abs().max()) + 5e-7), name


def test_the_jacobian_is_that_of_autograd_row_by_row() -> None:
    built, batch = tiny(), images(size=(64, 64))
    seen: list[Tensor] = []

    def weigh(gramian: Tensor) -> Tensor:
        seen.append(gramian)
        return torch.tensor([2.0, -1.0, 0.5, 0.0])

    TaskGradients(built, weigh).backward(compute_task_losses(built, batch, make_batch_indices()))
    gradients = gradients_of(built)
    task_of = map_task_parameters(built)
    shared = {name: p for name, p in built.named_parameters() if name not in task_of}
    losses = losses_of(built(batch, make_batch_indices()))
    jacobian = []
    for task in make_batch_indices():
        row = torch.autograd.grad(losses[task], list(shared.values()), retain_graph=True, allow_unused=True)
        filled = [torch.zeros_like(p) if g is None else g for g, p in zip(row, shared.values(), strict=True)]
        jacobian.append(torch.cat([g.flatten() for g in filled]))
    matrix = torch.stack(jacobian)
    scale = float((matrix @ matrix.T).abs().max())
    assert torch.allclose(seen[0], matrix @ matrix.T, atol=1e-4 * scale)
    combined = torch.tensor([2.0, -1.0, 0.5, 0.0]) @ matrix
    parts = combined.split([p.numel() for p in shared.values()])
    for name, segment in zip(shared, parts, strict=True):
        gradient = gradients[name]
        assert gradient is not None
        assert torch.allclose(gradient.flatten(), segment, atol=1e-4 * float(combined.abs().max())), name
    for task in make_batch_indices():  # heads do not depend on the rule
        head = dict(built.get_head(task).named_parameters())
        expected = torch.autograd.grad(losses[task], list(head.values()), retain_graph=True)
        for name, gradient in zip(head, expected, strict=True):
            of_head = gradients[next(n for n in task_of if task_of[n] == task and n.endswith(f".{name}"))]
            assert of_head is not None
            assert torch.allclose(of_head, gradient, atol=1e-5 * float(gradient.abs().max()) + 1e-7)


def test_parameters_that_no_task_of_the_batch_uses_get_no_gradient() -> None:
    built = tiny()
    batch_indices = {SEG.id: torch.tensor([0, 1]), CLS.id: torch.tensor([2])}
    TaskGradients(built, lambda gramian: torch.ones(len(gramian))).backward(
        compute_task_losses(built, images(3, (64, 64)), batch_indices)
    )
    gradients = gradients_of(built)
    task_of = map_task_parameters(built)
    assert all((gradients[name] is None) == (task_of[name] not in batch_indices) for name in task_of)


def test_frozen_modules_get_no_gradient_and_the_others_are_balanced() -> None:
    built = awaken(network(freeze="backbone"))
    TaskGradients(built, make_gradient_weighting("upgrad")).backward(
        compute_task_losses(built, images(size=(64, 64)), make_batch_indices())
    )
    for name, parameter in built.named_parameters():
        if not parameter.requires_grad:
            assert parameter.grad is None, name
    assert any(p.grad is not None for name, p in built.named_parameters() if name not in map_task_parameters(built))


def test_the_auxiliary_loss_is_added_without_a_weight() -> None:
    built, batch = tiny(), images(size=(64, 64))
    weight = next(iter(built.encoder.parameters()))

    def gradient(has_auxiliary_loss: bool) -> Tensor:
        losses = compute_task_losses(built, batch, make_batch_indices())
        more = weight.sum() + 0 * torch.stack(list(losses.values())).sum() if has_auxiliary_loss else None
        TaskGradients(built, make_gradient_weighting("mgda")).backward(losses, more)
        shared_gradient = weight.grad
        built.zero_grad()
        assert shared_gradient is not None
        return shared_gradient

    assert torch.allclose(gradient(True), gradient(False) + 1, atol=1e-5)


def test_one_task_alone_in_a_batch_has_its_plain_gradient() -> None:
    built, batch = tiny(), images(size=(64, 64))
    batch_indices = {DET.id: torch.arange(8)}
    losses_of(built(batch, batch_indices))[DET.id].backward()
    expected = gradients_of(built)

    def never(gramian: Tensor) -> Tensor:
        raise AssertionError("there is nothing to weigh")

    TaskGradients(built, never).backward(compute_task_losses(built, batch, batch_indices))
    gradients = gradients_of(built)
    for name, gradient in expected.items():
        assert (gradient is None) == (gradients[name] is None)
        assert gradient is None or torch.equal(gradient, gradients[name]), name


def test_task_parameters_are_heads_and_embeddings_of_tasks() -> None:
    task_of = map_task_parameters(network())
    assert {task_of[name] for name in task_of} == {task.id for task in ALL}
    embeddings = [name for name in task_of if ".of.task_" in name]
    assert len(embeddings) == len(ALL)
    assert all(name.startswith("heads.") for name in set(task_of) - set(embeddings))
    assert {name for name, _ in network().named_parameters() if name.startswith("heads.")} <= set(task_of)


def test_joined_routing_of_tasks_is_that_of_the_batch() -> None:
    built = awaken(network()).eval()
    batch, batch_indices = images(size=(64, 64)), make_batch_indices()
    expected = built.forward_with_routing(batch, batch_indices).routing
    routings = []
    for task, indices in batch_indices.items():
        routings.append(built.forward_with_routing(batch[indices], {task: torch.arange(len(indices))}).routing)
    joined, order = join_routing(routings), torch.cat(list(batch_indices.values()))
    assert joined.keys() == expected.keys()
    for block, routed in expected.items():
        assert torch.allclose(joined[block].probabilities, routed.probabilities[order], atol=1e-5)
        assert torch.allclose(joined[block].weights, routed.weights[order], atol=1e-5)
        assert torch.equal(joined[block].chosen, routed.chosen[order])
    assert join_routing([{}, {}]) == {}


# Selection of the method


@pytest.mark.parametrize("balancing", ["equal", "uncertainty", *GRADIENT_BALANCING])
def test_a_model_of_one_task_has_nothing_to_weigh(balancing: str) -> None:
    single_task = build_network(DEMO.model, [SEG], 0)
    assert make_uncertainty(single_task, training(balancing)) is None
    assert make_task_gradients(single_task, training(balancing)) is None
    assert (make_uncertainty(tiny(), training(balancing)) is not None) == (balancing == "uncertainty")
    assert (make_task_gradients(tiny(), training(balancing)) is not None) == (balancing in GRADIENT_BALANCING)


# Learned weights


def test_at_the_start_the_objective_and_its_gradient_are_those_of_equal() -> None:
    uncertainty = Uncertainty(["a", "b.c"])
    losses = {"a": torch.tensor(3.0, requires_grad=True), "b.c": torch.tensor(5.0, requires_grad=True)}
    objective = uncertainty(losses, {"a": 2.0, "b.c": 1.0})
    assert float(objective.detach()) == 8
    objective.backward()
    assert [float(loss.grad) for loss in losses.values() if loss.grad is not None] == [1, 1]
    # d/ds of exp(-s) loss + n s at s = 0 is n - loss.
    assert [float(s.grad) for s in uncertainty.log_variances.values() if s.grad is not None] == [-1, -4]
    assert uncertainty.compute_weights() == {"a": 1.0, "b.c": 1.0}


def test_the_objective_is_the_published_one_twice_over() -> None:
    """Kendall et al. 2018, equation 7: loss / (2 sigma^2) + log sigma."""
    uncertainty = Uncertainty(["a"])
    sigma, loss = 1.7, 0.8
    with torch.no_grad():
        uncertainty.log_variances["task_a"].fill_(2 * math.log(sigma))
    objective = float(uncertainty({"a": torch.tensor(loss)}, {"a": 1.0}))
    assert objective == pytest.approx(2 * (loss / (2 * sigma**2) + math.log(sigma)), rel=1e-6)
    assert uncertainty.compute_weights()["a"] == pytest.approx(1 / sigma**2)


def test_at_the_optimum_a_learned_weight_is_one_over_the_tasks_loss_for_any_configured_weight() -> None:
    uncertainty = Uncertainty(["a", "b"])
    optimizer = torch.optim.Adam(uncertainty.parameters(), lr=0.05)
    weights = {"a": 1.0, "b": 3.0}
    for _ in range(400):
        optimizer.zero_grad()
        sums = {"a": torch.tensor(4 * 0.25), "b": 3.0 * torch.tensor(2 * 2.0)}
        uncertainty(sums, {"a": 4 * weights["a"], "b": 2 * weights["b"]}).backward()
        optimizer.step()
    assert uncertainty.compute_weights() == pytest.approx({"a": 4.0, "b": 0.5}, rel=1e-2)


def test_the_weight_of_a_task_that_is_not_in_the_batch_is_not_touched() -> None:
    uncertainty = Uncertainty(["a", "b"])
    uncertainty({"a": torch.tensor(2.0)}, {"a": 1.0}).backward()
    assert uncertainty.log_variances["task_b"].grad is None
