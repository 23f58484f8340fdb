"""Files of weights, by content: safetensors or a torch state dict, whatever their ending and whoever wrote them.

Nothing in a file is ever executed. Which tensor belongs where is encoders.py and vit_weights.py.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from usaggr.errors import ConfigError

_WRAPPERS = ("state_dict", "model_state_dict", "model", "encoder", "teacher")
"""Names under which checkpoints keep the network's state."""
_PREFIX = re.compile(r"^(?:(?:module|model|network|encoder|backbone|vit)\.)+")


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, on the CPU.

    Raises:
        ConfigError: it is neither safetensors nor a torch state dict, or holds no weights.
    """
    try:
        content: Any = load_file(file) if _is_safetensors(file) else torch.load(file, "cpu", weights_only=True)
    except Exception as error:  # of either format: what is wrong with the file is in the message
        raise ConfigError(
            f"model.weights={file}: is neither safetensors nor a torch state dict ({first_line(error)})"
        ) from error
    while isinstance(content, Mapping):
        inner = next((content[name] for name in _WRAPPERS if isinstance(content.get(name), Mapping)), None)
        if inner is None:
            break
        content = inner
    tensors = {n: t for n, t in content.items() if isinstance(t, Tensor)} if isinstance(content, Mapping) else {}
    if not tensors:
        raise ConfigError(f"model.weights={file}: holds no weights by name; save the encoder's state_dict()")
    return tensors


def without_prefix(name: str) -> str:
    """A tensor's name in the encoder, however deep a network holds that."""
    return _PREFIX.sub("", name)


def described(name: str, own: Tensor, found: Tensor | None) -> str:
    """A weight that is missing (found: None) or of another shape, for a message."""
    if found is None:
        return name
    return f"{name} (shape {tuple(found.shape)} in the file, {tuple(own.shape)} in the encoder)"


def some(names: Sequence[str], most: int = 3) -> str:
    """The first few of many names, for a message."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + more


def first_line(error: BaseException) -> str:
    """What an error says, for a message of one line."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")


def _is_safetensors(file: Path) -> bool:
    """Whether a file is safetensors, by its content: a header's length, then JSON."""
    with file.open("rb") as stream:
        return stream.read(9)[8:] == b"{"
