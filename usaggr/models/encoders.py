"""Encoders from segmentation-models-pytorch (smp), and through it from timm (`tu-` names), with pretrained weights.

The tensors of a weights file are matched by name, whether smp, timm or usaggr wrote the file.
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
from usaggr.errors import ConfigError, explain_unknown_name, get_first_line
from usaggr.models.normalization import replace_batch_norm
from usaggr.models.weight_files import describe_mismatch, list_some, read_tensors, strip_prefix
from usaggr.models.weights import check_weights, find_weights_file

STRIDES = (4, 8, 16, 32)
"""Strides of the encoder maps that the decoder reads."""
_NO_PYRAMID = f"cannot be used with the FPN decoder, which needs maps at strides {', '.join(map(str, STRIDES))}"


def build_encoder(model: MhMtlConfig) -> tuple[nn.Module, list[int]]:
    """Build the encoder, with its weights and its normalization.

    Its forward takes images (N, 3, H, W) to a list of maps, of which the last four have strides 4, 8, 16 and 32.
    Weights that are not loaded are drawn from torch's global generator.

    Returns:
        The encoder, and the numbers of channels of its last four maps.

    Raises:
        ConfigError: The encoder does not exist or has no such maps, or weights are missing or do not fit.
    """
    check_weights(model)
    file = find_weights_file(model)
    encoder = _build_library_encoder(model, pretrained=model.weights is not None and file is None)
    replace_batch_norm(encoder, model.norm)
    if file is not None:
        load_weights(encoder, file)
    out_channels: Any = encoder.out_channels
    return encoder, list(out_channels)[-len(STRIDES) :]


def load_weights(encoder: nn.Module, file: Path) -> None:
    """Load a file (safetensors or a torch state dict) into an encoder; tensors that the encoder lacks are ignored.

    Raises:
        ConfigError: The file cannot be read, or a weight of the encoder is missing in it or has another shape.
    """
    file_tensors = _remove_counters(read_tensors(file))
    by_name = {_canonicalize(name): tensor for name, tensor in file_tensors.items()}
    state = _remove_counters(encoder.state_dict())
    matched = {}
    for name, tensor in state.items():
        candidate = by_name.get(_canonicalize(name))
        if candidate is not None and candidate.shape == tensor.shape:
            matched[name] = candidate
    if len(matched) < len(state):
        encoder_names = {_canonicalize(name) for name in state}
        missing = [
            describe_mismatch(name, state[name], by_name.get(_canonicalize(name)))
            for name in state
            if name not in matched
        ]
        unknown = [name for name in file_tensors if _canonicalize(name) not in encoder_names]
        raise ConfigError(
            f"model.weights={file}: does not fit the encoder: {len(matched)} of its {len(state)} weights are in it; "
            f"missing: {list_some(missing)}; in the file but not in the encoder: {list_some(unknown)}"
        )
    # The base method, because some encoders of smp override it without the parameter `strict`.
    nn.Module.load_state_dict(encoder, matched, strict=False)


def _build_library_encoder(model: MhMtlConfig, pretrained: bool) -> nn.Module:
    """Build the library's encoder unchanged; `pretrained` loads the library's weights."""
    _check_name(model.encoder)
    name, weights = _find_library_weights(model) if pretrained else (model.encoder, None)
    try:
        with warnings.catch_warnings():
            # smp warns that a tu- encoder takes its weights from its name, where _find_library_weights has put them.
            warnings.filterwarnings("ignore", message=".*`encoder_weights` should be set to True.*")
            warnings.filterwarnings("ignore", message=".*`timm-` encoders are deprecated.*")
            encoder: nn.Module = smp.encoders.get_encoder(name, weights=weights)
    except Exception as error:  # a download can fail with errors of several libraries
        if weights is None:
            raise
        raise ConfigError(
            f"model.weights={model.weights}: the weights of {model.encoder} could not be downloaded "
            f"({get_first_line(error)}); give a local file: model.weights=FILE"
        ) from error
    return encoder


def _check_name(name: str) -> None:
    """Refuse an encoder that the libraries do not know, or that has no maps for an FPN decoder.

    Raises:
        ConfigError: The name and the reason, with similar names that exist.
    """
    smp_names = smp.encoders.get_encoder_names()
    if name in smp_names:
        return
    if not name.startswith("tu-") or not timm.is_model(name.removeprefix("tu-")):
        names = [*smp_names, *(f"tu-{timm_name}" for timm_name in timm.list_models())]
        similar = difflib.get_close_matches(name, names, n=5, cutoff=0.3)
        with_prefix = [f"tu-{name}"] if timm.is_model(name) else []  # the likeliest mistake
        nearest = list(dict.fromkeys([*with_prefix, *similar]))[:5]
        raise ConfigError(
            f"{explain_unknown_name('model.encoder', name, nearest)} and {len(names) - len(nearest)} others: the names "
            "of segmentation_models_pytorch.encoders.get_encoder_names(), and those of timm.list_models() with tu- "
            "before"
        )
    _check_tag(name)
    try:
        with torch.device("meta"):
            features: Any = timm.create_model(name.removeprefix("tu-"), features_only=True)
        strides = tuple(features.feature_info.reduction())
    except Exception as error:  # timm reports in several ways that a network has no stages
        raise ConfigError(f"model.encoder={name}: {_NO_PYRAMID} ({get_first_line(error)})") from error
    if strides[-4:] != STRIDES:
        raise ConfigError(f"model.encoder={name}: {_NO_PYRAMID} (it has {', '.join(map(str, strides))})")


def _check_tag(name: str) -> None:
    """Refuse a name with a tag of pretrained weights (tu-NAME.TAG) that timm does not know."""
    if name.partition(".")[2]:
        tagged = [f"tu-{timm_name}" for timm_name in timm.list_models(f"{_get_timm_name(name)}.*", pretrained=True)]
        if name not in tagged:
            raise ConfigError(explain_unknown_name("model.encoder", name, tagged))


def _get_timm_name(name: str) -> str:
    """Return the name of the architecture in timm, without tu- and without the tag of its weights."""
    return name.removeprefix("tu-").partition(".")[0]


def _find_library_weights(model: MhMtlConfig) -> tuple[str, str | bool]:
    """Return the name and weights that `get_encoder` takes for `model.weights`, an id of the library.

    For timm the id is a tag of the encoder's name, or `imagenet`, which selects the default tag.
    """
    name, weights = model.encoder, str(model.weights)
    if not name.startswith("tu-"):
        allowed = list(smp.encoders.encoders[name]["pretrained_settings"])
        result: tuple[str, str | bool] = (name, weights)
    else:
        timm_name = name.removeprefix("tu-")
        tags = [tagged.partition(".")[2] for tagged in timm.list_models(f"{timm_name}.*", pretrained=True)]
        allowed = ["imagenet", *tags] if timm.models.is_model_pretrained(timm_name) else []
        result = (name if weights == "imagenet" else f"{name}.{weights}", True)
    if weights not in allowed:
        raise ConfigError(
            f"{explain_unknown_name('model.weights', weights, allowed)} (for {name}), null, or a local file"
        )
    return result


def _canonicalize(name: str) -> str:
    """Return a tensor's name without the prefixes and separators that differ between libraries.

    timm writes stages_0 instead of stages.0 in some networks.
    """
    return strip_prefix(name).replace("_", ".")


def _remove_counters(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state without the batch counters of batch normalization, which nothing here reads."""
    return {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
