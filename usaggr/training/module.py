"""The LightningModule: objective, optimiser and schedule of a run, and its validation."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from usaggr.config.study import TrainingConfig
from usaggr.data.batches.batches import Batch, FoldBatches, Pixels, TrainingBatches
from usaggr.models.experts import balance_loss
from usaggr.models.network import MultiTaskNetwork
from usaggr.models.per_task import Routed
from usaggr.results.run_result import Scores
from usaggr.tasks import Task
from usaggr.training.balancing import join_routing, make_task_gradients, make_uncertainty
from usaggr.training.decode_outputs import predictions_of
from usaggr.training.device_images import pixels_on
from usaggr.training.expert_usage import ExpertUsage
from usaggr.training.finite_loss import LossGuard
from usaggr.training.losses import sample_losses
from usaggr.training.memory_format import lay_out, release
from usaggr.training.optimiser import make_optimiser
from usaggr.training.schedule import rate_factor
from usaggr.training.scoring import FoldScorer
from usaggr.training.validation_curve import Curve


class MultiTaskModule(pl.LightningModule):
    """Trains a network on the merged streams of its block's tasks.

    A Lightning "epoch" is one part of the run, from one validation to the next, not a pass over the data: streams have
    a length in examples. `parts` are those that are left after `begun` steps, with the rest of one that was begun.
    """

    def __init__(
        self,
        network: MultiTaskNetwork,
        tasks: Mapping[str, Task],
        training: TrainingConfig,
        parts: Sequence[TrainingBatches],
        validation: FoldBatches,
        scorer: Callable[[], FoldScorer],
        curve: Curve,
        begun: int = 0,
    ) -> None:
        super().__init__()
        self.network = network
        self._tasks = dict(tasks)
        self._training = training
        self._parts = parts
        self._validation = validation
        self._new_scorer = scorer
        self._scorer = scorer()
        self._curve = curve
        self._begun = begun
        self._steps = begun + sum(len(part) for part in parts)
        self._usage = ExpertUsage()
        self._guard = LossGuard(self._steps)
        self._pixels: Pixels | None = None
        self.part_losses: list[Tensor] = []
        """() each: mean loss of the samples of each batch since the last validation."""
        self._val_losses: dict[str, list[Tensor]] = {}
        self.uncertainty = make_uncertainty(network, training)
        """Learnt weights of the tasks, beside the network; None where none are learnt."""
        self._task_gradients = make_task_gradients(network, training)
        self._apart: tuple[dict[str, Tensor], Tensor | None] = {}, None
        """Of the present batch, where gradients of tasks are put together: each task's part of the objective, and the
        rest."""

    @property
    def step(self) -> int:
        """Training steps that are done, over all attempts at the run."""
        return self._begun + self.global_step

    def check_losses(self) -> None:
        """Look at all losses up to now.

        Raises:
            RunError: one of them is not finite.
        """
        self._guard.look()

    def setup(self, stage: str) -> None:
        """Lay the network out for its device, before it is moved there."""
        lay_out(self.network, self.trainer.strategy.root_device, self._training)

    def teardown(self, stage: str) -> None:
        """Leave the network as one that was never trained here."""
        release(self.network)
        self._pixels = None

    def train_dataloader(self) -> TrainingBatches:
        """The batches of the part that comes next (the trainer reloads for each part), made on the device."""
        return self._parts[self.current_epoch].of(self._own_pixels())

    def val_dataloader(self) -> FoldBatches:
        return self._validation.of(self._own_pixels())

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch.to(device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean over the batch of weight(task) x training_loss(sample), and the balance of experts where there are any.

        The divisor is the configured batch size, in the shorter last batch too: every sample counts the same. Under
        `training.balancing: uncertainty` the losses have learnt weights too.
        """
        outputs, routing = self._outputs(batch)
        losses: dict[str, Tensor] = {}
        for task_id, output in outputs.items():
            of_samples = sample_losses(self._tasks[task_id], output, batch.targets[task_id], self._training)
            losses[task_id] = self._weight(task_id) * of_samples.sum()
        total = torch.zeros((), device=batch.images.device)
        for loss in losses.values():
            total = total + loss
        size = self._training.batch_size
        objective = total
        if self.uncertainty is not None:
            objective = self.uncertainty(losses, {t: self._weight(t) * len(batch.rows[t]) for t in losses})
        training_loss: Tensor = objective / size
        rest = None
        if routing and self.network.balance:
            balance = balance_loss(routing)
            self.log("balance_loss", balance, batch_size=len(batch.samples))
            rest = self.network.balance * balance * len(batch.samples) / size
            training_loss = training_loss + rest
        if self._task_gradients is not None:
            self._apart = {task_id: loss / size for task_id, loss in losses.items()}, rest
        self._guard.add(training_loss, self.step + 1, outputs)
        self.part_losses.append(total.detach() / len(batch.samples))
        self.log("training_loss", training_loss, batch_size=len(batch.samples))
        return training_loss

    def _outputs(self, batch: Batch) -> tuple[dict[str, Tensor], dict[int, Routed]]:
        """Of the network, and how it has routed the batch; task by task, where their gradients are to be told apart.

        No layer mixes samples, so that a task's own samples give its gradient at a part of the cost of the batch.
        """
        if self._task_gradients is None:
            return self.network(batch.images, batch.rows), self.network.routing()
        outputs: dict[str, Tensor] = {}
        routing = []
        for task_id, places in batch.rows.items():
            own = torch.arange(len(places), device=places.device)
            outputs |= self.network(batch.images[places], {task_id: own})
            routing.append(self.network.routing())
        return outputs, join_routing(routing)

    def _weight(self, task_id: str) -> float:
        return self._training.task_weights.get(task_id, 1.0)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Gradients of the objective, or those put together from the gradients of the tasks in the batch."""
        if self._task_gradients is None:
            super().backward(loss, *args, **kwargs)
            return
        (losses, rest), self._apart = self._apart, ({}, None)
        self.check_losses()  # the rules wait for the device anyway
        self._task_gradients.backward(losses, rest)

    def on_validation_epoch_start(self) -> None:
        """Begin anew with the fold; no validation of weights that a loss has spoilt."""
        self.check_losses()
        self._scorer = self._new_scorer()
        self._usage = ExpertUsage()
        self._val_losses = {}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Losses and predictions of each task's samples."""
        for task_id, output in self.network(batch.images, batch.rows).items():
            losses = sample_losses(self._tasks[task_id], output.float(), batch.targets[task_id], self._training)
            self._val_losses.setdefault(task_id, []).append(losses.detach())
            samples = [batch.samples[i] for i in batch.rows[task_id].tolist()]
            self._scorer.add(predictions_of(self._tasks[task_id], output, samples), samples)
        self._usage.add(self.network.routing(), batch.rows)

    def on_validation_epoch_end(self) -> None:
        """Write the part down: its training loss, and loss and score of each task on the validation fold."""
        scores, _ = self._scorer.scores()
        usage = self._usage.summary() | self._balancing_weights()
        val_losses = {task_id: float(torch.cat(found).mean()) for task_id, found in self._val_losses.items()}
        self._curve.add(
            step=self.step,
            learning_rate=self.trainer.optimizers[0].param_groups[-1]["lr"],
            training_loss=self._mean_training_loss(),
            val_losses=val_losses,
            scores=scores,
            usage=usage,
            network=self.network,
        )
        if self.logger is not None:  # at once: a run may be asked to stop before Lightning would log it
            shown = {"val/skill": self._curve.skill, **self._tracked(val_losses, scores), **usage}
            self.logger.log_metrics(shown, self.step - 1)
        self.part_losses = []

    def _mean_training_loss(self) -> float:
        """Return the mean loss of the samples since the last validation; NaN if there were none.

        Of a run's batches only the last one can be shorter than the others.
        """
        if not self.part_losses:
            return math.nan
        lengths = torch.full((len(self.part_losses),), float(self._training.batch_size))
        lengths[-1] = len(self._parts[self.current_epoch].draws[-1])
        return float((torch.stack(self.part_losses).cpu() * lengths).sum() / lengths.sum())

    def _balancing_weights(self) -> dict[str, float]:
        """Learnt weights of the tasks, by the names of their columns; empty where none are learnt."""
        weights = self.uncertainty.weights() if self.uncertainty is not None else {}
        return {f"{task_id}:balancing_weight": weight for task_id, weight in weights.items()}

    @staticmethod
    def _tracked(val_losses: Mapping[str, float], scores: Scores) -> dict[str, float]:
        """A validation as trackers name it: `val/<task>/<metric>`."""
        losses = {f"val/{task_id}/loss": loss for task_id, loss in val_losses.items()}
        metrics = {f"val/{task}/{metric}": value for task, of in scores.items() for metric, value in of.items()}
        return {"val/loss": sum(val_losses.values()) / len(val_losses), **losses, **metrics}

    def _own_pixels(self) -> Pixels:
        """Where images and masks of training and validation come from, on the module's device."""
        if self._pixels is None:
            shown = [*self._validation.samples, *(sample for part in self._parts for sample in part.samples)]
            self._pixels = pixels_on(self.device, self._parts[0].cache, shown, self._training.resident)
        return self._pixels

    def configure_optimizers(self) -> Any:
        """AdamW; warm-up and cosine by progress. Learnt weights of tasks have the heads' rate, and do not decay."""
        optimiser = make_optimiser(self.network, self._training)
        if self.uncertainty is not None:
            learnt = {"params": list(self.uncertainty.parameters()), "lr": self._training.learning_rate}
            optimiser.add_param_group({**learnt, "weight_decay": 0.0})
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: rate_factor((step + 1) / (self._steps + 1), self._training.warmup)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
