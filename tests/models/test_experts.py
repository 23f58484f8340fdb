"""Mixture of experts: top-k routing computes the chosen experts only; weights, shares and load balancing."""

import math
from collections.abc import Sequence
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.models.networks import images, make_batch_indices, network
from usaggr.models.experts import (
    ExpertMlp,
    choose_experts,
    compute_shares,
    load_balancing_loss,
    mix_all_experts,
    mix_chosen_experts,
)
from usaggr.models.per_task import BlockRouting


class Counting(nn.Module):
    """Expert that multiplies tokens by a number, and counts them."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.seen = 0

    def forward(self, tokens: Tensor) -> Tensor:
        self.seen += len(tokens)
        return tokens * self.factor


def probabilities(tokens: int, experts: int, seed: int) -> Tensor:
    return torch.randn(tokens, experts, generator=torch.Generator().manual_seed(seed)).softmax(dim=-1)


@given(tokens=st.integers(1, 40), count=st.integers(2, 8), top_k=st.integers(1, 8), seed=st.integers(0, 2**31))
def test_dispatch_is_the_weighted_sum_and_computes_nothing_else(tokens: int, count: int, top_k: int, seed: int) -> None:
    top_k = min(top_k, count)
    experts = [Counting(float(i + 1)) for i in range(count)]
    inputs = torch.randn(tokens, 3, generator=torch.Generator().manual_seed(seed))
    weights, chosen = choose_experts(probabilities(tokens, count, seed), top_k)
    mixed = mix_chosen_experts(experts, inputs, weights, chosen)
    for i in range(tokens):
        factor = sum(float(weights[i, j]) * (int(chosen[i, j]) + 1) for j in range(top_k))
        assert torch.allclose(mixed[i], inputs[i] * factor, atol=1e-4)
    assert sum(expert.seen for expert in experts) == tokens * top_k
    assert [expert.seen for expert in experts] == torch.bincount(chosen.flatten(), minlength=count).tolist()


def test_dispatch_to_all_is_the_dense_mixture_in_value_and_gradient() -> None:
    experts = [nn.Linear(5, 5) for _ in range(4)]
    shared = probabilities(12, 4, 0)
    gradients: list[list[Tensor]] = []
    outputs: list[Tensor] = []
    for sparse in (True, False):
        tokens = torch.randn(12, 5, generator=torch.Generator().manual_seed(1)).requires_grad_()
        weights = shared.clone().requires_grad_()
        if sparse:
            mixed = mix_chosen_experts(experts, tokens, *choose_experts(weights, 4))
        else:
            mixed = mix_all_experts(experts, tokens[None], weights[None])[0]
        outputs.append(mixed)
        parameters = [tokens, weights, *(p for expert in experts for p in expert.parameters())]
        gradients.append(list(torch.autograd.grad(mixed.square().sum(), parameters)))
    assert torch.allclose(outputs[0], outputs[1], atol=1e-6)
    # Probabilities that sum to 1 do not change when they are rescaled; only the gradient along their sum is removed.
    for i, (first, second) in enumerate(zip(*gradients, strict=True)):
        if i == 1:
            second = second - (second * shared).sum(dim=-1, keepdim=True)
        assert torch.allclose(first, second, atol=1e-5)


@given(count=st.integers(2, 8), top_k=st.integers(1, 8), seed=st.integers(0, 2**31))
def test_the_likeliest_experts_share_a_weight_of_one(count: int, top_k: int, seed: int) -> None:
    top_k = min(top_k, count)
    router_probabilities = probabilities(20, count, seed)
    weights, chosen = choose_experts(router_probabilities, top_k)
    assert torch.allclose(weights.sum(dim=-1), torch.ones(20), atol=1e-6)
    assert torch.equal(
        chosen.sort(dim=-1).values, router_probabilities.argsort(dim=-1, descending=True)[:, :top_k].sort(dim=-1).values
    )
    chosen_probabilities = router_probabilities.gather(-1, chosen)
    assert torch.allclose(weights, chosen_probabilities / chosen_probabilities.sum(dim=-1, keepdim=True), atol=1e-6)


def test_the_router_learns_with_a_single_expert_a_token_too() -> None:
    logits = torch.tensor([[0.3, 0.1, -0.2]], requires_grad=True)
    weights, chosen = choose_experts(logits.softmax(dim=-1), 1)
    assert weights.item() == 1
    (weights * 2.0).sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    likelihood = logits.detach().softmax(dim=-1)[0]
    expected = 2 * ((torch.arange(3) == chosen.item()).float() - likelihood)  # of log p
    assert torch.allclose(logits.grad[0], expected, atol=1e-6)


def routed(values: Sequence[Sequence[float]], top_k: int) -> BlockRouting:
    router_probabilities = torch.tensor([values])
    return BlockRouting(router_probabilities, *choose_experts(router_probabilities, top_k))


@pytest.mark.parametrize(
    ("values", "top_k", "expected"),
    [
        ([[0.25] * 4, [0.25] * 4], 4, 1.0),
        ([[1.0, 0, 0, 0]], 1, 4.0),  # all tokens to one expert: the number of experts
        ([[0.6, 0.4], [0.4, 0.6]], 1, 1.0),
        ([[0.6, 0.4], [0.6, 0.4]], 1, 1.2),  # 2 x (1 x 0.6)
        ([[0.5, 0.3, 0.2]], 2, 3 * (0.625 * 0.5 + 0.375 * 0.3)),
        ([[0.7, 0.3], [0.3, 0.7]], 2, 1.0),
        ([[0.7, 0.3]], 2, 2 * (0.49 + 0.09)),  # all experts serve each token: importance
    ],
)
def test_the_balance_is_one_where_all_have_the_same_share(
    values: list[list[float]], top_k: int, expected: float
) -> None:
    assert load_balancing_loss({0: routed(values, top_k)}).item() == pytest.approx(expected, rel=1e-5)


def test_the_balance_is_a_mean_over_blocks() -> None:
    even, collapsed = routed([[0.5, 0.5]], 2), routed([[1.0, 0.0]], 2)
    assert load_balancing_loss({3: even, 4: collapsed}).item() == pytest.approx((1 + 2) / 2)


def test_the_balance_pulls_at_probabilities_by_the_shares_that_experts_have() -> None:
    """Shares are constants, as in Switch Transformers: the gradient is E x share / tokens for any probabilities."""
    router_probabilities = torch.tensor([[[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]], requires_grad=True)
    for top_k in (1, 2, 3):
        weights, chosen = choose_experts(router_probabilities, top_k)
        (gradient,) = torch.autograd.grad(
            load_balancing_loss({0: BlockRouting(router_probabilities, weights, chosen)}), router_probabilities
        )
        share = compute_shares(BlockRouting(router_probabilities, weights, chosen)).detach().mean(dim=(0, 1))
        assert torch.allclose(gradient, (3 * share / 2).expand(1, 2, 3))


def test_descending_the_balance_evens_out_the_experts() -> None:
    for top_k in (1, 2, 4):
        logits = torch.randn(1, 64, 4, generator=torch.Generator().manual_seed(0)) + torch.tensor([1.0, 0, 0, -1])
        bias = torch.zeros(4, requires_grad=True)

        def now(bias: Tensor = bias, logits: Tensor = logits, top_k: int = top_k) -> BlockRouting:
            router_probabilities = (logits + bias).softmax(dim=-1)
            return BlockRouting(router_probabilities, *choose_experts(router_probabilities, top_k))

        optimizer = torch.optim.SGD([bias], 0.5)
        before = compute_shares(now()).mean(dim=(0, 1)).std().item()
        for _ in range(50):
            optimizer.zero_grad()
            load_balancing_loss({0: now()}).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        assert compute_shares(now()).mean(dim=(0, 1)).std().item() < 0.35 * before


def test_shares_are_the_weights_by_expert() -> None:
    expert_shares = compute_shares(routed([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], 2))
    assert expert_shares.shape == (1, 2, 3)
    assert expert_shares[0, 0].tolist() == pytest.approx([0.625, 0.375, 0])
    assert expert_shares.sum(dim=-1).flatten().tolist() == pytest.approx([1, 1])


def count_tokens(seen: list[int], module: nn.Module, inputs: tuple[Tensor], out: Tensor) -> None:
    seen.append(math.prod(inputs[0].shape[:-1]))


def test_experts_compute_only_the_routed_tokens_for_every_number_of_experts() -> None:
    for count, top_k in ((4, 1), (4, 2), (8, 2), (8, 8)):
        built = network(experts={"count": count, "top_k": top_k})
        seen: list[int] = []
        for block in built.encoder.blocks:
            if isinstance(block.mlp, ExpertMlp):
                for expert in block.mlp.experts:
                    expert.register_forward_hook(partial(count_tokens, seen))
        built(images(8, (32, 48)), make_batch_indices())
        tokens = 8 * (4 * 6 + 1)  # patches of 8 pixels, and the class token
        assert sum(seen) == 3 * top_k * tokens
