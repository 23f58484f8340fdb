"""The LightningModule: objective, optimiser and schedule of a run, and its scores on the validation fold."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from usaggr.config import TrainingConfig
from usaggr.data.batches import Batch, FoldBatches, TrainingBatches
from usaggr.errors import RunError
from usaggr.models.network import MultiTaskNetwork
from usaggr.tasks import Task
from usaggr.training.losses import sample_losses
from usaggr.training.schedule import rate_factor


@dataclass
class Part:
    """One part of a run, from one validation to the next."""

    training_loss: float
    learning_rate: float
    step: int
    val_losses: dict[str, float] = field(default_factory=dict)


class MultiTaskModule(pl.LightningModule):
    """Trains a network on the merged streams of its block's tasks.

    A Lightning "epoch" is one part of the run between two validations, not a pass over the data: streams have a length
    in examples. `validate` is called after each part, with the network in eval mode.
    """

    def __init__(
        self,
        network: MultiTaskNetwork,
        tasks: Mapping[str, Task],
        training: TrainingConfig,
        parts: list[TrainingBatches],
        validation: FoldBatches,
    ) -> None:
        super().__init__()
        self.network = network
        self._tasks = dict(tasks)
        self._training = training
        self._parts = parts
        self._validation = validation
        self._steps = sum(len(part) for part in parts)
        self._running: list[Tensor] = []
        self._val_losses: dict[str, list[Tensor]] = {}
        self.done: list[Part] = []

    def train_dataloader(self) -> TrainingBatches:
        """The batches of the part that comes next (the trainer reloads for each part)."""
        return self._parts[self.current_epoch]

    def val_dataloader(self) -> FoldBatches:
        return self._validation

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move what is a tensor."""
        return Batch(
            batch.images.to(device, non_blocking=True),
            batch.samples,
            {task_id: rows.to(device) for task_id, rows in batch.rows.items()},
            {task_id: targets.to(device, non_blocking=True) for task_id, targets in batch.targets.items()},
        )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean over the batch of weight(task) x training_loss(sample).

        The divisor is the configured batch size, in the shorter last batch too: every sample counts the same.
        """
        outputs = self.network(batch.images, batch.rows)
        total = torch.zeros((), device=batch.images.device)
        for task_id, output in outputs.items():
            losses = sample_losses(self._tasks[task_id], output, batch.targets[task_id], self._training)
            total = total + self._training.task_weights.get(task_id, 1.0) * losses.sum()
        training_loss = total / self._training.batch_size
        if not math.isfinite(training_loss.item()):
            names = ", ".join(sorted(outputs))
            raise RunError(
                f"the training loss is {training_loss.item()} at step {self.global_step + 1} of {self._steps} "
                f"(tasks in the batch: {names}); a lower training.learning_rate or training.gradient_clip may help"
            )
        self._running.append(training_loss.detach() * self._training.batch_size / len(batch.samples))
        self.log("training_loss", training_loss)
        return training_loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Losses by task; scores are taken from predictions, after each part."""
        outputs = self.network(batch.images, batch.rows)
        for task_id, output in outputs.items():
            losses = sample_losses(self._tasks[task_id], output.float(), batch.targets[task_id], self._training)
            self._val_losses.setdefault(task_id, []).append(losses.detach())

    def on_validation_epoch_end(self) -> None:
        """Close the part: its training loss, and the validation loss of each task."""
        losses = {task_id: float(torch.cat(found).mean()) for task_id, found in self._val_losses.items()}
        training_loss = float(torch.stack(self._running).mean()) if self._running else math.nan
        rate = self.trainer.optimizers[0].param_groups[-1]["lr"]
        self.done.append(Part(training_loss, rate, self.global_step, losses))
        self._running.clear()
        self._val_losses.clear()

    def configure_optimizers(self) -> Any:
        """AdamW over encoder and the rest, without weight decay on norms and biases."""
        rate = self._training.learning_rate
        encoder_rate = self._training.encoder_learning_rate or rate
        groups: dict[tuple[bool, bool], list[Tensor]] = {}
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad:
                groups.setdefault((name.startswith("encoder."), parameter.ndim > 1), []).append(parameter)
        optimiser = torch.optim.AdamW(
            [
                {
                    "params": parameters,
                    "lr": encoder_rate if in_encoder else rate,
                    "weight_decay": self._training.weight_decay if decays else 0.0,
                }
                for (in_encoder, decays), parameters in sorted(groups.items(), key=lambda item: not item[0][0])
            ]
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: rate_factor((step + 1) / (self._steps + 1), self._training.warmup)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
