"""Timed training steps of a network: a run's objective and optimizer in a plain loop, on tensors in memory.

Reading, augmentation and validation are not included here; throughput.py measures them too.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from usaggr.config.compose import compose_study
from usaggr.config.study import StudyConfig
from usaggr.data.batches.batches import Batch
from usaggr.data.samples import Sample
from usaggr.models.build_network import build_network
from usaggr.models.experts import load_balancing_loss
from usaggr.tasks import CATALOGUE, TASK_TYPES, Task
from usaggr.training.losses import sample_losses
from usaggr.training.memory_format import prepare_for_device
from usaggr.training.optimizer import make_optimizer

TASKS = tuple(CATALOGUE[name] for name in ("breast_lesion", "fetal_plane_cls", "thyroid_nodule_det", "FUGC"))
"""One task of each type; the first is segmentation."""
assert tuple(task.type for task in TASKS) == TASK_TYPES


def make_study(overrides: Sequence[str], batch_size: int, image_size: int) -> StudyConfig:
    """Return a study of TASKS with the training settings for real data (conf/training/default.yaml)."""
    tasks = f"data.synthetic.tasks=[{','.join(task.id for task in TASKS)}]"
    fixed = ["training=default", f"training.batch_size={batch_size}", f"data.image_size={image_size}", tasks]
    return compose_study("demo", [*fixed, *overrides])


def make_batch(samples: int, size: int, tasks: Sequence[Task] = TASKS) -> Batch:
    """Make a batch of noise with labels, whose samples alternate between the tasks.

    Args:
        samples: Number of samples.
        size: Height and width of the images, in pixels.
        tasks: Tasks of the samples.
    """
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(samples, 3, size, size, generator=rng)
    indices = {task.id: torch.arange(i, samples, len(tasks)) for i, task in enumerate(tasks) if i < samples}
    targets = {}
    for task in tasks[:samples]:
        n = len(indices[task.id])
        match task.type:
            case "segmentation":
                targets[task.id] = torch.randint(task.num_classes, (n, size, size), generator=rng)
            case "classification":
                targets[task.id] = torch.randint(task.num_classes, (n,), generator=rng)
            case "detection":
                corners = torch.rand(n, 2, 2, generator=rng).sort(dim=1).values
                targets[task.id] = corners.flatten(1)
            case "regression":
                targets[task.id] = torch.rand(n, task.num_classes, 2, generator=rng)
    return Batch(images, tuple(_sample(tasks[i % len(tasks)], i, size) for i in range(samples)), indices, targets)


@dataclass(frozen=True)
class StepTime:
    """Seconds of one training step."""

    gradient: float
    """Seconds of forward pass, loss and backward pass."""
    update: float
    """Seconds of gradient clipping and AdamW."""

    @property
    def total(self) -> float:
        """Seconds of the complete step."""
        return self.gradient + self.update


class TrainingStep:
    """A network with its optimizer and a batch that stays on the device; each call trains one step."""

    def __init__(self, overrides: Sequence[str], batch_size: int, image_size: int, device: str = "cpu") -> None:
        study = make_study(overrides, batch_size, image_size)
        self._begin(study, TASKS, make_batch(batch_size, image_size), device)

    @classmethod
    def of_study(cls, study: StudyConfig, tasks: Sequence[Task], batch: Batch, device: str = "cpu") -> "TrainingStep":
        """Make the training step of a study's network on given tasks, starting with a given batch."""
        step = cls.__new__(cls)
        step._begin(study, tasks, batch, device)
        return step

    def _begin(self, study: StudyConfig, tasks: Sequence[Task], batch: Batch, device: str) -> None:
        self.device = torch.device(device)
        self.training = study.training
        self.network = build_network(study.model, tasks, seed=0)
        # As a run does, since the limit must be as fast as possible.
        prepare_for_device(self.network, self.device, study.training)
        self.network.to(self.device).train()
        self.batch = batch.to(self.device)
        self._tasks = {task.id: task for task in tasks}
        self._optimizer = make_optimizer(self.network, study.training)

    def show(self, batch_size: int, image_size: int) -> None:
        """Continue with another batch."""
        self.batch = make_batch(batch_size, image_size).to(self.device)

    def gradient(self) -> None:
        """Run forward pass, loss and backward pass in the precision of the configuration."""
        half = self.training.precision == "bf16-mixed"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            training_loss = self._objective()
        training_loss.backward()  # type: ignore[no-untyped-call]

    def _objective(self) -> Tensor:
        """Return the objective of the LightningModule; a test compares both."""
        batch, training = self.batch, self.training
        total = torch.zeros((), device=self.device)
        result = self.network.forward_with_routing(batch.images, batch.batch_indices)
        for task_id, output in result.outputs.items():
            losses = sample_losses(self._tasks[task_id], output, batch.targets[task_id], training)
            total = total + training.task_weights.get(task_id, 1.0) * losses.sum()
        if result.routing and self.network.load_balancing_weight:
            total = total + self.network.load_balancing_weight * load_balancing_loss(result.routing) * len(
                batch.samples
            )
        objective: Tensor = total / training.batch_size
        return objective

    def update(self) -> None:
        """Clip the gradient and update the parameters with AdamW."""
        if self.training.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.training.gradient_clip)
        self._optimizer.step()
        self.discard()

    def discard(self) -> None:
        """Reset the gradients."""
        self._optimizer.zero_grad()

    def __call__(self) -> StepTime:
        """Train by one step."""
        start = self._now()
        self.gradient()
        middle = self._now()
        self.update()
        return StepTime(middle - start, self._now() - middle)

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def measure_rate(step: TrainingStep, repetitions: int, most_seconds: float) -> tuple[float, int]:
    """Return examples per second of the median step after a warm-up, and the number of timed steps.

    The warm-up is two steps, or one step that takes long.

    Args:
        step: Training step with its batch.
        repetitions: Largest number of timed steps.
        most_seconds: No step starts after this time, but at least 3 are timed.
    """
    if step().total < most_seconds / 10:
        step()
    times: list[float] = []
    while len(times) < repetitions and (len(times) < 3 or sum(times) < most_seconds):
        times.append(step().total)
    return len(step.batch.images) / statistics.median(times), len(times)


def _sample(task: Task, i: int, size: int) -> Sample:
    return Sample(task.id, f"{i}.png", Path(f"{i}.png"), str(i), "", "", size, size, "", i)
