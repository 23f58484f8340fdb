"""A multi-task network: an encoder, a decoder that all tasks share, and a head a task, for batches that mix tasks.

Which tasks share a network changes nothing else of it: same architecture, same initial weights.
"""

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn

from usaggr.models.heads import Head
from usaggr.models.per_task import Routed, module_name


class MultiTaskNetwork(nn.Module):
    """Images of any of its tasks, in any mixture, to each task's outputs.

    No layer mixes samples (but with `model.norm: batch`): a sample's output depends on nothing else of its batch.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, heads: Mapping[str, Head]) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self._heads = {task_id: f"head_{module_name(task_id)}" for task_id in heads}
        self.heads = nn.ModuleDict({self._heads[task_id]: head for task_id, head in heads.items()})
        self.balance = 0.0
        """Weight of the load-balancing term."""
        self.layer_decay = 1.0
        """Factor on the learning rate from each of the encoder's blocks to the one before it."""
        self._frozen: list[nn.Module] = []
        """Modules that are frozen whole."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Ids of its tasks."""
        return tuple(self._heads)

    def train(self, mode: bool = True) -> Self:
        """Training mode for what is trained; frozen parts stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def freeze(self, module: nn.Module) -> None:
        """Train nothing of a module."""
        module.requires_grad_(False)
        self._frozen.append(module.eval())

    def forward(self, images: Tensor, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs of the tasks that have samples in the batch.

        Args:
            images: (N, 3, H, W) float32, normalised; H and W multiples of 32, or of the patch for a transformer.
            rows: task id: places of its n samples in the batch, (n,) int64.

        Returns:
            Task id: logits (n, K, H, W) for segmentation, logits (n, K) for classification, boxes (n, 4) x_min y_min
            x_max y_max in [0, 1] for detection, points (n, P, 2) x, y in [0, 1] for regression.
        """
        maps = self.encode(images, rows)
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

    def encode(self, images: Tensor, rows: Mapping[str, Tensor]) -> list[Tensor]:
        """The encoder's maps of the images, which need not know their tasks here."""
        maps: list[Tensor] = self.encoder(images)
        return maps

    def routing(self) -> dict[int, Routed]:
        """How the last batch's tokens were sent to experts, by block from 0; empty where there are none."""
        return {}

    def head(self, task_id: str) -> Head:
        """A task's head."""
        head = self.heads[self._heads[task_id]]
        assert isinstance(head, Head)
        return head
