"""The plain vision transformers of timm: whose blocks all have an MLP, on one grid of patches.

What timm has under other names (convolutional stems, pyramids, windows) is refused with the nearest names that will do.
"""

import difflib
from typing import Any

import timm
import torch
from timm.layers import PatchEmbed  # type: ignore[attr-defined]
from torch import nn

from usaggr.config.model import M2DinoConfig
from usaggr.errors import ConfigError, one_of
from usaggr.models.weight_files import first_line

_FAMILIES = ("eva", "vision_transformer", "deit")
"""Files of timm in which plain vision transformers are found."""
_NEAREST = 3
"""Names proposed in a message."""


def create_vit(model: M2DinoConfig) -> nn.Module:
    """The bare transformer, drawn from torch's generator, without a head, for images of any size in whole patches.

    Raises:
        ConfigError: timm has no such network or no such tag, or it is no plain vision transformer.
    """
    name = model.encoder
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise ConfigError(
            f"{one_of('model.encoder', name, _nearest_plain(name))}; others that are plain vision transformers are in "
            "timm.list_models()"
        )
    if tag:
        tagged = timm.list_models(f"{architecture}.*", pretrained=True)
        if name not in tagged:
            raise ConfigError(f"{one_of('model.encoder', name, tagged)}; or {architecture}, without a tag")
    try:
        vit = _create(name, model.patch_size)
    except _NotPlainError as error:
        raise ConfigError(
            f"model.encoder={name}: is no plain vision transformer ({error}); near it are "
            f"{', '.join(_nearest_plain(architecture))}"
        ) from error
    return vit


class _NotPlainError(Exception):
    """Why a network is no plain vision transformer."""


def _create(name: str, patch_size: int | None = None) -> nn.Module:
    """The network, if it is plain."""
    options: dict[str, Any] = {} if patch_size is None else {"patch_size": patch_size}
    try:
        vit: Any = timm.create_model(name, pretrained=False, num_classes=0, dynamic_img_size=True, **options)
    except TypeError as error:
        raise _NotPlainError("timm does not build it for any number of patches") from error
    except Exception as error:  # each family refuses options that it does not know in its own way
        raise _NotPlainError(first_line(error)) from error
    blocks = getattr(vit, "blocks", None)
    if not isinstance(blocks, nn.ModuleList | nn.Sequential) or not hasattr(vit, "forward_intermediates"):
        raise _NotPlainError("it has no row of blocks that all work on the same tokens")
    if not all(isinstance(getattr(block, "mlp", None), nn.Module) for block in blocks):
        raise _NotPlainError("not each of its blocks has one MLP")
    if not isinstance(vit.patch_embed, PatchEmbed) or len(set(vit.patch_embed.patch_size)) > 1:
        raise _NotPlainError("its tokens are no square patches of the image")
    return vit  # type: ignore[no-any-return]


def _nearest_plain(name: str) -> list[str]:
    """Names like this one that are plain vision transformers, nearest first."""
    found: list[str] = []
    for near in difflib.get_close_matches(name, _candidates(), n=4 * _NEAREST, cutoff=0.0):
        try:
            with torch.device("meta"):
                _create(near)
        except _NotPlainError:
            continue
        found.append(near)
        if len(found) == _NEAREST:
            break
    return found


def _candidates() -> list[str]:
    return [name for family in _FAMILIES for name in timm.list_models(module=family)]
