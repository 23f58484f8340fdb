"""A plain vision transformer of timm as an encoder of spatial maps, whose later blocks may depend on the task.

Positions, class and register tokens and rotary embeddings are timm's own. DINOv3: Simeoni et al., arXiv:2508.10104.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from usaggr.config.model import M2DinoConfig
from usaggr.data.seeds import derived_seed
from usaggr.errors import ConfigError
from usaggr.models.adapters import FilmMlp, adapt_linears
from usaggr.models.experts import ExpertMlp, perturb
from usaggr.models.per_task import TaskContext
from usaggr.models.plain_vit import create_vit
from usaggr.models.vit_weights import InputTransform, load_vit_weights

LEVELS = 4
"""Maps that the decoder reads: of blocks evenly spread over the depth, the last one included."""


class VisionTransformer(nn.Module):
    """Images (N, 3, H, W) to 4 maps (N, C, H / patch, W / patch) of patch tokens, each normalised by the last norm.

    No class or register token leaves it.
    """

    def __init__(self, vit: nn.Module, pretrained_on: InputTransform | None = None) -> None:
        super().__init__()
        self.vit = vit
        scale = pretrained_on or InputTransform(torch.ones(3), torch.zeros(3))
        # Kept with the weights, which mean nothing without it.
        self.register_buffer("input_factor", scale.factor.clone())
        self.register_buffer("input_shift", scale.shift.clone())
        self.levels = [-(-self.depth * (i + 1) // LEVELS) - 1 for i in range(LEVELS)]

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The transformer's blocks, which timm keeps in a list or in a sequence."""
        blocks = self.vit.blocks
        assert isinstance(blocks, nn.ModuleList | nn.Sequential)
        return list(blocks)

    @property
    def depth(self) -> int:
        """Blocks."""
        return len(self.blocks)

    @property
    def channels(self) -> int:
        """Of a token."""
        channels: Any = self.vit.embed_dim
        return int(channels)

    @property
    def patch(self) -> int:
        """Pixels a side of a patch."""
        embed: Any = self.vit.patch_embed
        return int(embed.patch_size[0])

    def forward(self, images: Tensor) -> list[Tensor]:
        """The maps, shallow to deep."""
        factor, shift = self.get_buffer("input_factor"), self.get_buffer("input_shift")
        rescaled = images * factor[:, None, None] + shift[:, None, None]
        forward: Any = self.vit.forward_intermediates
        maps: list[Tensor] = forward(rescaled, indices=self.levels, norm=True, intermediates_only=True)
        return maps


def build_vit(model: M2DinoConfig) -> VisionTransformer:
    """The plain transformer, drawn from torch's generator, with its pretrained weights if any are named.

    Raises:
        ConfigError: no such transformer, or weights that are not there or do not fit.
    """
    vit: Any = create_vit(model)
    if len(vit.blocks) < LEVELS:
        raise ConfigError(f"model.encoder={model.encoder}: has {len(vit.blocks)} blocks, and {LEVELS} are read")
    return VisionTransformer(vit, load_vit_weights(vit, model))


def conditioned_range(model: M2DinoConfig, depth: int) -> range:
    """The conditioned blocks, from 0.

    Raises:
        ConfigError: there are not so many blocks.
    """
    if model.conditioned_blocks is None:
        return range(depth // 2, depth)
    first, last = model.conditioned_blocks
    if last > depth:
        raise ConfigError(
            f"model.conditioned_blocks: {model.encoder} has {depth} blocks, so from [1, 1] to [{depth}, {depth}]; "
            f"not {model.conditioned_blocks}"
        )
    return range(first - 1, last)


def condition_blocks(
    encoder: VisionTransformer, model: M2DinoConfig, tasks: Sequence[str], context: TaskContext, seed: int
) -> None:
    """Make the MLPs of the conditioned blocks depend on the task, in place. What is new comes from seed and task id.

    Raises:
        ConfigError: there are not so many blocks.
    """
    for i in conditioned_range(model, encoder.depth):
        block: Any = encoder.blocks[i]
        match model.conditioning:
            case "experts":
                with torch.random.fork_rng(devices=[]):
                    torch.default_generator.manual_seed(derived_seed("experts", seed, i))
                    block.mlp = ExpertMlp(block.mlp, encoder.channels, model.experts, i, context)
                    if model.experts.noise:
                        perturb(block.mlp.experts, model.experts.noise)
            case "lora":
                adapt_linears(block.mlp, model.lora_rank, tasks, context, _Drawn("lora", seed, i))
            case "film":
                block.mlp = FilmMlp(block.mlp, encoder.channels, tasks, context)
            case "none":
                return


class _Drawn:
    """Generators of a block's adapters, by task."""

    def __init__(self, *key: str | int) -> None:
        self._key = key

    def __call__(self, layer: str, task_id: str) -> torch.Generator:
        return torch.Generator().manual_seed(derived_seed(*self._key, layer, task_id))
