"""Decoder that all tasks of a network share: a feature pyramid network (FPN) on the encoder's last four maps.

Kirillov et al., Panoptic Feature Pyramid Networks, CVPR 2019, as in segmentation-models-pytorch.
"""

from collections.abc import Sequence

from segmentation_models_pytorch.base.initialization import initialize_decoder  # type: ignore[import-untyped]
from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder  # type: ignore[import-untyped]
from torch import Tensor, nn

from usaggr.models.normalization import set_group_counts

STRIDE = 4
"""Input pixels per pixel of the decoder's map, in each direction."""


class Decoder(nn.Module):
    """FPN from encoder maps at strides 4, 8, 16 and 32 to one map (n, width, H / 4, W / 4).

    There is no dropout. Its masks are drawn for a whole batch in order, so that a sample's mask would depend on the
    other samples of the batch.

    Args:
        encoder_channels: Channels of the last four encoder maps, from shallow to deep.
        width: Channels of the decoder's map.
    """

    def __init__(self, encoder_channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.fpn = FPNDecoder(list(encoder_channels), 5, pyramid_channels=width, segmentation_channels=width, dropout=0)
        set_group_counts(self.fpn)
        initialize_decoder(self.fpn)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the decoder's map; of the encoder's maps, the last four are read."""
        decoded: Tensor = self.fpn(list(maps))
        return decoded
