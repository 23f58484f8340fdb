"""Replacement of batch normalization by group normalization, or by frozen batch normalization.

Runs of different groupings combine different samples in a batch. With batch statistics, a sample's output would depend
on the other samples of its batch, and groupings would differ for this reason alone.
"""

from typing import Any, Literal, TypeVar

from timm.layers.norm_act import BatchNormAct2d, GroupNormAct
from torch import nn

from usaggr.errors import ConfigError

Norm = Literal["group", "frozen", "batch"]
ModuleT = TypeVar("ModuleT", bound=nn.Module)

MAX_GROUPS = 32
"""Default number of groups in Wu and He, Group Normalization, ECCV 2018."""
MIN_GROUP_CHANNELS = 2
"""Fewest channels per group. Trained from scratch, groups of 2 learned faster than groups of 4 or 8, on phantoms and on
real images. A group of one channel would always be 0 on a 1 x 1 map."""


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization with fixed statistics: never in training mode. Its weight and bias are trained."""

    def train(self, mode: bool = True) -> "FrozenBatchNorm2d":
        """Stay in evaluation mode, whatever the mode of the network is."""
        super().train(False)
        return self


class FrozenBatchNormAct2d(BatchNormAct2d):
    """Batch normalization with fixed statistics, for timm's layer that applies an activation after it."""

    def train(self, mode: bool = True) -> "FrozenBatchNormAct2d":
        """Stay in evaluation mode, whatever the mode of the network is."""
        super().train(False)
        return self


def choose_groups(channels: int) -> int:
    """Choose the number of groups for a number of channels: the largest divisor up to 32 with 2 channels per group.

    >>> [choose_groups(c) for c in (3, 8, 32, 48, 96, 512)]
    [1, 4, 16, 24, 32, 32]
    """
    limit = min(MAX_GROUPS, max(channels // MIN_GROUP_CHANNELS, 1))
    return max(groups for groups in range(1, limit + 1) if channels % groups == 0)


def replace_batch_norm(network: ModuleT, norm: Norm) -> ModuleT:
    """Replace the batch normalization of a network in place, as `model.norm` configures; keep weights and biases.

    Raises:
        ConfigError: Layers with batch statistics remain that cannot be replaced.
    """
    if norm == "batch":
        return network
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            replacement = _make_group_norm(child) if norm == "group" else _make_frozen(child)
            if replacement is not None:
                setattr(parent, name, replacement)
    remaining = sorted({type(module).__name__ for module in network.modules() if has_batch_statistics(module)})
    if remaining:
        raise ConfigError(
            f"model.encoder: has layers that mix samples and that model.norm={norm} cannot replace "
            f"({', '.join(remaining)}); choose another encoder"
        )
    return network


def set_group_counts(network: ModuleT) -> ModuleT:
    """Set the number of groups of all group normalizations of a network, in place; see `choose_groups`."""
    for module in network.modules():
        if isinstance(module, nn.GroupNorm):
            module.num_groups = choose_groups(module.num_channels)
    return network


def has_batch_statistics(module: nn.Module) -> bool:
    """Return True if a layer uses statistics of the batch: it keeps running statistics and is not frozen."""
    if isinstance(module, FrozenBatchNorm2d | FrozenBatchNormAct2d):
        return module.running_mean is None
    return hasattr(module, "running_var") or hasattr(module, "running_mean")


def _make_group_norm(norm: nn.Module) -> nn.GroupNorm | None:
    """Make the group normalization that replaces a batch normalization; None for any other layer."""
    # The exact type: a subclass may compute something else.
    if type(norm) not in (nn.BatchNorm2d, BatchNormAct2d):
        return None
    assert isinstance(norm, nn.BatchNorm2d)
    options: dict[str, Any] = {"eps": norm.eps, "affine": norm.affine}
    group: nn.GroupNorm
    if isinstance(norm, BatchNormAct2d):
        group = GroupNormAct(norm.num_features, choose_groups(norm.num_features), apply_act=False, **options)
        group.drop, group.act = norm.drop, norm.act
    else:
        group = nn.GroupNorm(choose_groups(norm.num_features), norm.num_features, **options)
    if norm.affine:
        group.weight, group.bias = norm.weight, norm.bias
    return group


def _make_frozen(norm: nn.Module) -> nn.BatchNorm2d | None:
    """Make the frozen batch normalization that replaces a batch normalization; None for any other layer."""
    if type(norm) not in (nn.BatchNorm2d, BatchNormAct2d):
        return None
    assert isinstance(norm, nn.BatchNorm2d)
    options: dict[str, Any] = {
        "eps": norm.eps,
        "affine": norm.affine,
        "track_running_stats": norm.track_running_stats,
    }
    frozen: nn.BatchNorm2d
    if isinstance(norm, BatchNormAct2d):
        frozen = FrozenBatchNormAct2d(norm.num_features, apply_act=False, **options)
        frozen.drop, frozen.act = norm.drop, norm.act
    else:
        frozen = FrozenBatchNorm2d(norm.num_features, **options)
    frozen.load_state_dict(norm.state_dict())
    return frozen.eval()
