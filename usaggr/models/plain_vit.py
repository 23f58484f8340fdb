"""Plain vision transformers of timm: one grid of patches, and blocks that each have one MLP.

Other transformers of timm (with convolutional stems, pyramids or windows) are refused, with similar names that work.
"""

import difflib
from typing import Any

import timm
import torch
from timm.layers import PatchEmbed  # type: ignore[attr-defined]
from torch import nn

from usaggr.config.model import M2DinoConfig
from usaggr.errors import ConfigError, one_of
from usaggr.models.weight_files import get_first_line

_FAMILIES = ("eva", "vision_transformer", "deit")
"""Modules of timm that define plain vision transformers."""
_SUGGESTIONS = 3
"""Maximum number of suggestions in a message."""


def create_vit(model: M2DinoConfig) -> nn.Module:
    """Build a transformer without a head, for any image size that is a multiple of the patch size.

    Initial weights are drawn from torch's global generator.

    Raises:
        ConfigError: timm has no such network or pretrained tag (the part after the dot), or the network is not a plain
            vision transformer.
    """
    name = model.encoder
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise ConfigError(f"{one_of('model.encoder', name, _find_similar(name))}; timm.list_models() lists all names")
    if tag:
        tagged = timm.list_models(f"{architecture}.*", pretrained=True)
        if name not in tagged:
            raise ConfigError(f"{one_of('model.encoder', name, tagged)}; or {architecture}, without a tag")
    try:
        vit = _create(name, model.patch_size)
    except _NotPlainError as error:
        raise ConfigError(
            f"model.encoder={name}: is not a plain vision transformer ({error}); similar supported names: "
            f"{', '.join(_find_similar(architecture))}"
        ) from error
    return vit


class _NotPlainError(Exception):
    """Raised if a network is not a plain vision transformer; the message gives the reason."""


def _create(name: str, patch_size: int | None = None) -> nn.Module:
    """Build a network of timm and check its structure.

    Raises:
        _NotPlainError: The network is not a plain vision transformer.
    """
    options: dict[str, Any] = {} if patch_size is None else {"patch_size": patch_size}
    try:
        vit: Any = timm.create_model(name, pretrained=False, num_classes=0, dynamic_img_size=True, **options)
    except TypeError as error:
        raise _NotPlainError("timm does not build it for images of any size") from error
    except Exception as error:  # timm's families of networks raise different exceptions for unsupported options
        raise _NotPlainError(get_first_line(error)) from error
    blocks = getattr(vit, "blocks", None)
    if not isinstance(blocks, nn.ModuleList | nn.Sequential) or not hasattr(vit, "forward_intermediates"):
        raise _NotPlainError("it has no sequence of blocks that all work on the same tokens")
    if not all(isinstance(getattr(block, "mlp", None), nn.Module) for block in blocks):
        raise _NotPlainError("some of its blocks do not have exactly one MLP")
    if not isinstance(vit.patch_embed, PatchEmbed) or len(set(vit.patch_embed.patch_size)) > 1:
        raise _NotPlainError("its tokens are not square patches of the image")
    return vit  # type: ignore[no-any-return]


def _find_similar(name: str) -> list[str]:
    """Return similar names of plain vision transformers, the most similar first."""
    similar: list[str] = []
    for candidate in difflib.get_close_matches(name, _list_candidates(), n=4 * _SUGGESTIONS, cutoff=0.0):
        try:
            with torch.device("meta"):
                _create(candidate)
        except _NotPlainError:
            continue
        similar.append(candidate)
        if len(similar) == _SUGGESTIONS:
            break
    return similar


def _list_candidates() -> list[str]:
    return [name for family in _FAMILIES for name in timm.list_models(module=family)]
