"""The multi-task network `mh_mtl`: one encoder, one FPN decoder and a head a task, for batches that mix tasks.

Which tasks share a network changes nothing else of it: same architecture, same initial weights.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from usaggr.config import ModelConfig
from usaggr.data.seeds import derived_seed
from usaggr.models.decoder import Decoder
from usaggr.models.encoders import build_encoder
from usaggr.models.heads import Head, build_head
from usaggr.tasks import Task


class MultiTaskNetwork(nn.Module):
    """Images of any of its tasks, in any mixture, to each task's outputs.

    No layer mixes samples (but with `model.norm: batch`): a sample's output depends on nothing else of its batch.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, heads: Mapping[str, Head]) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self._heads = {task_id: f"head_{task_id.replace('%', '%25').replace('.', '%2E')}" for task_id in heads}
        self.heads = nn.ModuleDict({self._heads[task_id]: head for task_id, head in heads.items()})

    def forward(self, images: Tensor, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs of the tasks that have samples in the batch.

        Args:
            images: (N, 3, H, W) float32, normalised; H and W multiples of 32.
            rows: task id: places of its n samples in the batch, (n,) int64.

        Returns:
            Task id: logits (n, K, H, W) for segmentation, logits (n, K) for classification, boxes (n, 4) x_min y_min
            x_max y_max in [0, 1] for detection, points (n, P, 2) x, y in [0, 1] for regression.
        """
        maps = self.encoder(images)
        heads = {task_id: self.head(task_id) for task_id, places in rows.items() if len(places)}
        decoded = [task_id for task_id, head in heads.items() if head.reads == "decoder"]
        outputs: dict[str, Tensor] = {}
        if decoded:
            places = torch.cat([rows[task_id] for task_id in decoded])
            parts = self.decoder([level[places] for level in maps[-4:]]).split([len(rows[t]) for t in decoded])
            outputs = {task_id: heads[task_id](part) for task_id, part in zip(decoded, parts, strict=True)}
        for task_id, head in heads.items():
            if head.reads == "encoder":
                outputs[task_id] = head(maps[-1][rows[task_id]])
        return outputs

    def head(self, task_id: str) -> Head:
        """A task's head."""
        head = self.heads[self._heads[task_id]]
        assert isinstance(head, Head)
        return head


def build_network(model: ModelConfig, tasks: Sequence[Task], seed: int) -> MultiTaskNetwork:
    """The network of a block of tasks, with its initial weights.

    Encoder and decoder are drawn from the seed, each head from seed and task id: none depends on which other tasks
    there are. Random number generators are left as they were.

    Raises:
        ConfigError: no such encoder or weights, or they do not fit.
    """
    with _drawn_from(derived_seed("encoder", seed)):
        encoder, channels = build_encoder(model)
    with _drawn_from(derived_seed("decoder", seed)):
        decoder = Decoder(channels, model.decoder_channels)
    heads = {}
    for task in tasks:
        with _drawn_from(derived_seed("head", seed, task.id)):
            heads[task.id] = build_head(task, model, channels[-1], model.decoder_channels)
    return MultiTaskNetwork(encoder, decoder, heads)


def parameter_counts(network: MultiTaskNetwork) -> dict[str, int]:
    """Numbers of parameters: of `encoder`, `decoder`, all `heads`, and in `total`."""
    parts = {"encoder": network.encoder, "decoder": network.decoder, "heads": network.heads, "total": network}
    return {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}


@contextmanager
def _drawn_from(seed: int) -> Iterator[None]:
    """Draw from a seed within the context, and leave the CPU's generator as it was; others are not touched."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
