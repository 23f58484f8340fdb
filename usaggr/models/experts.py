"""Task-conditioned mixture of experts, which replaces the MLP of a transformer block.

Experts start as copies of the pretrained MLP (sparse upcycling: Komatsuzaki et al., ICLR 2023). For each token a router
weighs them by the token and its task (M2DINO, arXiv:2603.18123). There are three ways to combine experts:

* top-k routing (`mix_chosen_experts`): k experts per token; the others are not computed;
* dense mixture (`mix_all_experts`): all experts, weighted by the router's probabilities;
* uniform mixture: the mean of all experts, without a router.
"""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from usaggr.config.model import ExpertsConfig
from usaggr.models.per_task import BlockRouting, TaskContext

Experts = Sequence[nn.Module] | nn.ModuleList
"""Modules of one shape, each from tokens to tokens."""


class Router(nn.Module):
    """Linear classifier of tokens over experts: tokens (N, T, C) to probabilities (N, T, E).

    The logit is `token @ W + embedding @ V + b`, where V is left out if the router does not see the task. Weights are
    initialized as in `nn.Linear`, never to 0: identical experts under equal weights would always get the same gradient.

    Args:
        channels: C, the channels of a token.
        experts: E, the number of experts.
        task_channels: D, the channels of a task's embedding; None: the router does not see the task.
        context: Context of the network; holds the embedding (N, D) of each sample's task.
    """

    def __init__(self, channels: int, experts: int, task_channels: int | None, context: TaskContext) -> None:
        super().__init__()
        self.context = context
        self.token = nn.Linear(channels, experts)
        self.task = nn.Linear(task_channels, experts, bias=False) if task_channels is not None else None

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the probabilities, in float32 (float64 for a network in double precision)."""
        # Autocast is off because rounding to half precision can change the order of the experts.
        precision = torch.promote_types(self.token.weight.dtype, torch.float32)
        with torch.autocast(tokens.device.type, enabled=False):
            logits: Tensor = self.token(tokens.to(precision))
            if self.task is not None:
                assert self.context.embedding is not None
                task_logits: Tensor = self.task(self.context.embedding.to(precision))
                logits = logits + task_logits[:, None]
            return logits.softmax(dim=-1)


class ExpertMlp(nn.Module):
    """MLP of a transformer block as several experts: tokens (N, T, C) to (N, T, C).

    Args:
        mlp: MLP of the block, which each expert starts as a copy of.
        channels: C, the channels of a token.
        experts: Number of experts, top-k, and kind of router.
        block: Index of the block, from 0; the key under which its routing is recorded.
        context: Context of the network.
    """

    def __init__(self, mlp: nn.Module, channels: int, experts: ExpertsConfig, block: int, context: TaskContext) -> None:
        super().__init__()
        self.block = block
        self.top_k = experts.top_k
        self.context = context
        self.experts = nn.ModuleList([copy.deepcopy(mlp) for _ in range(experts.count)])
        task_channels = experts.task_channels if experts.router == "task" else None
        self.router = None if experts.router == "uniform" else Router(channels, experts.count, task_channels, context)

    @property
    def count(self) -> int:
        """Number of experts."""
        return len(self.experts)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the weighted sum of the experts' outputs for each token; record the routing in the context."""
        if self.router is None:
            return torch.stack([expert(tokens) for expert in self.experts]).mean(dim=0)
        probabilities = self.router(tokens)
        weights, chosen = choose_experts(probabilities, self.top_k)
        self.context.record_routing(self.block, BlockRouting(probabilities, weights, chosen))
        if self.top_k == self.count:
            return mix_all_experts(self.experts, tokens, probabilities)
        flat = mix_chosen_experts(self.experts, tokens.flatten(0, 1), weights.flatten(0, 1), chosen.flatten(0, 1))
        return flat.view_as(tokens)


@torch.no_grad()
def add_noise(experts: nn.Module, noise: float) -> None:
    """Add Gaussian noise to all weights, drawn from torch's global generator, so that copies start to differ.

    `noise` is the standard deviation relative to that of each tensor; tensors of one element are left as they are.
    """
    for parameter in experts.parameters():
        if parameter.numel() > 1:
            parameter.add_(torch.randn_like(parameter), alpha=noise * float(parameter.std()))


def choose_experts(probabilities: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """Return weights and indices of the k most probable experts: both (..., k), from probabilities (..., E).

    The weights are the probabilities, rescaled to sum to 1. With k = 1 this is always 1 and would teach the router
    nothing. Then the weight is p / p.detach(): its value is 1, its gradient that of log p (straight-through).
    """
    weights, chosen = probabilities.topk(top_k, dim=-1)
    if top_k == 1:
        return weights / weights.detach(), chosen
    return weights / weights.sum(dim=-1, keepdim=True), chosen


def mix_all_experts(experts: Experts, tokens: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sum of all experts' outputs: the dense mixture.

    Args:
        experts: E modules, each from (N, T, C) to (N, T, C).
        tokens: (N, T, C).
        weights: (N, T, E), which sum to 1 over the experts.

    Returns:
        (N, T, C).
    """
    total = torch.zeros((), device=tokens.device)
    for i, expert in enumerate(experts):
        outputs = expert(tokens)
        total = total + outputs * weights[..., i, None].to(outputs.dtype)
    return total


def mix_chosen_experts(experts: Experts, tokens: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
    """Return the weighted sum of the chosen experts' outputs; no other outputs are computed.

    Every pair of a token and one of its experts is one assignment. Assignments are sorted by expert, so that each
    expert runs once on a contiguous batch, and the outputs are sorted back.

    Args:
        experts: E modules, each from (m, C) to (m, C).
        tokens: (M, C).
        weights: (M, k) of the chosen experts.
        chosen: (M, k) int64 in [0, E).

    Returns:
        (M, C).
    """
    top_k = chosen.shape[1]
    assignments = chosen.flatten()  # (M k): assignment a is of token a // k
    by_expert = assignments.argsort(stable=True)
    loads = torch.bincount(assignments, minlength=len(experts)).tolist()
    expert_tokens = torch.split(tokens[by_expert // top_k], loads)
    # An expert without tokens is skipped, so that it gets no gradient and AdamW does not move it.
    outputs = torch.cat([expert(batch) for expert, batch in zip(experts, expert_tokens, strict=True) if len(batch)])
    to_original = torch.empty_like(by_expert)
    to_original[by_expert] = torch.arange(len(by_expert), device=by_expert.device)
    outputs = outputs[to_original].view(len(tokens), top_k, -1)
    return (outputs * weights[..., None].to(outputs.dtype)).sum(dim=1)


def load_balancing_loss(routing: Mapping[int, BlockRouting]) -> Tensor:
    """Return the load-balancing loss (), the mean over blocks: 1 if all experts have equal shares, E if one has all.

    For each block it is E x sum over experts of share x mean probability (Fedus et al., Switch Transformers, JMLR 2022,
    equation 4). A share is an expert's mean weight in the outputs. For k = 1 these are the counts of that paper; if all
    experts serve each token, the importance of Shazeer et al. (2017).
    """
    return torch.stack([_compute_block_loss(block) for block in routing.values()]).mean()


def compute_shares(routing: BlockRouting) -> Tensor:
    """Return the weight of each expert in each token's output: (N, T, E), which sums to 1 over the experts."""
    zeros = torch.zeros_like(routing.probabilities)
    return zeros.scatter(-1, routing.chosen, routing.weights.to(zeros.dtype))


def _compute_block_loss(routing: BlockRouting) -> Tensor:
    """Return the load-balancing loss () of one block."""
    # Shares are constants, as the counts of the paper are: the gradient flows through the probabilities only.
    share = compute_shares(routing).detach().mean(dim=(0, 1))
    return routing.probabilities.shape[-1] * (share * routing.probabilities.mean(dim=(0, 1))).sum()
