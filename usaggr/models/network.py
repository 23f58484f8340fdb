"""Multi-task network for batches that mix tasks: one encoder and one decoder for all tasks, one head per task.

Architecture and initial weights do not depend on which tasks share the network.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from usaggr.models.heads import Head
from usaggr.models.per_task import BlockRouting, make_module_name


@dataclass(frozen=True)
class EncoderOutput:
    """Encoder maps of a batch of N images."""

    maps: list[Tensor]
    """(N, C, h, w) each, from shallow to deep."""
    routing: dict[int, BlockRouting]
    """Routing to experts by block index (from 0); empty without experts."""


@dataclass(frozen=True)
class NetworkOutput:
    """Outputs of a network for a batch, and the routing that led to them."""

    outputs: dict[str, Tensor]
    """Outputs by task id, as `MultiTaskNetwork.forward` returns them."""
    routing: dict[int, BlockRouting]
    """Routing to experts by block index (from 0); empty without experts."""


class MultiTaskNetwork(nn.Module):
    """Network from images of its tasks, in any mixture, to the outputs of each task.

    No layer mixes samples, except with `model.norm: batch`: an output does not depend on the rest of the batch.

    Args:
        encoder: Module from images (N, 3, H, W) to a list of maps, from shallow to deep.
        decoder: Module from the last four maps to one map (N, C, h, w).
        heads: One head per task id.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, heads: Mapping[str, Head]) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self._head_names = {task_id: f"head_{make_module_name(task_id)}" for task_id in heads}
        self.heads = nn.ModuleDict({self._head_names[task_id]: head for task_id, head in heads.items()})
        self.load_balancing_weight = 0.0
        """Weight of the load-balancing loss in the training objective."""
        self.layer_decay = 1.0
        """Factor on the learning rate from each block of the encoder to the block before it."""
        self._frozen: list[nn.Module] = []
        """Modules of which no parameter is trained."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Ids of the network's tasks."""
        return tuple(self._head_names)

    def train(self, mode: bool = True) -> Self:
        """Set training mode for trained modules; frozen modules stay in evaluation mode, without dropout."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def freeze(self, module: nn.Module) -> None:
        """Exclude all parameters of a module from training."""
        module.requires_grad_(False)
        self._frozen.append(module.eval())

    def forward(self, images: Tensor, batch_indices: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs of the tasks that have samples in the batch.

        Args:
            images: (N, 3, H, W) float32, normalized; H and W multiples of 32, or of the patch for a transformer.
            batch_indices: Task id: indices of its n samples in the batch, (n,) int64.

        Returns:
            Task id: logits (n, K, H, W) for segmentation, logits (n, K) for classification, boxes (n, 4) x_min y_min
            x_max y_max in [0, 1] for detection, points (n, P, 2) x, y in [0, 1] for regression.
        """
        return self.forward_with_routing(images, batch_indices).outputs

    def forward_with_routing(self, images: Tensor, batch_indices: Mapping[str, Tensor]) -> NetworkOutput:
        """Return outputs as `forward` does, and the routing of the batch; parameters as there."""
        encoded = self.encode(images, batch_indices)
        return NetworkOutput(self._apply_heads(encoded.maps, batch_indices), encoded.routing)

    def encode(self, images: Tensor, batch_indices: Mapping[str, Tensor]) -> EncoderOutput:
        """Return the encoder's maps of the images; the encoder of this class does not depend on the tasks."""
        return EncoderOutput(self.encoder(images), {})

    def get_head(self, task_id: str) -> Head:
        """Return the head of a task."""
        head = self.heads[self._head_names[task_id]]
        assert isinstance(head, Head)
        return head

    def _apply_heads(self, maps: list[Tensor], batch_indices: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs by task; the decoder runs only on samples of tasks whose heads read it."""
        heads = {task_id: self.get_head(task_id) for task_id, indices in batch_indices.items() if len(indices)}
        decoded_tasks = [task_id for task_id, head in heads.items() if head.reads == "decoder"]
        outputs: dict[str, Tensor] = {}
        if decoded_tasks:
            # One call of the decoder for all tasks; its output is then split by task.
            indices = torch.cat([batch_indices[task_id] for task_id in decoded_tasks])
            decoded = self.decoder([level[indices] for level in maps[-4:]])
            by_task = decoded.split([len(batch_indices[task_id]) for task_id in decoded_tasks])
            outputs = {
                task_id: heads[task_id](task_maps) for task_id, task_maps in zip(decoded_tasks, by_task, strict=True)
            }
        for task_id, head in heads.items():
            if head.reads == "encoder":
                outputs[task_id] = head(maps[-1][batch_indices[task_id]])
        return outputs
