"""Normalization of images that pretrained weights receive: mean and std per color channel, for images in [0, 1].

It is determined without building the network. Weights that were trained with another normalization perform worse.
"""

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
from usaggr.results.pixel_normalization import PixelNormalization, Values

_DIGITS = 6
"""Decimals of a computed mean or std; further ones are rounding errors of single precision."""


def find_pixel_normalization(model: ModelConfig) -> PixelNormalization | None:
    """Return the normalization of images for a network's pretrained weights; None without pretrained weights.

    Nothing is downloaded: timm lists the normalization separately from the weights.

    Raises:
        ConfigError: The encoder or the weights file does not exist, or the file cannot be read.
    """
    if model.weights is None:
        return None
    if isinstance(model, MhMtlConfig):
        # `mh_mtl` normalizes with MEAN and STD for all weights. Record what the library lists only if it differs.
        listed = _read_listed_mean_and_std(model)
        listed_mean, listed_std = (None, None) if listed is None or listed == (MEAN, STD) else listed
        return PixelNormalization(model.encoder, model.weights, MEAN, STD, "network", listed_mean, listed_std)
    file = find_weights_file(model)
    stored = None if file is None else read_transform(read_tensors(file))
    if stored is not None:
        return PixelNormalization(model.encoder, model.weights, *_compute_mean_and_std(stored), "file")
    with torch.device("meta"):  # tensors have a shape but no values, so that a large network needs no memory
        vit = create_vit(model)
    mean, std = _compute_mean_and_std(get_timm_transform(vit))
    return PixelNormalization(model.encoder, model.weights, mean, std, "library" if file is None else "name")


def _compute_mean_and_std(transform: InputTransform) -> tuple[Values, Values]:
    """Return the mean and std that replace two steps: normalization with MEAN and STD, then the transform.

    factor * (image - MEAN) / STD + shift = (image - mean) / std for std = STD / factor and mean = MEAN - shift * std.
    """
    std = torch.tensor(STD, dtype=torch.float64) / transform.factor.double()
    mean = torch.tensor(MEAN, dtype=torch.float64) - transform.shift.double() * std
    return _round(mean), _round(std)


def _round(values: Tensor) -> Values:
    """Return the values (3,), rounded to `_DIGITS` decimals."""
    return tuple(round(value, _DIGITS) for value in values.tolist())


def _read_listed_mean_and_std(model: MhMtlConfig) -> tuple[Values, Values] | None:
    """Return the mean and std that the library lists for an encoder; None if it lists none.

    For weights of the library, it lists them by their id. For a weights file, only timm lists them, for the encoder's
    name alone.
    """
    name, weights = model.encoder, str(model.weights)
    is_library_weights = find_weights_file(model) is None
    # segmentation_models_pytorch marks encoders of timm by "tu-"; "imagenet" stands for timm's default weights, which
    # have no tag of their own.
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
