"""Optimizer of a run: AdamW, with lower learning rates for the encoder and its early blocks."""

import torch
from torch import Tensor

from usaggr.config.study import TrainingConfig
from usaggr.models.network import MultiTaskNetwork
from usaggr.models.parameters import count_encoder_blocks, get_layer_depth, map_parameter_roles

_PRETRAINED = ("backbone", "experts")
"""Roles of parameters that start from the encoder's weights, experts as copies of its MLPs."""


def make_optimizer(network: MultiTaskNetwork, training: TrainingConfig) -> torch.optim.AdamW:
    """Make AdamW for all trained parameters, with weight decay on matrices only.

    Norms, biases, tokens and the vectors of single tasks do not decay. For learning rates, see `get_learning_rates`.
    """
    roles = map_parameter_roles(network)
    rates = get_learning_rates(network, training)
    groups: dict[tuple[bool, float, bool], list[Tensor]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and name.endswith("weight")
            is_new = roles[name] not in _PRETRAINED
            groups.setdefault((is_new, rates[name], decays), []).append(parameter)
    optimizer = torch.optim.AdamW(
        [
            {"params": parameters, "lr": rate, "weight_decay": training.weight_decay if decays else 0.0}
            # New parameters come last: the curve shows the rate of the last group.
            for (_, rate, decays), parameters in sorted(groups.items(), key=lambda group: group[0])
        ],
        fused=True,
    )
    # Lightning unscales gradients before it clips them. It refuses optimizers that say they unscale gradients
    # themselves, as fused AdamW does.
    optimizer._step_supports_amp_scaling = False
    return optimizer


def get_learning_rates(network: MultiTaskNetwork, training: TrainingConfig) -> dict[str, float]:
    """Return the peak learning rate of each parameter, by its name in the network.

    The encoder with its experts has `training.encoder_learning_rate`, times `network.layer_decay` for each block
    between a parameter and the end of the encoder. Decoder, heads, routers and adapters have `training.learning_rate`.
    Layer-wise decay: Clark et al., ELECTRA, ICLR 2020; as in BEiT and its successors.
    """
    encoder_rate = training.encoder_learning_rate or training.learning_rate
    blocks = count_encoder_blocks(network)
    rates = {}
    for name, role in map_parameter_roles(network).items():
        if role in _PRETRAINED:
            rates[name] = encoder_rate * network.layer_decay ** (blocks + 1 - get_layer_depth(name, blocks))
        else:
            rates[name] = training.learning_rate
    return rates
