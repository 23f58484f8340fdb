"""Encoders: from images to maps at strides 2 to 32, by segmentation-models-pytorch and timm."""

import difflib
from pathlib import Path
from typing import cast

import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from usaggr.config import ModelConfig
from usaggr.errors import ConfigError
from usaggr.models.normalisation import replace_batch_norm
from usaggr.models.weights import weights_file

DEPTH = 5
"""Halvings of resolution, so the last map has stride 32."""


def build_encoder(model: ModelConfig) -> nn.Module:
    """The encoder, with its weights and its normalisation; its `out_channels` tell the width of each map.

    Raises:
        ConfigError: an unknown or unfit encoder, or weights that cannot be had or do not fit.
    """
    path = weights_file(model)
    if model.norm == "frozen" and model.weights is None:
        raise ConfigError("model.norm=frozen keeps pretrained statistics: give model.weights, or take model.norm=group")
    encoder = _create(model, None if path is not None else model.weights)
    if path is not None:
        load_weights(encoder, path, model.encoder)
    channels = cast("list[int]", encoder.out_channels)
    if len(channels) != DEPTH + 1 or min(channels[-4:]) == 0:
        raise ConfigError(f"model.encoder: {model.encoder} has no maps at strides 4 to 32, which the FPN decoder needs")
    if model.norm == "group":
        replace_batch_norm(encoder)
    return encoder


def _create(model: ModelConfig, library_id: str | None) -> nn.Module:
    try:
        return cast(
            "nn.Module", smp.encoders.get_encoder(model.encoder, in_channels=3, depth=DEPTH, weights=library_id)
        )
    except KeyError as error:
        if library_id is not None and model.encoder in smp.encoders.encoders:
            known = ", ".join(smp.encoders.encoders[model.encoder]["pretrained_settings"])
            raise ConfigError(f"model.weights: unknown '{library_id}'. Known for {model.encoder}: {known}") from error
        raise ConfigError(_unknown_encoder(model.encoder)) from error
    except RuntimeError as error:
        if "Unknown model" in str(error):
            raise ConfigError(_unknown_encoder(model.encoder)) from error
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"model.encoder: {model.encoder} does not give maps for the FPN decoder ({reason})"
        ) from error
    except (AttributeError, ValueError, TypeError, AssertionError) as error:
        raise ConfigError(f"model.encoder: {model.encoder} does not give maps for the FPN decoder ({error})") from error
    except Exception as error:  # hubs and their clients raise many kinds of exception where there is no network
        if library_id is None:
            raise
        raise ConfigError(
            f"model.weights: '{library_id}' of {model.encoder} could not be fetched ({type(error).__name__}); "
            "without a network, download its state dict elsewhere and give the file: model.weights=FILE"
        ) from error


def _unknown_encoder(name: str) -> str:
    known = [*smp.encoders.get_encoder_names(), *(f"tu-{model}" for model in timm.list_models())]
    near = difflib.get_close_matches(name, known, n=5, cutoff=0.4)
    return (
        f"model.encoder: unknown '{name}'. Nearest: {', '.join(near) or 'none'}. Allowed: the encoders of "
        "segmentation-models-pytorch, and tu-NAME for the models of timm"
    )


def load_weights(encoder: nn.Module, path: Path, name: str) -> None:
    """Load a state dict (safetensors or torch, tensors only) of the encoder, or of the timm model that it wraps.

    A classifier's weights, which an encoder lacks, are left out.

    Raises:
        ConfigError: not a state dict, or not of this encoder.
    """
    stored = _read(path)
    wanted = {key: value.shape for key, value in encoder.state_dict().items()}
    candidates: list[dict[str, Tensor]] = [
        {key: value for key, value in renamed.items() if wanted.get(key) == value.shape}
        for renamed in (stored, {f"model.{key}": value for key, value in stored.items()})
    ]
    fitting = max(candidates, key=len)
    missing = sorted(set(wanted) - set(fitting))
    if missing:
        raise ConfigError(
            f"model.weights: {path} does not fit {name}: {len(fitting)} of {len(wanted)} tensors match, "
            f"missing or of another shape: {', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}"
        )
    encoder.load_state_dict(fitting)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        stored = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # both readers raise many kinds of exception on broken files
        reason = str(error).splitlines()[0][:100]
        raise ConfigError(f"model.weights: {path} cannot be read as a state dict ({reason})") from error
    stored = stored.get("state_dict", stored) if isinstance(stored, dict) else stored
    if not isinstance(stored, dict) or not all(isinstance(value, Tensor) for value in stored.values()):
        raise ConfigError(f"model.weights: {path} holds no state dict (names and tensors)")
    return stored
