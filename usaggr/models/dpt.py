"""Decoder of m2dino: a light dense prediction transformer (DPT) decoder on encoder maps of four depths.

Ranftl et al., Vision Transformers for Dense Prediction, ICCV 2021, built from layers of segmentation-models-pytorch.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.base.initialization import initialize_decoder  # type: ignore[import-untyped]
from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder  # type: ignore[import-untyped]
from torch import Tensor, nn

from usaggr.models.normalization import replace_batch_norm
from usaggr.models.vit import LEVELS

LAST_GAIN = 0.1
"""Factor on the initial weights of the last layer. Without it, the residual branches add up to maps ten times as large
as the heads expect, and training first has to shrink them. Normalizing the map instead made boxes and small objects
learn more slowly in a comparison."""


class LightDpt(nn.Module):
    """DPT decoder from four maps (n, C, h, w), shallow to deep, to one map (n, width, 4 h, 4 w), for 16-pixel patches.

    Differences from the published decoder:

    * the class token is not read, so that no task type has an advantage;
    * group normalization replaces batch normalization, which mixes samples;
    * maps are resized to the size of the next map, so that grids with odd sides fit;
    * the last fused map is not doubled in size, which makes the decoder light.

    Args:
        channels: C, the channels of the encoder's maps.
        width: Channels of the decoder's map.
        patch: Pixels per side of an encoder patch.
    """

    def __init__(self, channels: int, width: int, patch: int) -> None:
        super().__init__()
        nominal = 2 ** round(math.log2(patch))
        self.stride = 4 * patch / nominal
        """Input pixels per pixel of the map: 4 for patches of 8, 16 and 32 pixels, 3.5 for patches of 14."""
        self.dpt = DPTDecoder(
            encoder_out_channels=[channels] * LEVELS,
            encoder_output_strides=[nominal] * LEVELS,
            encoder_has_prefix_tokens=False,
            readout="ignore",
            intermediate_channels=[3 * width // 4, 3 * width // 2, 3 * width, 6 * width],
            fusion_channels=width,
        )
        # The first half of a block refines a map before a deeper one is added; the deepest map has none.
        self.dpt.fusion_blocks[0].residual_conv_block1 = nn.Identity()
        replace_batch_norm(self.dpt, "group")
        initialize_decoder(self.dpt)
        with torch.no_grad():
            self.dpt.fusion_blocks[-1].project.weight.mul_(LAST_GAIN)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the fused map; fusion starts at the deepest."""
        levels = [block(level) for block, level in zip(self.dpt.reassemble_blocks, maps, strict=True)]
        fused: Any = None
        for block, level in zip(self.dpt.fusion_blocks, reversed(levels), strict=True):
            level = block.residual_conv_block1(level)
            if fused is not None:
                level = level + F.interpolate(fused, size=level.shape[-2:], mode="bilinear", align_corners=False)
            fused = block.project(block.residual_conv_block2(level))
        decoded: Tensor = fused
        return decoded
