"""Plain vision transformers of timm: one grid of patches, and blocks that each have one MLP.

Other transformers of timm (with convolutional stems, pyramids or windows) are refused, with similar names that work.
"""

import difflib
from itertools import islice
from typing import Any

import timm
import torch
from timm.layers import PatchEmbed  # type: ignore[attr-defined]
from torch import nn

from usaggr.config.model import M2DinoConfig
from usaggr.errors import ConfigError, explain_unknown_name, get_first_line

_FAMILIES = ("eva", "vision_transformer", "deit")
"""Modules of timm that define plain vision transformers."""
_SUGGESTIONS = 3
"""Maximum number of suggestions in a message."""


def create_vit(model: M2DinoConfig) -> nn.Module:
    """Build a transformer without a head, for any image size that is a multiple of the patch size.

    Initial weights are drawn from torch's global generator.

    Raises:
        ConfigError: timm has no such network or pretrained tag (the part after the dot); the network is not a plain
            vision transformer; or it does not support the configured patch size.
    """
    name = model.encoder
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise ConfigError(
            f"{explain_unknown_name('model.encoder', name, _find_similar(name))}; timm.list_models() lists all names"
        )
    if tag:
        tagged = timm.list_models(f"{architecture}.*", pretrained=True)
        if name not in tagged:
            raise ConfigError(
                f"{explain_unknown_name('model.encoder', name, tagged)}; or {architecture}, without a tag"
            )
    try:
        return _create(name, model.patch_size)
    except _NotPlainError as error:
        reason = error if model.patch_size is None else _find_obstacle(name)
        if reason is None:
            raise ConfigError(
                f"model.patch_size={model.patch_size}: not supported by {name} ({error}); null keeps the encoder's "
                "patch size"
            ) from error
        raise ConfigError(
            f"model.encoder={name}: is not a plain vision transformer ({reason}); similar supported names: "
            f"{', '.join(_find_similar(architecture))}"
        ) from error


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


def _find_obstacle(name: str) -> _NotPlainError | None:
    """Return why a network, with the patch size of its name, is not a plain vision transformer; None if it is one."""
    try:
        with torch.device("meta"):
            _create(name)
    except _NotPlainError as error:
        return error
    return None


def _find_similar(name: str) -> list[str]:
    """Return similar names of plain vision transformers, the most similar first."""
    candidates = [candidate for family in _FAMILIES for candidate in timm.list_models(module=family)]
    # Not all networks of a family are plain: more candidates than suggestions, and each is built to check it.
    nearest = difflib.get_close_matches(name, candidates, n=4 * _SUGGESTIONS, cutoff=0.0)
    plain = (candidate for candidate in nearest if _find_obstacle(candidate) is None)
    return list(islice(plain, _SUGGESTIONS))
