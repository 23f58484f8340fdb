"""The decoder that all tasks of a network share: a feature pyramid network (FPN) on the encoder's last four maps.

Kirillov et al., Panoptic Feature Pyramid Networks, CVPR 2019, as in segmentation-models-pytorch.
"""

from collections.abc import Sequence

from segmentation_models_pytorch.base.initialization import initialize_decoder  # type: ignore[import-untyped]
from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder  # type: ignore[import-untyped]
from torch import Tensor, nn

from usaggr.models.normalisation import regroup

STRIDE = 4
"""Pixels of the input a pixel of the decoder's map."""


class Decoder(nn.Module):
    """Encoder maps at strides 4, 8, 16 and 32 to one map (n, width, H / 4, W / 4).

    No dropout: dropped channels would be drawn for a batch in order, so that they depended on its neighbours.
    """

    def __init__(self, encoder_channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.fpn = FPNDecoder(list(encoder_channels), 5, pyramid_channels=width, segmentation_channels=width, dropout=0)
        regroup(self.fpn)
        initialize_decoder(self.fpn)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Decode the encoder's maps, of which the last four are read."""
        decoded: Tensor = self.fpn(list(maps))
        return decoded
