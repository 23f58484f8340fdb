"""Normalisation that mixes no samples: batch normalisation becomes group normalisation, or is frozen.

Runs of different groupings put different samples side by side in a batch; with batch statistics a sample's output would
depend on its neighbours, and groupings would differ by that alone.
"""

from typing import Any, Literal, TypeVar

from timm.layers.norm_act import BatchNormAct2d, GroupNormAct
from torch import nn

from usaggr.errors import ConfigError

Norm = Literal["group", "frozen", "batch"]
ModuleT = TypeVar("ModuleT", bound=nn.Module)

MOST_GROUPS = 32
"""As in Wu and He, Group Normalization, ECCV 2018."""
LEAST_CHANNELS = 2
"""Channels a group: from scratch, small groups learn faster than groups of 4 or 8 (of phantoms and of real images), but
a group of one channel on a 1 x 1 map would always be 0."""


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation with fixed statistics: never in training mode. Its weight and bias are trained."""

    def train(self, mode: bool = True) -> "FrozenBatchNorm2d":
        """Stay in evaluation mode, whatever the network is in."""
        super().train(False)
        return self


class FrozenBatchNormAct2d(BatchNormAct2d):
    """The same for timm's batch normalisation with an activation behind it."""

    def train(self, mode: bool = True) -> "FrozenBatchNormAct2d":
        """Stay in evaluation mode, whatever the network is in."""
        super().train(False)
        return self


def norm_groups(channels: int) -> int:
    """Number of groups for a map of that many channels: the largest divisor up to 32 that leaves 2 channels a group.

    >>> [norm_groups(c) for c in (3, 8, 32, 48, 96, 512)]
    [1, 4, 16, 24, 32, 32]
    """
    most = min(MOST_GROUPS, max(channels // LEAST_CHANNELS, 1))
    return max(groups for groups in range(1, most + 1) if channels % groups == 0)


def without_batch_statistics(network: ModuleT, norm: Norm) -> ModuleT:
    """Replace the batch normalisation of a network, in place, as `model.norm` says; weights and biases are kept.

    Raises:
        ConfigError: layers with batch statistics remain that are not known here.
    """
    if norm == "batch":
        return network
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            replacement = _group_norm(child) if norm == "group" else _frozen(child)
            if replacement is not None:
                setattr(parent, name, replacement)
    left = sorted({type(module).__name__ for module in network.modules() if mixes_samples(module)})
    if left:
        raise ConfigError(
            f"model.encoder: has layers that mix samples and that model.norm={norm} cannot replace "
            f"({', '.join(left)}); choose another encoder"
        )
    return network


def regroup(network: ModuleT) -> ModuleT:
    """Give the group normalisations of a network as many groups as `norm_groups` says, in place."""
    for module in network.modules():
        if isinstance(module, nn.GroupNorm):
            module.num_groups = norm_groups(module.num_channels)
    return network


def mixes_samples(module: nn.Module) -> bool:
    """Whether a layer takes statistics over a batch, or is of a kind that does and is not frozen."""
    if isinstance(module, FrozenBatchNorm2d | FrozenBatchNormAct2d):
        return module.running_mean is None
    return hasattr(module, "running_var") or hasattr(module, "running_mean")


def _group_norm(norm: nn.Module) -> nn.GroupNorm | None:
    """Group normalisation in the place of a batch normalisation; None where it is none."""
    if type(norm) not in (nn.BatchNorm2d, BatchNormAct2d):
        return None
    assert isinstance(norm, nn.BatchNorm2d)
    options: dict[str, Any] = {"eps": norm.eps, "affine": norm.affine}
    group: nn.GroupNorm
    if isinstance(norm, BatchNormAct2d):
        group = GroupNormAct(norm.num_features, norm_groups(norm.num_features), apply_act=False, **options)
        group.drop, group.act = norm.drop, norm.act
    else:
        group = nn.GroupNorm(norm_groups(norm.num_features), norm.num_features, **options)
    if norm.affine:
        group.weight, group.bias = norm.weight, norm.bias
    return group


def _frozen(norm: nn.Module) -> nn.BatchNorm2d | None:
    """A batch normalisation that keeps the statistics of another one; None where it is none."""
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
