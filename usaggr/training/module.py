"""LightningModule of a run: training steps, validation, optimizer and learning-rate schedule."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from usaggr.config.study import TrainingConfig
from usaggr.data.batches.batches import Batch, PixelSource, SubsetBatches, TrainingBatches
from usaggr.models.network import MultiTaskNetwork
from usaggr.results.run_result import Scores
from usaggr.tasks import Task
from usaggr.training.balancing import make_task_gradients, make_uncertainty
from usaggr.training.decode_outputs import decode_outputs
from usaggr.training.device_images import make_pixels
from usaggr.training.expert_usage import ExpertUsage
from usaggr.training.finite_loss import LossGuard
from usaggr.training.losses import sample_losses
from usaggr.training.memory_format import prepare_for_device, undo_compilation
from usaggr.training.objective import BatchObjective, Objective
from usaggr.training.optimizer import make_optimizer
from usaggr.training.schedule import compute_learning_rate_factor
from usaggr.training.scoring import SubsetScorer
from usaggr.training.validation_curve import Curve


class MultiTaskModule(pl.LightningModule):
    """Trains a network on the merged sample streams of its tasks.

    A run is divided into intervals, each of which ends with a validation. One Lightning "epoch" is one interval and not
    one pass over the data, because streams have a length in examples. After a resume, the first interval is the
    unfinished remainder of the interval in which the run was stopped.

    Args:
        network: Network to train.
        tasks: Tasks of the network by id.
        training: Configuration of the training.
        intervals: Batches of each interval that is still to be trained.
        validation: Batches of the validation set.
        make_scorer: Returns a new scorer for one pass over the validation set.
        curve: Receives the results of each validation.
        start_step: Training steps that earlier attempts at this run have done.
    """

    def __init__(
        self,
        network: MultiTaskNetwork,
        tasks: Mapping[str, Task],
        training: TrainingConfig,
        intervals: Sequence[TrainingBatches],
        validation: SubsetBatches,
        make_scorer: Callable[[], SubsetScorer],
        curve: Curve,
        start_step: int = 0,
    ) -> None:
        super().__init__()
        self.network = network
        self._tasks = dict(tasks)
        self._training = training
        self._intervals = intervals
        self._validation = validation
        self._make_scorer = make_scorer
        self._curve = curve
        self._start_step = start_step
        self._steps = start_step + sum(len(interval) for interval in intervals)
        self._guard = LossGuard(self._steps)
        self._pixels: PixelSource | None = None
        self.interval_losses: list[Tensor] = []
        """Mean sample loss () of each batch since the last validation."""
        self._scorer = make_scorer()
        self._usage = ExpertUsage()
        self._val_losses: dict[str, list[Tensor]] = {}
        self.uncertainty = make_uncertainty(network, training)
        """Learned weights of the task losses, which are not part of the network; None if they are not learned."""
        self._task_gradients = make_task_gradients(network, training)
        self._objective = Objective(
            network, self._tasks, training, self.uncertainty, separate_tasks=self._task_gradients is not None
        )
        self._pending_objective: BatchObjective | None = None
        """Objective of the current batch, from `training_step` to `backward`; only used to combine task gradients."""

    @property
    def step(self) -> int:
        """Number of training steps done, over all attempts at the run."""
        return self._start_step + self.global_step

    def check_losses(self) -> None:
        """Check that all losses so far are finite.

        Raises:
            RunError: One of them is not.
        """
        self._guard.check()

    def setup(self, stage: str) -> None:
        """Prepare the network for its device; Lightning calls this before it moves the network there."""
        prepare_for_device(self.network, self.trainer.strategy.root_device, self._training)

    def teardown(self, stage: str) -> None:
        """Undo what `setup` did, and free the images on the device."""
        undo_compilation(self.network)
        self._pixels = None

    def train_dataloader(self) -> TrainingBatches:
        """Return the batches of the next interval; the trainer calls this once per interval."""
        return self._intervals[self.current_epoch].with_pixels(self._get_pixels())

    def val_dataloader(self) -> SubsetBatches:
        """Return the batches of the validation set."""
        return self._validation.with_pixels(self._get_pixels())

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch to the device, which Lightning cannot do with a class of ours.

        Args:
            batch: Batch, on the CPU or on the device already.
            device: Device of the module.
            dataloader_idx: Not used: there is one data loader.
        """
        return batch.to(device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the objective () of a batch; see `Objective` for its definition."""
        objective = self._objective(batch)
        if objective.load_balancing is not None:
            self.log("balance_loss", objective.load_balancing, batch_size=len(batch.samples))
        self._guard.add(objective.total, self.step + 1, objective.task_losses)
        self.interval_losses.append(objective.mean_sample_loss)
        self.log("training_loss", objective.total, batch_size=len(batch.samples))
        if self._task_gradients is not None:
            self._pending_objective = objective
        return objective.total

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Compute the gradient of the objective, or combine the gradients of its tasks.

        Lightning passes only the total loss. To combine gradients, the terms are taken from `_pending_objective`.
        """
        if self._task_gradients is None:
            super().backward(loss, *args, **kwargs)
            return
        objective, self._pending_objective = self._pending_objective, None
        assert objective is not None
        self.check_losses()  # costs no time here: combining gradients waits for the device too
        self._task_gradients.backward(objective.task_losses, objective.auxiliary_loss)

    def on_validation_epoch_start(self) -> None:
        """Reset what a validation collects; end the run first if a loss was not finite."""
        self.check_losses()
        self._scorer = self._make_scorer()
        self._usage = ExpertUsage()
        self._val_losses = {}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect losses, predictions and expert usage of a batch."""
        result = self.network.forward_with_routing(batch.images, batch.batch_indices)
        for task_id, outputs in result.outputs.items():
            task = self._tasks[task_id]
            losses = sample_losses(task, outputs.float(), batch.targets[task_id], self._training)
            self._val_losses.setdefault(task_id, []).append(losses.detach())
            samples = [batch.samples[i] for i in batch.batch_indices[task_id].tolist()]
            self._scorer.add(decode_outputs(task, outputs, samples), samples)
        self._usage.add(result.routing, batch.batch_indices)

    def on_validation_epoch_end(self) -> None:
        """Add the interval to the curve: its training loss, and the loss and scores of each task."""
        scores, _ = self._scorer.compute_scores()
        usage = self._usage.summarize() | self._get_balancing_weights()
        val_losses = {task_id: float(torch.cat(losses).mean()) for task_id, losses in self._val_losses.items()}
        self._curve.add(
            step=self.step,
            # Heads are in the last parameter group; the encoder may have a lower rate.
            learning_rate=self.trainer.optimizers[0].param_groups[-1]["lr"],
            training_loss=self._compute_training_loss(),
            val_losses=val_losses,
            scores=scores,
            usage=usage,
            network=self.network,
        )
        if self.logger is not None:  # now: a run may be stopped before Lightning would log these
            metrics = {"val/skill": self._curve.skill, **self._name_metrics(val_losses, scores), **usage}
            self.logger.log_metrics(metrics, self.step - 1)
        self.interval_losses = []

    def configure_optimizers(self) -> Any:
        """Return AdamW with a schedule by progress: linear warm-up, then cosine.

        Learned task weights have the learning rate of the heads and no weight decay.
        """
        optimizer = make_optimizer(self.network, self._training)
        if self.uncertainty is not None:
            group = {"params": list(self.uncertainty.parameters()), "lr": self._training.learning_rate}
            optimizer.add_param_group({**group, "weight_decay": 0.0})
        # (step + 1) / (steps + 1) keeps the rate of the first and the last step above 0.
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: compute_learning_rate_factor((step + 1) / (self._steps + 1), self._training.warmup)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _compute_training_loss(self) -> float:
        """Return the mean loss of the samples since the last validation; NaN if there were none."""
        if not self.interval_losses:
            return math.nan
        # Only the last batch of a run can be shorter than the others.
        lengths = torch.full((len(self.interval_losses),), float(self._training.batch_size))
        lengths[-1] = len(self._intervals[self.current_epoch].draws_by_batch[-1])
        return float((torch.stack(self.interval_losses).cpu() * lengths).sum() / lengths.sum())

    def _get_balancing_weights(self) -> dict[str, float]:
        """Return the learned task weights by column name of curve.csv; empty if they are not learned."""
        weights = self.uncertainty.compute_weights() if self.uncertainty is not None else {}
        return {f"{task_id}:balancing_weight": weight for task_id, weight in weights.items()}

    @staticmethod
    def _name_metrics(val_losses: Mapping[str, float], scores: Scores) -> dict[str, float]:
        """Return losses and scores under the names that trackers show: `val/<task>/<metric>`."""
        metrics = {"val/loss": sum(val_losses.values()) / len(val_losses)}
        metrics |= {f"val/{task_id}/loss": loss for task_id, loss in val_losses.items()}
        for task_id, task_scores in scores.items():
            metrics |= {f"val/{task_id}/{metric}": score for metric, score in task_scores.items()}
        return metrics

    def _get_pixels(self) -> PixelSource:
        """Return the source of images and masks on the module's device; created at the first call."""
        if self._pixels is None:
            samples = [*self._validation.samples, *(s for interval in self._intervals for s in interval.samples)]
            self._pixels = make_pixels(self.device, self._intervals[0].cache, samples, self._training.resident)
        return self._pixels
