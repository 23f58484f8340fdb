"""Pretrained weights as a plan sees them: is the file there, and what is its content? No torch here."""

import hashlib
from pathlib import Path

from usaggr.config import ModelConfig
from usaggr.errors import ConfigError

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


def weights_file(model: ModelConfig) -> Path | None:
    """The local file that `model.weights` names; None where it is null or an id of the library.

    Raises:
        ConfigError: it looks like a file, but there is none.
    """
    if model.weights is None:
        return None
    path = Path(model.weights).expanduser()
    if path.is_file():
        return path
    if path.suffix in SUFFIXES or len(path.parts) > 1:
        raise ConfigError(
            f"model.weights: no file {model.weights}; give a state dict of {model.encoder} ({', '.join(SUFFIXES)}), "
            "null to train from scratch, or the library's own id, such as imagenet"
        )
    return None


def check_weights(model: ModelConfig) -> str | None:
    """What the weights are, for a run's fingerprint: hash of the file's bytes, the library's id, or None.

    Raises:
        ConfigError: `model.weights` names a file that is not there.
    """
    path = weights_file(model)
    if path is None:
        return None if model.weights is None else f"id {model.weights}"
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
