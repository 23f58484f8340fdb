"""Check that a configured network can be built, before a sweep starts to train with it: names, weights and sizes.

The network is built on torch's meta device if possible. Tensors there have shapes but no values, so that a large
network costs as little as a small one.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from usaggr.config.model import M2DinoConfig, ModelConfig
from usaggr.errors import ConfigError, UsaggrError
from usaggr.models.build_network import build_network
from usaggr.models.network import MultiTaskNetwork
from usaggr.models.parameters import measure_weights
from usaggr.models.vit import VisionTransformer
from usaggr.models.vit_download import identify_weights, silence_hub
from usaggr.models.weight_sizes import WeightSizes
from usaggr.models.weights import TIMM
from usaggr.tasks import Task

_DRAWS = frozenset({"normal_", "uniform_", "trunc_normal_", "erfinv_"})
"""Functions and methods that draw values, or change drawn ones, in place."""
_RANDOM_TENSORS = frozenset({"rand", "randn"})
"""Functions that draw a new tensor."""
_SCALINGS = frozenset({"mul", "__rmul__", "mul_", "add_", "sub_", "div_", "clamp_"})
"""Further functions and methods that initial weights are scaled with; with numbers, they keep shape and type."""


class _WithoutValues(TorchFunctionMode):
    """A mode that leaves out what only changes the values of initial weights, for which the meta device has none.

    On that device, torch would import its symbolic shapes (sympy) for such a change: half a second.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch; one that only changes values returns its tensor as it is, and none draws."""
        options = dict(kwargs or {})
        tensor, *operands = (*args, *options.values()) or (None,)
        name = getattr(function, "__name__", "")
        if isinstance(tensor, torch.Tensor) and tensor.is_meta and _changes_only_values(name, tensor, operands):
            return tensor
        if name in _RANDOM_TENSORS:
            function = torch.empty
            options.pop("generator", None)
        return function(*args, **options)


def _changes_only_values(name: str, tensor: torch.Tensor, operands: Sequence[Any]) -> bool:
    """Return whether a function of torch gives a tensor of the same shape and type.

    Args:
        name: Name of the function.
        tensor: Its first argument.
        operands: Its other arguments.
    """
    is_scaled = name in _SCALINGS and tensor.is_floating_point()
    return name in _DRAWS or (is_scaled and all(isinstance(operand, float | int | None) for operand in operands))


@dataclass(frozen=True)
class CheckedNetwork:
    """Facts about a network that can be built."""

    download: str | None
    """Repository, file and SHA-256 of timm's weights if `model.weights` is `timm`, else None."""
    sizes: WeightSizes


def check_network(model: ModelConfig, tasks: Sequence[Task], size: tuple[int, int]) -> CheckedNetwork:
    """Build the network once; pretrained weights that are not in the cache are downloaded.

    Args:
        model: Configuration of the network.
        tasks: Tasks whose heads the network has.
        size: Height and width of its input in pixels.

    Raises:
        ConfigError: A run would fail: the encoder does not exist, weights are missing or do not fit, or the size is
            not a multiple of the patch.
    """
    silence_hub()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the log of each run shows them
        network = _build(model, tasks)
    if isinstance(network.encoder, VisionTransformer) and any(side % network.encoder.patch for side in size):
        patch = network.encoder.patch
        raise ConfigError(
            f"data.image_size: must be a multiple of {patch}, the patch of {model.encoder}, or [height, width] of "
            f"such; got {list(size)}"
        )
    download = identify_weights(model) if isinstance(model, M2DinoConfig) and model.weights == TIMM else None
    return CheckedNetwork(download, measure_weights(network))


def _build(model: ModelConfig, tasks: Sequence[Task]) -> MultiTaskNetwork:
    """Build the network, on the meta device if possible."""
    if isinstance(model, M2DinoConfig):
        # Noise changes no shape, and the meta device has no values to compute its size from.
        model = model.model_copy(update={"experts": model.experts.model_copy(update={"noise": 0.0})})
    elif model.weights is not None:
        return build_network(model, tasks, seed=0)  # the library's loaders do not support the meta device
    try:
        with torch.device("meta"), _WithoutValues():
            return build_network(model, tasks, seed=0)
    except UsaggrError:
        raise
    except Exception:  # some layers need values when they are built
        return build_network(model, tasks, seed=0)
