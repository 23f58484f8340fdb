"""Plain vision transformer of timm as an encoder of spatial maps; its later blocks may depend on the task.

Position embeddings, class and register tokens and rotary embeddings are timm's. DINOv3: Simeoni et al.,
arXiv:2508.10104.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from usaggr.config.model import M2DinoConfig
from usaggr.data.seeds import derive_seed
from usaggr.errors import ConfigError
from usaggr.models.adapters import FilmMlp, add_lora
from usaggr.models.experts import ExpertMlp, add_noise
from usaggr.models.per_task import TaskContext
from usaggr.models.plain_vit import create_vit
from usaggr.models.vit_weights import InputTransform, load_vit_weights

LEVELS = 4
"""Number of maps that the decoder reads, from blocks evenly spread over the depth including the last."""


class VisionTransformer(nn.Module):
    """Encoder from images (N, 3, H, W) to 4 maps (N, C, H / patch, W / patch) of normalized patch tokens.

    The final norm of the transformer normalizes each map. Class and register tokens are dropped.

    Args:
        vit: timm's transformer.
        pretrained_on: Transform to the images that the weights were trained on; None: images stay as they are.
    """

    def __init__(self, vit: nn.Module, pretrained_on: InputTransform | None = None) -> None:
        super().__init__()
        self.vit = vit
        scale = pretrained_on or InputTransform(torch.ones(3), torch.zeros(3))
        # Buffers, because the weights are only usable together with this transform.
        self.register_buffer("input_factor", scale.factor.clone())
        self.register_buffer("input_shift", scale.shift.clone())
        # Depth x (i + 1) / LEVELS, rounded up; blocks are counted from 0.
        self.levels = [-(-self.depth * (i + 1) // LEVELS) - 1 for i in range(LEVELS)]

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """Blocks of the transformer, which timm keeps in a ModuleList or a Sequential."""
        blocks = self.vit.blocks
        assert isinstance(blocks, nn.ModuleList | nn.Sequential)
        return list(blocks)

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    @property
    def channels(self) -> int:
        """Channels of a token."""
        channels: Any = self.vit.embed_dim
        return int(channels)

    @property
    def patch(self) -> int:
        """Pixels per side of a patch."""
        embed: Any = self.vit.patch_embed
        return int(embed.patch_size[0])

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps, from shallow to deep."""
        factor, shift = self.get_buffer("input_factor"), self.get_buffer("input_shift")
        rescaled = images * factor[:, None, None] + shift[:, None, None]
        forward: Any = self.vit.forward_intermediates
        maps: list[Tensor] = forward(rescaled, indices=self.levels, norm=True, intermediates_only=True)
        return maps


def build_vit(model: M2DinoConfig) -> VisionTransformer:
    """Build the transformer without conditioning, with its pretrained weights if any are configured.

    Initial weights are drawn from torch's global generator.

    Raises:
        ConfigError: The transformer does not exist, or weights are missing or do not fit.
    """
    vit: Any = create_vit(model)
    if len(vit.blocks) < LEVELS:
        raise ConfigError(
            f"model.encoder={model.encoder}: has {len(vit.blocks)} blocks; the decoder reads {LEVELS} of them"
        )
    return VisionTransformer(vit, load_vit_weights(vit, model))


def get_conditioned_range(model: M2DinoConfig, depth: int) -> range:
    """Return the indices (from 0) of the blocks that are conditioned on the task: by default, the second half.

    Raises:
        ConfigError: The encoder has fewer blocks than configured.
    """
    if model.conditioned_blocks is None:
        return range(depth // 2, depth)
    first, last = model.conditioned_blocks
    if last > depth:
        raise ConfigError(
            f"model.conditioned_blocks: {model.encoder} has {depth} blocks, so from [1, 1] to [{depth}, {depth}]; "
            f"got {model.conditioned_blocks}"
        )
    return range(first - 1, last)


def condition_blocks(
    encoder: VisionTransformer, model: M2DinoConfig, tasks: Sequence[str], context: TaskContext, seed: int
) -> None:
    """Make the MLPs of the conditioned blocks depend on the task, in place.

    Args:
        encoder: Transformer to change.
        model: Configuration; says which blocks are conditioned, and how.
        tasks: Ids of the tasks.
        context: Context of the network, which the new layers read.
        seed: Seed of the run. New weights are drawn from it, and those of a task also from its id.

    Raises:
        ConfigError: The encoder has fewer blocks than configured.
    """
    for i in get_conditioned_range(model, encoder.depth):
        block: Any = encoder.blocks[i]
        match model.conditioning:
            case "experts":
                # Each block has a seed of its own, and the global generator is restored afterwards.
                with torch.random.fork_rng(devices=[]):
                    torch.default_generator.manual_seed(derive_seed("experts", seed, i))
                    block.mlp = ExpertMlp(block.mlp, encoder.channels, model.experts, i, context)
                    if model.experts.noise:
                        add_noise(block.mlp.experts, model.experts.noise)
            case "lora":
                add_lora(block.mlp, model.lora_rank, tasks, context, _LayerGenerators("lora", seed, i))
            case "film":
                block.mlp = FilmMlp(block.mlp, encoder.channels, tasks, context)
            case "none":
                return


class _LayerGenerators:
    """Factory of random generators for the adapters of a block, one per layer and task."""

    def __init__(self, *key: str | int) -> None:
        self._key = key

    def __call__(self, layer: str, task_id: str) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(*self._key, layer, task_id))
