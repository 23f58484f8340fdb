"""Check of `model.weights` before any network is built: null, a local file, or an id of pretrained weights.

An id names weights of the library that has the encoder: timm for `m2dino`, segmentation_models_pytorch or timm for
`mh_mtl`. The module does not import torch, so that a plan can check and hash a file quickly. `encoders.py` and
`vit_weights.py` load the weights.
"""

from pathlib import Path

from usaggr.config.model import ModelConfig
from usaggr.errors import ConfigError, explain_unknown_name
from usaggr.io.checksums import hash_file
from usaggr.io.home import expand_home

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".tar")
"""Suffixes of weights files. A value with one of them names a file, even if this file does not exist."""
TIMM = "timm"
"""The only id for `m2dino`: the pretrained weights that timm has for the name `model.encoder`."""


def find_weights_file(model: ModelConfig) -> Path | None:
    """Return the local file that `model.weights` names; None if it is null or an id of the library.

    The ids of `mh_mtl` are not checked here, because their list is in a library that imports torch.

    Raises:
        ConfigError: The value names a file that does not exist, a folder, or an id that `m2dino` does not have.
    """
    if model.weights is None:
        return None
    path = expand_home(model.weights, "model.weights")
    if path.is_file():
        return path
    if path.exists():
        raise ConfigError(f"model.weights={model.weights}: is a folder; give the file with the encoder's weights")
    library_id = TIMM if model.name == "m2dino" else "imagenet"
    # Ids have no slashes.
    if len(path.parts) > 1 or path.suffix in SUFFIXES:
        raise ConfigError(
            f"model.weights={model.weights}: no such file; give a local file (safetensors or a torch state dict), "
            f"an id of the library such as {library_id}, or null"
        )
    if model.name == "m2dino" and model.weights != TIMM:
        raise ConfigError(f"{explain_unknown_name('model.weights', model.weights, [TIMM])}, null, or a local file")
    return None


def check_weights(model: ModelConfig) -> str | None:
    """Check `model.weights` as far as possible without torch, and return the SHA-256 of the file.

    Returns:
        The hash in hexadecimal; None if the value is null or an id.

    Raises:
        ConfigError: The file does not exist or cannot be read, the id is unknown, or `model.norm=frozen` has no
            pretrained weights whose statistics it could keep.
    """
    if model.weights is None:
        if model.name == "mh_mtl" and model.norm == "frozen":
            raise ConfigError(
                "model.norm=frozen keeps the statistics of pretrained weights, and model.weights is null; "
                "set model.weights, or model.norm=group"
            )
        return None
    path = find_weights_file(model)
    if path is None:
        return None
    try:
        return hash_file(path)
    except OSError as error:
        raise ConfigError(f"model.weights={model.weights}: cannot be read ({error.strerror})") from error
