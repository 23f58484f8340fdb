"""Encoders: any of segmentation-models-pytorch, and through it (`tu-`) of timm, with their pretrained weights.

A file of weights is matched by the names of its tensors, whichever of both libraries, or usaggr itself, wrote it.
"""

import difflib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp  # type: ignore[import-untyped]
import timm
import torch
from torch import Tensor, nn

from usaggr.config.model import MhMtlConfig
from usaggr.errors import ConfigError, one_of
from usaggr.models.normalisation import without_batch_statistics
from usaggr.models.weight_files import described, first_line, read_tensors, some, without_prefix
from usaggr.models.weights import check_weights, weights_file

STRIDES = (4, 8, 16, 32)
"""Of the encoder maps that the decoder reads."""
_NO_PYRAMID = f"cannot carry the FPN decoder, which needs maps at strides {', '.join(map(str, STRIDES))}"


def build_encoder(model: MhMtlConfig) -> tuple[nn.Module, list[int]]:
    """The encoder, with its weights and its normalisation, and the numbers of channels of its last four maps.

    Its forward takes images (N, 3, H, W) to a list of maps, of which the last four have strides 4, 8, 16 and 32. What
    is not loaded is drawn from torch's generator.

    Raises:
        ConfigError: no such encoder, one without such maps, or weights that are not there or do not fit.
    """
    check_weights(model)
    file = weights_file(model)
    encoder = _bare_encoder(model, pretrained=model.weights is not None and file is None)
    without_batch_statistics(encoder, model.norm)
    if file is not None:
        load_weights(encoder, file)
    out_channels: Any = encoder.out_channels
    return encoder, list(out_channels)[-len(STRIDES) :]


def load_weights(encoder: nn.Module, file: Path) -> None:
    """Load a file (safetensors, or a torch state dict) into an encoder; what the encoder lacks is left out.

    Raises:
        ConfigError: it cannot be read, or not every weight of the encoder is in it, in the right shape.
    """
    stored = _without_counters(read_tensors(file))
    found = {_canonical(name): tensor for name, tensor in stored.items()}
    own = _without_counters(encoder.state_dict())
    matched = {n: found[_canonical(n)] for n, t in own.items() if _shape(found.get(_canonical(n))) == t.shape}
    if len(matched) < len(own):
        known = {_canonical(name) for name in own}
        missing = [described(name, own[name], found.get(_canonical(name))) for name in own if name not in matched]
        unknown = [name for name in stored if _canonical(name) not in known]
        raise ConfigError(
            f"model.weights={file}: does not fit the encoder: {len(matched)} of its {len(own)} weights are in it; "
            f"missing: {some(missing)}; in the file but not in the encoder: {some(unknown)}"
        )
    nn.Module.load_state_dict(encoder, matched, strict=False)


def _bare_encoder(model: MhMtlConfig, pretrained: bool) -> nn.Module:
    """The library's encoder as it comes, with its own weights if asked for."""
    _check_name(model.encoder)
    name, weights = _library_weights(model) if pretrained else (model.encoder, None)
    try:
        with warnings.catch_warnings():
            # smp warns that a tu- encoder takes its weights from its name: _library_weights has put them there.
            warnings.filterwarnings("ignore", message=".*`encoder_weights` should be set to True.*")
            warnings.filterwarnings("ignore", message=".*`timm-` encoders are deprecated.*")
            encoder: nn.Module = smp.encoders.get_encoder(name, weights=weights)
    except Exception as error:  # of the hub's client: it may be any of several libraries
        if weights is None:
            raise
        raise ConfigError(
            f"model.weights={model.weights}: the weights of {model.encoder} could not be downloaded "
            f"({first_line(error)}); give a local file: model.weights=FILE"
        ) from error
    return encoder


def _check_name(name: str) -> None:
    """Refuse an encoder that the libraries do not know, or that has no maps for an FPN decoder."""
    known = smp.encoders.get_encoder_names()
    if name in known:
        return
    if not name.startswith("tu-") or not timm.is_model(name.removeprefix("tu-")):
        names = [*known, *(f"tu-{found}" for found in timm.list_models())]
        near = difflib.get_close_matches(name, names, n=5, cutoff=0.3)
        wanted = [f"tu-{name}"] if timm.is_model(name) else []
        nearest = list(dict.fromkeys([*wanted, *near]))[:5]
        raise ConfigError(
            f"{one_of('model.encoder', name, nearest)} and {len(names) - len(nearest)} others: the names of "
            "segmentation_models_pytorch.encoders.get_encoder_names(), and those of timm.list_models() with tu- before"
        )
    _check_tag(name)
    try:
        with torch.device("meta"):
            features: Any = timm.create_model(name.removeprefix("tu-"), features_only=True)
        strides = tuple(features.feature_info.reduction())
    except Exception as error:  # timm says that a network has no stages in several ways
        raise ConfigError(f"model.encoder={name}: {_NO_PYRAMID} ({first_line(error)})") from error
    if strides[-4:] != STRIDES:
        raise ConfigError(f"model.encoder={name}: {_NO_PYRAMID} (it has {', '.join(map(str, strides))})")


def _check_tag(name: str) -> None:
    """Refuse a name that asks for pretrained weights (tu-NAME.TAG) which timm does not know."""
    if name.partition(".")[2]:
        tagged = [f"tu-{found}" for found in timm.list_models(f"{_timm_name(name)}.*", pretrained=True)]
        if name not in tagged:
            raise ConfigError(one_of("model.encoder", name, tagged))


def _timm_name(name: str) -> str:
    """Name of the architecture in timm, without tu- and without the tag of its weights."""
    return name.removeprefix("tu-").partition(".")[0]


def _library_weights(model: MhMtlConfig) -> tuple[str, str | bool]:
    """Name and weights that get_encoder takes for an id of the library.

    For timm the id is `imagenet`, which is what its name alone stands for, or a tag of that name.
    """
    name, weights = model.encoder, str(model.weights)
    if not name.startswith("tu-"):
        allowed = list(smp.encoders.encoders[name]["pretrained_settings"])
        result: tuple[str, str | bool] = (name, weights)
    else:
        tags = [found.partition(".")[2] for found in timm.list_models(f"{name.removeprefix('tu-')}.*", pretrained=True)]
        allowed = ["imagenet", *tags] if timm.models.is_model_pretrained(name.removeprefix("tu-")) else []
        result = (name if weights == "imagenet" else f"{name}.{weights}", True)
    if weights not in allowed:
        raise ConfigError(f"{one_of('model.weights', weights, allowed)} (for {name}), null, or a local file")
    return result


def _canonical(name: str) -> str:
    """One name for one tensor, however a library nests the encoder; timm writes stages_0 for stages.0 in some."""
    return without_prefix(name).replace("_", ".")


def _without_counters(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state without the numbers of batches seen, which nothing here reads."""
    return {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}


def _shape(tensor: Tensor | None) -> torch.Size | None:
    return tensor.shape if tensor is not None else None
