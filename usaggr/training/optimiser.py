"""The optimiser of a run: AdamW, with the encoder, and each of its blocks, at a rate of its own."""

import torch
from torch import Tensor

from usaggr.config.study import TrainingConfig
from usaggr.models.network import MultiTaskNetwork
from usaggr.models.parameters import encoder_blocks, layer_depth, parts_of


def make_optimiser(network: MultiTaskNetwork, training: TrainingConfig) -> torch.optim.AdamW:
    """AdamW on what is trained: no weight decay on norms, biases, tokens and what a task has of its own.

    What comes from the encoder, its experts too, has `training.encoder_learning_rate`, times `network.layer_decay` for
    each block between it and the end; decoder, heads, routers and adapters have `training.learning_rate`.
    """
    parts = parts_of(network)
    rates = learning_rates(network, training)
    groups: dict[tuple[bool, float, bool], list[Tensor]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and name.endswith("weight")
            new = parts[name] not in ("backbone", "experts")
            groups.setdefault((new, rates[name], decays), []).append(parameter)
    optimiser = torch.optim.AdamW(
        [
            {"params": groups[key], "lr": key[1], "weight_decay": training.weight_decay if key[2] else 0.0}
            for key in sorted(groups)
        ],
        fused=True,
    )
    # Lightning unscales gradients before it clips them, and refuses optimisers that say they do it themselves.
    optimiser._step_supports_amp_scaling = False
    return optimiser


def learning_rates(network: MultiTaskNetwork, training: TrainingConfig) -> dict[str, float]:
    """The highest learning rate of each parameter, by its name in the network.

    Layer-wise decay: Clark et al., ELECTRA, ICLR 2020; as in BEiT and its followers.
    """
    encoder_rate = training.encoder_learning_rate or training.learning_rate
    depth = encoder_blocks(network)
    rates = {}
    for name, part in parts_of(network).items():
        if part in ("backbone", "experts"):
            rates[name] = encoder_rate * network.layer_decay ** (depth + 1 - layer_depth(name, depth))
        else:
            rates[name] = training.learning_rate
    return rates
