"""Task-conditioned mixture of experts: in the place of a transformer block's MLP, several that start as copies of it.

A router weighs the experts for each token by the token and by its task (M2DINO, arXiv:2603.18123; upcycling:
Komatsuzaki et al., Sparse Upcycling, ICLR 2023). Experts that a token was not sent to are not computed.
"""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from usaggr.config.model import ExpertsConfig
from usaggr.models.per_task import Routed, TaskContext


class Router(nn.Module):
    """Tokens (N, T, C), with their task's embedding or blind to it, to probabilities (N, T, E) of the experts.

    One linear layer on the token and the embedding side by side, as two whose outputs are added; never in less than
    float32, since a softmax's order must not depend on rounding. Never all zero: identical experts under equal
    weights would get the same gradient for ever.
    """

    def __init__(self, channels: int, count: int, task_channels: int | None, context: TaskContext) -> None:
        super().__init__()
        self.context = context
        self.token = nn.Linear(channels, count)
        self.task = nn.Linear(task_channels, count, bias=False) if task_channels is not None else None

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the probabilities, in float32 (float64 for a network in double precision)."""
        precision = torch.promote_types(self.token.weight.dtype, torch.float32)
        with torch.autocast(tokens.device.type, enabled=False):
            logits: Tensor = self.token(tokens.to(precision))
            if self.task is not None:
                assert self.context.embedding is not None
                of_task: Tensor = self.task(self.context.embedding.to(precision))
                logits = logits + of_task[:, None]
            return logits.softmax(dim=-1)


class ExpertMlp(nn.Module):
    """A block's MLP as `count` experts, of which `top_k` serve a token; tokens (N, T, C) to (N, T, C)."""

    def __init__(self, mlp: nn.Module, channels: int, experts: ExpertsConfig, block: int, context: TaskContext) -> None:
        super().__init__()
        self.block = block
        self.top_k = experts.top_k
        self.context = context
        self.experts = nn.ModuleList([copy.deepcopy(mlp) for _ in range(experts.count)])
        width = experts.task_channels if experts.router == "task" else None
        self.router = None if experts.router == "uniform" else Router(channels, experts.count, width, context)

    @property
    def count(self) -> int:
        """Experts."""
        return len(self.experts)

    def forward(self, tokens: Tensor) -> Tensor:
        """The weighted sum of the experts' outputs for each token."""
        if self.router is None:
            return torch.stack([expert(tokens) for expert in self.experts]).mean(dim=0)
        probabilities = self.router(tokens)
        weights, chosen = choose(probabilities, self.top_k)
        self.context.routed[self.block] = Routed(probabilities, weights, chosen)
        if self.top_k == self.count:
            return weigh_all(self.experts, tokens, probabilities)
        flat = dispatch(self.experts, tokens.flatten(0, 1), weights.flatten(0, 1), chosen.flatten(0, 1))
        return flat.view_as(tokens)


@torch.no_grad()
def perturb(experts: nn.Module, noise: float) -> None:
    """Add noise to all weights, in units of each tensor's standard deviation, from torch's global generator."""
    for parameter in experts.parameters():
        if parameter.numel() > 1:
            parameter.add_(torch.randn_like(parameter), alpha=noise * float(parameter.std()))


def choose(probabilities: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """The likeliest experts and their weights, which sum to 1: both (..., k), from probabilities (..., E).

    With k = 1 the weight is 1, with the slope of the probability relative to itself (straight through), since a
    renormalised single weight would teach the router nothing.
    """
    weights, chosen = probabilities.topk(top_k, dim=-1)
    if top_k == 1:
        return weights / weights.detach(), chosen
    return weights / weights.sum(dim=-1, keepdim=True), chosen


def weigh_all(experts: Sequence[nn.Module] | nn.ModuleList, tokens: Tensor, weights: Tensor) -> Tensor:
    """Sum of all experts' outputs (N, T, C), weighted by (N, T, E): the dense mixture."""
    total = torch.zeros((), device=tokens.device)
    for i, expert in enumerate(experts):
        outputs = expert(tokens)
        total = total + outputs * weights[..., i, None].to(outputs.dtype)
    return total


def dispatch(experts: Sequence[nn.Module] | nn.ModuleList, tokens: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
    """Weighted sums of the chosen experts' outputs, of which no others are computed.

    Args:
        experts: E modules from (m, C) to (m, C).
        tokens: (M, C).
        weights: (M, k) of the chosen experts.
        chosen: (M, k) int64 in [0, E).

    Returns:
        (M, C).
    """
    top_k = chosen.shape[1]
    order = chosen.flatten().argsort(stable=True)
    counts = torch.bincount(chosen.flatten(), minlength=len(experts)).tolist()
    parts = torch.split(tokens[order // top_k], counts)
    outputs = torch.cat([expert(part) for expert, part in zip(experts, parts, strict=True) if len(part)])
    places = torch.empty_like(order)
    places[order] = torch.arange(len(order), device=order.device)
    outputs = outputs[places].view(len(tokens), top_k, -1)
    return (outputs * weights[..., None].to(outputs.dtype)).sum(dim=1)


def balance_loss(routed: Mapping[int, Routed]) -> Tensor:
    """The load-balancing term: 1 where all experts of a block have the same share of the batch, E where one has all.

    E times the sum over experts of share x mean probability, mean over blocks (Fedus et al., Switch Transformers, JMLR
    2022, equation 4), with the share taken as the weight that an expert has in the outputs: the counts of that paper
    where k = 1, and Shazeer et al.'s importance (2017) where all experts serve each token.
    """
    return torch.stack([_balance(block) for block in routed.values()]).mean()


def shares(routed: Routed) -> Tensor:
    """(N, T, E): the weight of each expert in each token's output; sums to 1 over the experts."""
    zeros = torch.zeros_like(routed.probabilities)
    return zeros.scatter(-1, routed.chosen, routed.weights.to(zeros.dtype))


def _balance(routed: Routed) -> Tensor:
    share = shares(routed).detach().mean(dim=(0, 1))
    return routed.probabilities.shape[-1] * (share * routed.probabilities.mean(dim=(0, 1))).sum()
