"""The decoder of m2dino: a light dense-prediction transformer's (DPT) on the maps of four depths of the encoder.

Ranftl et al., Vision Transformers for Dense Prediction, ICCV 2021, with the parts of segmentation-models-pytorch.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.base.initialization import initialize_decoder  # type: ignore[import-untyped]
from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder  # type: ignore[import-untyped]
from torch import Tensor, nn

from usaggr.models.normalisation import without_batch_statistics
from usaggr.models.vit import LEVELS

LAST_GAIN = 0.1
"""On the last layer's first weights. Residual branches add up to maps ten times as large as heads are made for, whose
training then begins by unlearning; normalising the map instead took boxes and small objects longer, in comparison."""


class LightDpt(nn.Module):
    """Four maps (n, C, h, w), shallow to deep, to one map (n, width, 4 h, 4 w) for patches of 16 pixels.

    No class token is read, for no task type is to be favoured; group normalisation in the place of batch statistics;
    maps are enlarged to the size of the next one, so that grids with odd sides fit; the last fused map is left at its
    size and not doubled, which is what makes it light.
    """

    def __init__(self, channels: int, width: int, patch: int) -> None:
        super().__init__()
        nominal = 2 ** round(math.log2(patch))
        self.stride = 4 * patch / nominal
        """Pixels of the input a pixel of the map: 4 for patches of 8, 16 and 32 pixels, 3.5 for 14."""
        self.dpt = DPTDecoder(
            encoder_out_channels=[channels] * LEVELS,
            encoder_output_strides=[nominal] * LEVELS,
            encoder_has_prefix_tokens=False,
            readout="ignore",
            intermediate_channels=[3 * width // 4, 3 * width // 2, 3 * width, 6 * width],
            fusion_channels=width,
        )
        # The deepest map has nothing below it to be added to before the block's second half.
        self.dpt.fusion_blocks[0].residual_conv_block1 = nn.Identity()
        without_batch_statistics(self.dpt, "group")
        initialize_decoder(self.dpt)
        with torch.no_grad():
            self.dpt.fusion_blocks[-1].project.weight.mul_(LAST_GAIN)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Fuse the maps, the deepest first."""
        levels = [block(level) for block, level in zip(self.dpt.reassemble_blocks, maps, strict=True)]
        fused: Any = None
        for block, level in zip(self.dpt.fusion_blocks, reversed(levels), strict=True):
            level = block.residual_conv_block1(level)
            if fused is not None:
                level = level + F.interpolate(fused, size=level.shape[-2:], mode="bilinear", align_corners=False)
            fused = block.project(block.residual_conv_block2(level))
        decoded: Tensor = fused
        return decoded
