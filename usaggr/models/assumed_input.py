"""Normalization of the images that pretrained weights receive, as a mean and a std per color channel.

Both apply to pixel values in [0, 1]. They are determined without building a network that can run. Weights that were
trained with another normalization perform worse, so the report and the plan state the one that is used.
"""

from typing import Any

import segmentation_models_pytorch as smp  # type: ignore[import-untyped]
import timm
import torch
from torch import Tensor

from usaggr.config.model import MhMtlConfig, ModelConfig
from usaggr.data.batches.batches import MEAN, STD
from usaggr.errors import ConfigError, get_first_line
from usaggr.models.plain_vit import create_vit
from usaggr.models.vit_weights import InputTransform, get_timm_transform, read_transform
from usaggr.models.weight_files import read_tensors
from usaggr.models.weights import find_weights_file
from usaggr.results.pixel_normalization import PixelNormalization, Values

_DIGITS = 6
"""Number of decimals of a computed mean or std; further decimals are rounding errors of single precision."""


def find_pixel_normalization(model: ModelConfig) -> PixelNormalization | None:
    """Return the normalization of images for a network's pretrained weights; None without pretrained weights.

    Nothing is downloaded: timm lists the normalization of its weights within its source code.

    Raises:
        ConfigError: The encoder, the weights file or timm's weights do not exist, or the file cannot be read.
    """
    if model.weights is None:
        return None
    if isinstance(model, MhMtlConfig):
        # `mh_mtl` normalizes with MEAN and STD for all weights. The library's values are recorded if they differ.
        library_values = _read_library_values(model)
        if library_values is None or library_values == (MEAN, STD):
            return PixelNormalization(model.encoder, model.weights, MEAN, STD, "network")
        return PixelNormalization(model.encoder, model.weights, MEAN, STD, "network", *library_values)
    file = find_weights_file(model)
    stored_transform = None if file is None else read_transform(read_tensors(file))
    if stored_transform is not None:
        return PixelNormalization(model.encoder, model.weights, *_compute_mean_and_std(stored_transform), "file")
    # The network then uses what timm lists for the encoder's name, for a file without a stored transform, too.
    with torch.device("meta"):  # tensors have a shape but no values, so that a large network needs no memory
        vit = create_vit(model)
    mean, std = _compute_mean_and_std(get_timm_transform(vit))
    return PixelNormalization(model.encoder, model.weights, mean, std, "library" if file is None else "name")


def _compute_mean_and_std(transform: InputTransform) -> tuple[Values, Values]:
    """Return the mean and std of one normalization that equals two steps: that with MEAN and STD, and the transform.

    (image - MEAN) / STD * factor + shift = (image - mean) / std, with std = STD / factor and mean = MEAN - shift * std.
    """
    std = torch.tensor(STD, dtype=torch.float64) / transform.factor.double()
    mean = torch.tensor(MEAN, dtype=torch.float64) - transform.shift.double() * std
    return _round(mean), _round(std)


def _round(values: Tensor) -> Values:
    """Return the values (3,), rounded to `_DIGITS` decimals."""
    return tuple(round(value, _DIGITS) for value in values.tolist())


def _read_library_values(model: MhMtlConfig) -> tuple[Values, Values] | None:
    """Return the mean and std that the library lists for the weights of an encoder; None if it lists none.

    An id of weights has an entry in its library. A local file has none; timm's entry for the encoder's name stands for
    it, and segmentation_models_pytorch has no such entry.

    Raises:
        ConfigError: timm does not have the weights.
    """
    name, weights = model.encoder, str(model.weights)
    is_local_file = find_weights_file(model) is not None
    if name.startswith("tu-"):  # segmentation_models_pytorch marks encoders of timm so
        timm_name = name.removeprefix("tu-")
        # An id is the tag of timm's weights, except "imagenet", which stands for timm's default weights.
        has_tag = not is_local_file and weights != "imagenet"
        try:
            timm_settings: Any = timm.get_pretrained_cfg(f"{timm_name}.{weights}" if has_tag else timm_name)
        except RuntimeError as error:  # timm knows the encoder, but not the tag
            raise ConfigError(f"model.encoder={name}, model.weights={weights}: {get_first_line(error)}") from error
        return None if timm_settings is None else (tuple(timm_settings.mean), tuple(timm_settings.std))
    if is_local_file:
        return None
    settings_by_id: dict[str, Any] = smp.encoders.encoders.get(name, {}).get("pretrained_settings", {})
    smp_settings = settings_by_id.get(weights, {})
    if "mean" not in smp_settings or "std" not in smp_settings:
        return None
    return tuple(smp_settings["mean"]), tuple(smp_settings["std"])
