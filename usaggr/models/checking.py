"""Builds a network only to see that it can be: names, weights and sizes, before anything is trained with it.

On the meta device, where tensors have shapes and no values, so that a large network costs as little as a small one.
"""

import warnings
from collections.abc import Sequence

import torch

from usaggr.config.model import M2DinoConfig, ModelConfig
from usaggr.errors import ConfigError, UsaggrError
from usaggr.models.build_network import build_network
from usaggr.models.network import MultiTaskNetwork
from usaggr.models.vit import VisionTransformer
from usaggr.models.vit_download import content_of, silence_hub
from usaggr.models.weights import TIMM
from usaggr.tasks import Task


def check_network(model: ModelConfig, tasks: Sequence[Task], size: tuple[int, int]) -> str | None:
    """Build the network once; pretrained weights are downloaded where they are not in the cache.

    Args:
        model: the network.
        tasks: whose heads it has.
        size: height and width of its input in pixels.

    Returns:
        What timm's own weights are, in words with their SHA-256, where `model.weights` is timm's; else None.

    Raises:
        ConfigError: what a run would end with: no such encoder, weights that are missing or do not fit, sizes.
    """
    silence_hub()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each run's log has them
        network = _built(model, tasks)
    if isinstance(network.encoder, VisionTransformer) and any(side % network.encoder.patch for side in size):
        patch = network.encoder.patch
        raise ConfigError(
            f"data.image_size: a multiple of {patch}, the patch of {model.encoder}, or [height, width] of such, "
            f"not {list(size)}"
        )
    return content_of(model) if isinstance(model, M2DinoConfig) and model.weights == TIMM else None


def _built(model: ModelConfig, tasks: Sequence[Task]) -> MultiTaskNetwork:
    """The network, on the meta device if that can be."""
    if isinstance(model, M2DinoConfig):
        # Noise changes no shape, and its size cannot be told where there are no values.
        model = model.model_copy(update={"experts": model.experts.model_copy(update={"noise": 0.0})})
    elif model.weights is not None:
        return build_network(model, tasks, seed=0)  # the library's loaders know no meta device
    try:
        with torch.device("meta"):
            return build_network(model, tasks, seed=0)
    except UsaggrError:
        raise
    except Exception:  # a layer that needs values as it is built
        return build_network(model, tasks, seed=0)
