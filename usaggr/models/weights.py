"""Pretrained weights as a study names them, before any network is built: a file, or an id of the library.

Free of torch, so that a plan can check and hash the file; reading it into an encoder is encoders.py and vit_weights.py.
"""

from pathlib import Path

from usaggr.config.model import ModelConfig
from usaggr.errors import ConfigError, one_of
from usaggr.io.checksums import file_hash

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".tar")
"""Endings that say that a name is meant as a file's, whether it is there or not."""
TIMM = "timm"
"""The id of a vision transformer's own pretrained weights."""


def weights_file(model: ModelConfig) -> Path | None:
    """The local file that `model.weights` means; None where it is null or an id of the library.

    Raises:
        ConfigError: a file is meant, and there is none that can be read.
    """
    if model.weights is None:
        return None
    path = Path(model.weights).expanduser()
    if path.is_file():
        return path
    if path.exists():
        raise ConfigError(f"model.weights={model.weights}: is a folder; give the file with the encoder's weights")
    own = TIMM if model.name == "m2dino" else "imagenet"
    if len(path.parts) > 1 or path.suffix in SUFFIXES:
        raise ConfigError(
            f"model.weights={model.weights}: no such file; give a local file (safetensors or a torch state dict), "
            f"an id of the library such as {own}, or null"
        )
    if model.name == "m2dino" and model.weights != TIMM:
        raise ConfigError(f"{one_of('model.weights', model.weights, [TIMM])}, null, or a local file")
    return None


def check_weights(model: ModelConfig) -> str | None:
    """Check what can be checked of `model.weights` without torch; the SHA-256 of the file's bytes, if it is a file.

    Raises:
        ConfigError: no such file, it cannot be read, or `norm: frozen` without weights to freeze statistics of.
    """
    if model.weights is None:
        if model.name == "mh_mtl" and model.norm == "frozen":
            raise ConfigError(
                "model.norm=frozen keeps the statistics of pretrained weights, and model.weights is null; "
                "give weights, or take model.norm=group"
            )
        return None
    path = weights_file(model)
    if path is None:
        return None
    try:
        return file_hash(path)
    except OSError as error:
        raise ConfigError(f"model.weights={model.weights}: cannot be read ({error.strerror})") from error
