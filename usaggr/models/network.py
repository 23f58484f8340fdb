"""The multi-task network `mh_mtl`: an encoder and an FPN decoder that all tasks share, and a head a task.

After the benchmark's official baseline (arXiv:2602.01055), but with one encoder pass for a batch of mixed tasks.
"""

from collections.abc import Mapping, Sequence

import torch
from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder
from torch import Tensor, nn

from usaggr.config import ModelConfig
from usaggr.data.seeds import derived_seed
from usaggr.models.encoders import DEPTH, build_encoder
from usaggr.models.heads import build_head, reads_decoder
from usaggr.models.normalisation import freeze_batch_norm
from usaggr.tasks import Task

DECODER_STRIDE = 4


class MultiTaskNetwork(nn.Module):
    """Encoder, decoder and heads; parts are named so, and no layer mixes samples (but for `norm: batch`)."""

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, heads: nn.ModuleDict, on_decoder: frozenset[str]
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.heads = heads
        self._on_decoder = on_decoder
        self._frozen_norm = False

    def keep_batch_statistics(self) -> None:
        """From now on, batch normalisation uses its stored statistics in training too."""
        self._frozen_norm = True
        freeze_batch_norm(self)

    def train(self, mode: bool = True) -> "MultiTaskNetwork":
        """Set the mode; frozen batch normalisation stays in eval mode."""
        super().train(mode)
        if self._frozen_norm:
            freeze_batch_norm(self)
        return self

    def forward(self, images: Tensor, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs of each task's head on its own samples.

        Args:
            images: (N, 3, H, W) float32, normalised; H and W are multiples of 32.
            rows: task id: places of its samples in the batch, (n,) int64. A task that is not named is not touched.

        Returns:
            Task id: logits (n, K, H, W) or (n, K), boxes (n, 4) or points (n, P, 2) in [0, 1], in the rows' order.
        """
        features = self.encoder(images)
        outputs: dict[str, Tensor] = {}
        decoded_tasks = [task_id for task_id in sorted(rows) if task_id in self._on_decoder]
        if decoded_tasks:
            places = torch.cat([rows[task_id] for task_id in decoded_tasks])
            maps = self.decoder([feature[places] for feature in features[-4:]])
            parts = maps.split([len(rows[task_id]) for task_id in decoded_tasks])
            for task_id, part in zip(decoded_tasks, parts, strict=True):
                outputs[task_id] = self.heads[task_id](part)
        for task_id, places in rows.items():
            if task_id not in self._on_decoder:
                outputs[task_id] = self.heads[task_id](features[-1][places])
        return outputs


def build_network(model: ModelConfig, tasks: Sequence[Task], seed: int) -> MultiTaskNetwork:
    """The network for these tasks, with its initial weights.

    Those of encoder and decoder come from the seed, each head's from (seed, task id): a task starts from the same
    weights whatever shares its model. torch's own generator is left as it was.

    Raises:
        ConfigError: the encoder or its weights cannot be had.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed("network", seed))
        encoder = build_encoder(model)
        channels: list[int] = encoder.out_channels  # type: ignore[assignment]
        decoder = FPNDecoder(channels, DEPTH, model.decoder_channels, model.decoder_channels, dropout=0.0)
        heads = nn.ModuleDict()
        for task in tasks:
            torch.manual_seed(derived_seed("head", seed, task.id))
            heads[task.id] = build_head(task, model, channels[-1], model.decoder_channels, DECODER_STRIDE)
    on_decoder = frozenset(task.id for task in tasks if reads_decoder(task, model))
    network = MultiTaskNetwork(encoder, decoder, heads, on_decoder)
    if model.norm == "frozen":
        network.keep_batch_statistics()
    return network


def parameter_counts(network: MultiTaskNetwork) -> dict[str, int]:
    """Parameters by part: encoder, decoder, heads, and their total."""
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
    return {**parts, "total": sum(parts.values())}
