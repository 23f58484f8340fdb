"""Training objective: the loss of a batch, and the terms that it is the sum of."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from usaggr.config.study import TrainingConfig
from usaggr.data.batches.batches import Batch
from usaggr.models.experts import load_balancing_loss
from usaggr.models.network import MultiTaskNetwork, NetworkOutput
from usaggr.tasks import Task
from usaggr.training.balancing import Uncertainty, join_routing
from usaggr.training.losses import sample_losses


@dataclass(frozen=True)
class BatchObjective:
    """Objective of one batch; all tensors are scalars, shape ()."""

    total: Tensor
    """Value to minimize: the task losses (each with its learned weight, if weights are learned) + `auxiliary_loss`."""
    task_losses: dict[str, Tensor]
    """Task id: task weight x sum of the losses of its samples / configured batch size."""
    auxiliary_loss: Tensor | None
    """Part of the objective that belongs to no task: the weighted load-balancing loss; None without it."""
    load_balancing: Tensor | None
    """Load-balancing loss before its weight, for logging; None without it."""
    mean_sample_loss: Tensor
    """Mean over samples of task weight x sample loss, detached: comparable between batches of any length."""


class Objective:
    """Computes the objective of a batch: the sum over its samples of task weight x loss / configured batch size.

    The configured batch size is also used for a shorter last batch, so that every sample of a run has the same weight.

    Args:
        network: Network to train.
        tasks: Tasks of the network by id.
        training: Task weights, batch size and settings of the losses.
        uncertainty: Learned weights of the task losses; None if they are not learned.
        separate_tasks: Compute each task's loss in a separate forward pass. The gradient of one task can then be
            computed without those of the others.
    """

    def __init__(
        self,
        network: MultiTaskNetwork,
        tasks: Mapping[str, Task],
        training: TrainingConfig,
        uncertainty: Uncertainty | None,
        separate_tasks: bool,
    ) -> None:
        self._network = network
        self._tasks = tasks
        self._training = training
        self._uncertainty = uncertainty
        self._separate_tasks = separate_tasks

    def __call__(self, batch: Batch) -> BatchObjective:
        """Return the objective of a batch."""
        result = self._forward_by_task(batch) if self._separate_tasks else self._forward(batch)
        loss_sums = self._sum_losses(batch, result.outputs)
        total = torch.zeros((), device=batch.images.device)
        for loss_sum in loss_sums.values():
            total = total + loss_sum
        mean_sample_loss = total.detach() / len(batch.samples)
        if self._uncertainty is not None:
            weight_sums = {
                task_id: self._get_task_weight(task_id) * len(batch.batch_indices[task_id]) for task_id in loss_sums
            }
            total = self._uncertainty(loss_sums, weight_sums)
        batch_size = self._training.batch_size
        total = total / batch_size
        load_balancing, auxiliary_loss = None, None
        if result.routing and self._network.load_balancing_weight:
            load_balancing = load_balancing_loss(result.routing)
            # Scaled by the batch's length like the task losses, or the last, shorter batch would weigh it too much.
            auxiliary_loss = self._network.load_balancing_weight * load_balancing * len(batch.samples) / batch_size
            total = total + auxiliary_loss
        task_losses = {task_id: loss_sum / batch_size for task_id, loss_sum in loss_sums.items()}
        return BatchObjective(total, task_losses, auxiliary_loss, load_balancing, mean_sample_loss)

    def _forward(self, batch: Batch) -> NetworkOutput:
        """Return outputs and routing from one forward pass for all tasks."""
        return self._network.forward_with_routing(batch.images, batch.batch_indices)

    def _forward_by_task(self, batch: Batch) -> NetworkOutput:
        """Return outputs from one forward pass per task, with the routing of all passes concatenated.

        No layer mixes samples, so that the samples of a task are enough for its gradient. This is cheaper than one
        backward pass through the whole batch for each task.
        """
        outputs: dict[str, Tensor] = {}
        routings = []
        for task_id, batch_indices in batch.batch_indices.items():
            indices_in_task = torch.arange(len(batch_indices), device=batch_indices.device)
            result = self._network.forward_with_routing(batch.images[batch_indices], {task_id: indices_in_task})
            outputs |= result.outputs
            routings.append(result.routing)
        return NetworkOutput(outputs, join_routing(routings))

    def _sum_losses(self, batch: Batch, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return for each task with samples its weight x the sum () of the losses of its samples."""
        loss_sums: dict[str, Tensor] = {}
        for task_id, task_outputs in outputs.items():
            losses = sample_losses(self._tasks[task_id], task_outputs, batch.targets[task_id], self._training)
            loss_sums[task_id] = self._get_task_weight(task_id) * losses.sum()
        return loss_sums

    def _get_task_weight(self, task_id: str) -> float:
        """Return the configured weight of a task's losses; 1 by default."""
        return self._training.task_weights.get(task_id, 1.0)
