"""Scale of the images that a network gives to its pretrained weights, determined without building the network."""

from typing import Any

import segmentation_models_pytorch as smp  # type: ignore[import-untyped]
import timm
import torch
from torch import Tensor

from usaggr.config.model import MhMtlConfig, ModelConfig
from usaggr.data.batches.batches import MEAN, STD
from usaggr.models.plain_vit import create_vit
from usaggr.models.vit_weights import InputTransform, get_timm_transform, read_transform
from usaggr.models.weight_files import read_tensors
from usaggr.models.weights import find_weights_file
from usaggr.results.input_scale import InputScale, Values

_DIGITS = 6
"""Decimals of a mean or std that is computed from a factor and a shift in single precision."""


def find_input_scale(model: ModelConfig) -> InputScale | None:
    """Return the scale of images that a network's pretrained weights receive; None without pretrained weights.

    Nothing is downloaded: timm lists the scale of its weights separately from them.

    Raises:
        ConfigError: The encoder or file does not exist, or the file cannot be read.
    """
    if model.weights is None:
        return None
    if isinstance(model, MhMtlConfig):
        # Convolutional encoders receive images normalized with MEAN and STD, whatever the library lists.
        listed = _read_library_scale(model)
        listed_mean, listed_std = (None, None) if listed is None or listed == (MEAN, STD) else listed
        return InputScale(model.encoder, model.weights, MEAN, STD, "network", listed_mean, listed_std)
    file = find_weights_file(model)
    stored = None if file is None else read_transform(read_tensors(file))
    if stored is not None:
        return InputScale(model.encoder, model.weights, *_compute_scale(stored), "file")
    with torch.device("meta"):  # shapes without values: a large network costs as little as a small one
        vit = create_vit(model)
    mean, std = _compute_scale(get_timm_transform(vit))
    return InputScale(model.encoder, model.weights, mean, std, "library" if file is None else "name")


def _compute_scale(transform: InputTransform) -> tuple[Values, Values]:
    """Return mean and std for images in [0, 1], from the transform that follows the normalization with MEAN and STD."""
    std = torch.tensor(STD, dtype=torch.float64) / transform.factor.double()
    mean = torch.tensor(MEAN, dtype=torch.float64) - transform.shift.double() * std
    return _round(mean), _round(std)


def _round(values: Tensor) -> Values:
    """Return the values (3,) without the digits that single precision does not have."""
    return tuple(round(value, _DIGITS) for value in values.tolist())


def _read_library_scale(model: MhMtlConfig) -> tuple[Values, Values] | None:
    """Return mean and std that the library lists for an encoder's weights or name; None if it lists none.

    Weights from a file have the scale that is listed for the encoder's name, if the name alone has one.
    """
    name, weights = model.encoder, str(model.weights)
    is_library_weights = find_weights_file(model) is None
    if name.startswith("tu-"):
        timm_name = name.removeprefix("tu-")
        has_tag = is_library_weights and weights != "imagenet"
        settings: Any = timm.get_pretrained_cfg(f"{timm_name}.{weights}" if has_tag else timm_name)
        return None if settings is None else (tuple(settings.mean), tuple(settings.std))
    if not is_library_weights:
        return None
    all_settings: dict[str, Any] = smp.encoders.encoders.get(name, {}).get("pretrained_settings", {})
    smp_settings = all_settings.get(weights, {})
    if "mean" not in smp_settings or "std" not in smp_settings:
        return None
    return tuple(smp_settings["mean"]), tuple(smp_settings["std"])
