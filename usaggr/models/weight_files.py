"""Reading of weights files: safetensors or a torch state dict, recognized by content and not by file name.

No code in a file is executed. `encoders.py` and `vit_weights.py` match the tensors to networks.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from usaggr.errors import ConfigError, get_first_line

_WRAPPERS = ("state_dict", "model_state_dict", "model", "encoder", "teacher")
"""Keys under which checkpoints store the state dict of the network."""
_PREFIX = re.compile(r"^(?:(?:module|model|network|encoder|backbone|vit)\.)+")
"""Names of the modules that an encoder is part of, at the start of a tensor's name."""


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Read the tensors of a file by name, onto the CPU.

    Raises:
        ConfigError: The file is neither safetensors nor a torch state dict, or has no weights.
    """
    try:
        content: Any = load_file(file) if _is_safetensors(file) else torch.load(file, "cpu", weights_only=True)
    except Exception as error:  # both formats have many errors; the message shows which
        raise ConfigError(
            f"model.weights={file}: is neither safetensors nor a torch state dict ({get_first_line(error)})"
        ) from error
    # A checkpoint may wrap the state dict more than once, as in {"teacher": {"state_dict": ...}}.
    while isinstance(content, Mapping):
        inner = next((content[name] for name in _WRAPPERS if isinstance(content.get(name), Mapping)), None)
        if inner is None:
            break
        content = inner
    tensors = {n: t for n, t in content.items() if isinstance(t, Tensor)} if isinstance(content, Mapping) else {}
    if not tensors:
        raise ConfigError(f"model.weights={file}: contains no named weights; save the encoder's state_dict()")
    return tensors


def strip_prefix(name: str) -> str:
    """Return a tensor's name within the encoder, without the names of the modules around it."""
    return _PREFIX.sub("", name)


def describe_mismatch(name: str, expected: Tensor, stored: Tensor | None) -> str:
    """Describe a weight that is missing in a file or has another shape there, for a message.

    Args:
        name: Name of the weight.
        expected: Tensor of the encoder.
        stored: Tensor in the file; None if it is missing.
    """
    if stored is None:
        return name
    return f"{name} (shape {tuple(stored.shape)} in the file, {tuple(expected.shape)} in the encoder)"


def list_some(names: Sequence[str], limit: int = 3) -> str:
    """Return the first names and the number of the others, for a message."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return (", ".join(names[:limit]) or "none") + more


def _is_safetensors(file: Path) -> bool:
    """Return True if the content is safetensors: 8 bytes with the length of the header, then JSON."""
    with file.open("rb") as stream:
        return stream.read(9)[8:] == b"{"
