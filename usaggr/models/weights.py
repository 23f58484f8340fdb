"""Check of `model.weights` before any network is built: a file, or an id of the library.

The module does not import torch, so that a plan can check and hash the file quickly. `encoders.py` and `vit_weights.py`
load the weights.
"""

from pathlib import Path

from usaggr.config.model import ModelConfig
from usaggr.errors import ConfigError, explain_unknown_name
from usaggr.io.checksums import hash_file
from usaggr.io.home import expand_home

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".tar")
"""Suffixes by which a value is taken for a file name, also if the file does not exist."""
TIMM = "timm"
"""Id of the pretrained weights that timm has for the name of a vision transformer."""


def find_weights_file(model: ModelConfig) -> Path | None:
    """Return the local file that `model.weights` names; None if it is null or an id of the library.

    Raises:
        ConfigError: The value names a file that does not exist, a folder, or an unknown id.
    """
    if model.weights is None:
        return None
    path = expand_home(model.weights, "model.weights")
    if path.is_file():
        return path
    if path.exists():
        raise ConfigError(f"model.weights={model.weights}: is a folder; give the file with the encoder's weights")
    library_id = TIMM if model.name == "m2dino" else "imagenet"
    if len(path.parts) > 1 or path.suffix in SUFFIXES:
        raise ConfigError(
            f"model.weights={model.weights}: no such file; give a local file (safetensors or a torch state dict), "
            f"an id of the library such as {library_id}, or null"
        )
    if model.name == "m2dino" and model.weights != TIMM:
        raise ConfigError(f"{explain_unknown_name('model.weights', model.weights, [TIMM])}, null, or a local file")
    return None


def check_weights(model: ModelConfig) -> str | None:
    """Check `model.weights` as far as possible without torch; return the SHA-256 of the file, None without a file.

    Raises:
        ConfigError: The file does not exist or cannot be read, or `norm: frozen` has no weights with statistics.
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
