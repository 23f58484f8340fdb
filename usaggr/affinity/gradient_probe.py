"""Probes of a training run at regular intervals: the effect of a step on one task on the losses of the others.

`lookahead` is the inter-task affinity of TAG (Fifty et al., Efficiently Identifying Task Groupings, NeurIPS 2021,
arXiv:2109.04617). `gradient` is the cosine of two tasks' gradients, by which PCGrad detects conflicts (Yu et al.,
Gradient Surgery, NeurIPS 2020). A probe does not change the run: parameters are restored bit by bit, the run's random
numbers are not used, and no gradient remains.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from usaggr import stopping
from usaggr.affinity.probe_schedule import SOURCE_SAMPLES, TARGET_SAMPLES, PairMeans, ProbeBudget, SourceRotation
from usaggr.config.study import TrainingConfig
from usaggr.data.batches.batches import Batch, CachedPixels, make_batch
from usaggr.data.batches.run_data import RunData
from usaggr.data.samples import Sample
from usaggr.data.seeds import make_generator
from usaggr.errors import ConfigError
from usaggr.models.network import MultiTaskNetwork
from usaggr.progress import Progress
from usaggr.stopping import RunInterrupted
from usaggr.training.balancing import map_task_parameters
from usaggr.training.losses import sample_losses
from usaggr.training.module import MultiTaskModule

_BATCH_SIZE = 32
"""Samples per forward pass without gradients."""
_MIN_LOSS = 1e-6
"""Smallest loss before a step for which an estimate is made; the ratio of smaller ones would be arbitrary."""


@dataclass(frozen=True)
class ProbeSettings:
    """Quantities to estimate, and limits on time and memory."""

    lookahead: bool
    """Estimate how a step on one task changes the loss of another."""
    gradient: bool
    """Estimate the cosine of two tasks' gradients."""
    overhead: float
    """Maximum time of probes per second of training, in seconds."""
    memory: int = 2**30
    """Maximum memory of stored gradients, in bytes; two gradients are always kept."""


class ProbeSamples:
    """Training samples for probes by task, in complete epochs, in other orders than the run's streams.

    Args:
        train: Training samples by task id.
        seed: Seed of the run.
    """

    def __init__(self, train: Mapping[str, Sequence[Sample]], seed: int) -> None:
        self._train, self._seed = train, seed
        self._queues: dict[str, list[Sample]] = {task_id: [] for task_id in train}
        self._epochs = dict.fromkeys(train, 0)

    def take(self, task_id: str, count: int) -> list[Sample]:
        """Return the next samples of a task.

        Raises:
            ValueError: The task has no training samples.
        """
        queue, samples = self._queues[task_id], self._train[task_id]
        if not samples:
            raise ValueError(f"task {task_id} has no training samples")
        while len(queue) < count:
            order = make_generator("affinity", task_id, self._seed, self._epochs[task_id]).permutation(len(samples))
            queue += [samples[i] for i in order]
            self._epochs[task_id] += 1
        self._queues[task_id] = queue[count:]
        return queue[:count]


class GradientProbe(pl.Callback):
    """Callback that probes the training of a MultiTaskModule.

    Args:
        data: Samples of the run.
        training: Configuration of the training.
        seed: Seed of the run.
        steps: Number of training steps of the run.
        settings: Quantities to estimate, and limits on time and memory.
        progress: Progress line; receives the number of training steps.
    """

    def __init__(
        self,
        data: RunData,
        training: TrainingConfig,
        seed: int,
        steps: int,
        settings: ProbeSettings,
        progress: Progress,
    ) -> None:
        self.tasks = tuple(sorted(data.tasks))
        """Task ids, in the order of rows and columns of the estimates."""
        self.lookahead, self.gradient = PairMeans(len(self.tasks)), PairMeans(len(self.tasks))
        self.budget: ProbeBudget | None = None
        """Limit on the time of probes; set when the training starts."""
        self._data, self._training, self._steps = data, training, steps
        self._samples, self._settings, self._progress = ProbeSamples(data.train, seed), settings, progress
        self._rotation = SourceRotation(len(self.tasks), seed)
        self._max_sources = len(self.tasks)
        """Largest number of source tasks of a probe; lowered when the training starts if memory is short."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start to count time, with an estimate of the cost of a probe in training steps.

        Raises:
            ConfigError: No parameter that the tasks share is trained.
        """
        if self.budget is not None:
            return
        shared = find_shared_parameters(_as_multi_task_module(pl_module).network)
        if not shared:
            raise ConfigError(
                "affinity: no parameter that the tasks share is trained, so that a step on one task cannot change the "
                "loss of another; train more layers with model.freeze"
            )
        self._max_sources = self._count_sources_in_memory(shared)
        batch_size = self._training.batch_size
        # A training step (forward and backward) takes about as long as three forward passes.
        target_steps = len(self.tasks) * TARGET_SAMPLES / 3 / batch_size
        estimated_steps = (target_steps, target_steps + SOURCE_SAMPLES / batch_size)
        self.budget = ProbeBudget(self._settings.overhead, self._steps, estimated_steps)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Probe if a probe is due.

        Args:
            trainer: Trainer of the run.
            pl_module: Module of the run.
            outputs: Not used.
            batch: Not used.
            batch_idx: Not used.

        Raises:
            RunInterrupted: The run was asked to stop.
        """
        module, budget = _as_multi_task_module(pl_module), self.budget
        assert budget is not None
        if stopping.is_stop_requested():
            raise RunInterrupted(f"stopped at step {module.step} of {self._steps}")
        self._progress.advance()
        if not budget.count_sources(module.step, self._max_sources):
            return
        # The work queued on a GPU counts as training, which may delay the probe or change its number of sources.
        _synchronize(module.device)
        sources = budget.count_sources(module.step, self._max_sources)
        if sources:
            self._probe(trainer, module, budget, sources)

    def _count_sources_in_memory(self, shared: Sequence[nn.Parameter]) -> int:
        """Return the largest number of source tasks whose gradients may be kept at once, at least 2."""
        if not self._settings.gradient:
            return len(self.tasks)
        gradient_bytes = 4 * sum(parameter.numel() for parameter in shared)  # gradients are kept in float32
        return min(len(self.tasks), max(2, self._settings.memory // gradient_bytes))

    def _probe(self, trainer: pl.Trainer, module: MultiTaskModule, budget: ProbeBudget, count: int) -> None:
        """Probe some source tasks, and add the estimates to `lookahead` and `gradient`.

        Args:
            trainer: Trainer of the run.
            module: Module of the run.
            budget: Receives the cost of the probe.
            count: Number of source tasks.
        """
        start = time.perf_counter()
        state = TrainingState(trainer, module, self._data, self._training, self._samples)
        sources = self._rotation.choose(count)
        with _use_evaluation_mode(state.network):
            targets = state.take_targets(self.tasks) if self._settings.lookahead else []
            losses_before = state.compute_losses(targets)
            targets_measured_at = _measure_time(module.device)
            # One vector per source task, which `_add_cosines` compares in pairs; empty if no cosines are estimated.
            source_gradients: list[Tensor] = []
            for source in sources:
                gradients = state.compute_gradients(self.tasks[source])
                if self._settings.lookahead:
                    losses_after = state.compute_losses_after_step(gradients, targets)
                    self._add_lookahead(source, losses_before, losses_after)
                if self._settings.gradient:
                    source_gradients.append(torch.cat([gradient.float().flatten() for gradient in gradients]))
            self._add_cosines(sources, source_gradients)
        budget.record(targets_measured_at - start, _measure_time(module.device) - targets_measured_at, len(sources))

    def _add_lookahead(
        self, source: int, losses_before: Mapping[str, float], losses_after: Mapping[str, float]
    ) -> None:
        """Add 1 - loss after / loss before for each target task.

        Args:
            source: Index of the source task.
            losses_before: Losses by task id before a step on the source task.
            losses_after: Losses by task id after it.
        """
        for target, task_id in enumerate(self.tasks):
            if target != source and losses_before[task_id] > _MIN_LOSS:
                self.lookahead.add(source, target, 1 - losses_after[task_id] / losses_before[task_id])

    def _add_cosines(self, sources: Sequence[int], gradients: Sequence[Tensor]) -> None:
        """Add the cosine of each pair of gradients in both directions; no gradients: nothing is added."""
        # `strict=False`: without `gradient` in the settings there are sources and no gradients.
        for (a, first), (b, second) in combinations(zip(sources, gradients, strict=False), 2):
            cosine = float(torch.dot(first, second) / (first.norm() * second.norm()))
            self.gradient.add(a, b, cosine)
            self.gradient.add(b, a, cosine)


class TrainingState:
    """State of a run between two training steps, from which virtual steps are taken.

    Args:
        trainer: Trainer of the run.
        module: Module of the run.
        data: Samples of the run.
        training: Configuration of the training.
        samples: Samples for probes.
    """

    def __init__(
        self,
        trainer: pl.Trainer,
        module: MultiTaskModule,
        data: RunData,
        training: TrainingConfig,
        samples: ProbeSamples,
    ) -> None:
        self.network, self.device = module.network, module.device
        self._tasks, self._training, self._samples = data.tasks, training, samples
        self._pixels = CachedPixels(data.cache, module.device)
        self._precision_context: Callable[[], Any] = trainer.precision_plugin.forward_context
        rates = {id(p): group["lr"] for group in trainer.optimizers[0].param_groups for p in group["params"]}
        self._shared = find_shared_parameters(module.network)
        self._rates = [rates[id(parameter)] for parameter in self._shared]

    def take_targets(self, tasks: Sequence[str]) -> list[Batch]:
        """Return the next samples of all target tasks, in batches."""
        samples = [sample for task_id in tasks for sample in self._samples.take(task_id, TARGET_SAMPLES)]
        return [make_batch(samples[i : i + _BATCH_SIZE], self._pixels) for i in range(0, len(samples), _BATCH_SIZE)]

    @torch.no_grad()
    def compute_losses(self, batches: Sequence[Batch]) -> dict[str, float]:
        """Return the mean training loss of each task's samples, by task id."""
        losses_by_task: dict[str, list[Tensor]] = {}
        for batch in batches:
            for task_id, losses in self._compute_sample_losses(batch).items():
                losses_by_task.setdefault(task_id, []).append(losses)
        means = {task_id: torch.cat(losses).double().mean() for task_id, losses in losses_by_task.items()}
        # One transfer from the device for all tasks.
        values = torch.stack(list(means.values())).tolist() if means else []
        return dict(zip(means, values, strict=True))

    def compute_gradients(self, task_id: str) -> list[Tensor]:
        """Return the gradients of the shared parameters, for the task's next samples.

        The loss is the task's weight x the mean training loss of the samples.
        """
        batch = make_batch(self._samples.take(task_id, SOURCE_SAMPLES), self._pixels)
        with torch.enable_grad():
            loss = self._compute_sample_losses(batch)[task_id].mean() * self._training.task_weights.get(task_id, 1.0)
            gradients = torch.autograd.grad(loss, self._shared, allow_unused=True)
        pairs = zip(gradients, self._shared, strict=True)
        return [torch.zeros_like(parameter) if gradient is None else gradient for gradient, parameter in pairs]

    @torch.no_grad()
    def compute_losses_after_step(self, gradients: Sequence[Tensor], batches: Sequence[Batch]) -> dict[str, float]:
        """Return the losses after one step of plain gradient descent at the current learning rates.

        The step is undone by restoring copies: adding and subtracting would leave rounding errors.
        """
        copies = [parameter.detach().clone() for parameter in self._shared]
        try:
            for parameter, gradient, rate in zip(self._shared, gradients, self._rates, strict=True):
                parameter.sub_(gradient, alpha=rate)
            return self.compute_losses(batches)
        finally:
            for parameter, original in zip(self._shared, copies, strict=True):
                parameter.copy_(original)

    def _compute_sample_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the training loss of each sample, (n,) by task id."""
        # A context for each pass: within one, autocast keeps copies of weights, which a virtual step would outdate.
        with self._precision_context():
            outputs = self.network(batch.images, batch.batch_indices)
        return {
            task_id: sample_losses(self._tasks[task_id], output, batch.targets[task_id], self._training)
            for task_id, output in outputs.items()
        }


def find_shared_parameters(network: MultiTaskNetwork) -> list[nn.Parameter]:
    """Return the trained parameters that serve all tasks: not those of heads, embeddings and adapters of tasks."""
    task_by_parameter = map_task_parameters(network)
    return [p for name, p in network.named_parameters() if p.requires_grad and name not in task_by_parameter]


@contextmanager
def _use_evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Set evaluation mode within the context, and restore the mode of each module afterwards.

    In training mode, dropout would use the run's random numbers and batch norms would update their statistics.
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _synchronize(device: torch.device) -> None:
    """Wait for a GPU, which runs its work long after Python has queued it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _measure_time(device: torch.device) -> float:
    """Return the time in seconds after all work that is queued on the device."""
    _synchronize(device)
    return time.perf_counter()


def _as_multi_task_module(module: pl.LightningModule) -> MultiTaskModule:
    if not isinstance(module, MultiTaskModule):
        raise TypeError(f"probes are of a MultiTaskModule, not of a {type(module).__name__}")
    return module
