"""Finds on which scale a network will give images to its pretrained weights, before it is built and trained."""

from typing import Any

import segmentation_models_pytorch as smp  # type: ignore[import-untyped]
import timm
import torch
from torch import Tensor

from usaggr.config.model import MhMtlConfig, ModelConfig
from usaggr.data.batches.batches import MEAN, STD
from usaggr.models.plain_vit import create_vit
from usaggr.models.vit_weights import InputTransform, stated_transform, timms_transform
from usaggr.models.weight_files import read_tensors
from usaggr.models.weights import weights_file
from usaggr.results.input_scale import InputScale, Values

_DIGITS = 6
"""Of a mean or std that is computed back from a factor and a shift in single precision."""


def input_scale_of(model: ModelConfig) -> InputScale | None:
    """Return the scale of images that a network's pretrained weights get; None without pretrained weights.

    Nothing is downloaded: what timm lists for its own weights, it lists without them.

    Raises:
        ConfigError: no such encoder, or no such file, or one that cannot be read.
    """
    if model.weights is None:
        return None
    if isinstance(model, MhMtlConfig):
        listed = _listed(model)
        same = listed is None or listed == (MEAN, STD)
        of = (None, None) if same or listed is None else listed
        return InputScale(model.encoder, model.weights, MEAN, STD, "network", *of)
    file = weights_file(model)
    stated = None if file is None else stated_transform(read_tensors(file))
    if stated is not None:
        return InputScale(model.encoder, model.weights, *_scale_of(stated), "file")
    with torch.device("meta"):
        vit = create_vit(model)
    mean, std = _scale_of(timms_transform(vit))
    return InputScale(model.encoder, model.weights, mean, std, "library" if file is None else "name")


def _scale_of(transform: InputTransform) -> tuple[Values, Values]:
    """Return mean and std of images in [0, 1], from the step behind the usual normalization with MEAN and STD."""
    std = torch.tensor(STD, dtype=torch.float64) / transform.factor.double()
    mean = torch.tensor(MEAN, dtype=torch.float64) - transform.shift.double() * std
    return _rounded(mean), _rounded(std)


def _rounded(values: Tensor) -> Values:
    return tuple(round(value, _DIGITS) for value in values.tolist())


def _listed(model: MhMtlConfig) -> tuple[Values, Values] | None:
    """Return mean and std that the library lists for an encoder's weights, or for its name; None: it lists none."""
    name, weights = model.encoder, str(model.weights)
    own = weights_file(model) is None
    if name.startswith("tu-"):
        tagged = f"{name.removeprefix('tu-')}.{weights}" if own and weights != "imagenet" else name.removeprefix("tu-")
        found: Any = timm.get_pretrained_cfg(tagged)
        return None if found is None else (tuple(found.mean), tuple(found.std))
    settings: dict[str, Any] = smp.encoders.encoders.get(name, {}).get("pretrained_settings", {})
    one = settings.get(weights, {}) if own else {}
    return (tuple(one["mean"]), tuple(one["std"])) if "mean" in one and "std" in one else None
