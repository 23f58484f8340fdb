"""Normalisation that mixes no samples: a sample's output must not depend on what else is in its batch."""

from torch import nn

MIN_CHANNELS = 8
"""Channels a group of group normalisation has, at the least, where there are as many."""
MAX_GROUPS = 32


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation (Wu & He 2018) with as many equal groups as make sense for so many channels."""
    most = min(MAX_GROUPS, max(1, channels // MIN_CHANNELS))
    return nn.GroupNorm(next(groups for groups in range(most, 0, -1) if channels % groups == 0), channels)


def replace_batch_norm(module: nn.Module) -> None:
    """Put group normalisation in place of every batch normalisation under a module, with its scale and shift."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d):
            norm = group_norm(child.num_features)
            if child.affine:
                norm.load_state_dict({"weight": child.weight, "bias": child.bias})
            # timm's BatchNormAct2d holds the activation that follows it.
            tail = [getattr(child, part) for part in ("drop", "act") if hasattr(child, part)]
            setattr(module, name, nn.Sequential(norm, *tail) if tail else norm)
        else:
            replace_batch_norm(child)


def freeze_batch_norm(module: nn.Module) -> None:
    """Let every batch normalisation under a module use its stored statistics, whatever the mode of the rest."""
    for child in module.modules():
        if isinstance(child, nn.BatchNorm2d):
            child.eval()
