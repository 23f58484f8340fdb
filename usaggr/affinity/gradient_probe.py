"""Looks into a training run every so many steps: what a step on one task would do to the losses of the others.

Lookahead is TAG's (Fifty et al., Efficiently Identifying Task Groupings, NeurIPS 2021, arXiv:2109.04617), the cosine of
gradients is the measure of conflict of PCGrad (Yu et al., Gradient Surgery, NeurIPS 2020). A probe leaves the run as it
was: parameters are put back bit by bit, no random number of the run's is drawn, no gradient is kept.
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
from usaggr.affinity.probe_schedule import SOURCE_SAMPLES, TARGET_SAMPLES, Pace, Rota, Tally
from usaggr.config.study import TrainingConfig
from usaggr.data.batches.batches import Batch, CachedPixels, make_batch
from usaggr.data.batches.run_data import RunData
from usaggr.data.samples import Sample
from usaggr.data.seeds import generator
from usaggr.models.network import MultiTaskNetwork
from usaggr.progress import Progress
from usaggr.stopping import RunInterrupted
from usaggr.training.balancing import map_task_parameters
from usaggr.training.losses import sample_losses
from usaggr.training.module import MultiTaskModule

_AT_ONCE = 32
"""Samples of a forward pass without gradients."""
_SMALL = 1e-6
"""A loss under this has nothing to be made smaller: no estimate."""


@dataclass(frozen=True)
class Probing:
    """What is looked for, and how it is paid for."""

    lookahead: bool
    gradient: bool
    overhead: float
    """Seconds of probes for one of training."""
    memory: int = 2**30
    """Bytes of gradients that are kept at once."""


class ProbeSamples:
    """Training samples for probes, task by task: whole epochs, in orders that are not those of the run's streams."""

    def __init__(self, train: Mapping[str, Sequence[Sample]], seed: int) -> None:
        self._train, self._seed = train, seed
        self._waiting: dict[str, list[Sample]] = {task_id: [] for task_id in train}
        self._epoch = dict.fromkeys(train, 0)

    def take(self, task_id: str, count: int) -> list[Sample]:
        """The next ones of a task."""
        waiting, samples = self._waiting[task_id], self._train[task_id]
        while len(waiting) < count:
            order = generator("affinity", task_id, self._seed, self._epoch[task_id]).permutation(len(samples))
            waiting += [samples[i] for i in order]
            self._epoch[task_id] += 1
        self._waiting[task_id] = waiting[count:]
        return waiting[:count]


class Probe(pl.Callback):
    """Probes a run of a MultiTaskModule while it is trained."""

    def __init__(
        self, data: RunData, training: TrainingConfig, seed: int, steps: int, probing: Probing, progress: Progress
    ) -> None:
        self.tasks = tuple(sorted(data.tasks))
        """Ids, in the order of the rows and columns of the tallies."""
        self.lookahead, self.gradient = Tally(len(self.tasks)), Tally(len(self.tasks))
        self._data, self._training, self._steps = data, training, steps
        self._samples, self._probing, self._progress = ProbeSamples(data.train, seed), probing, progress
        self._rota = Rota(len(self.tasks), seed)
        self.pace: Pace | None = None
        """There once training has begun."""
        self._most = len(self.tasks)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to count time."""
        if self.pace is None:
            batch = self._training.batch_size
            seen = len(self.tasks) * TARGET_SAMPLES / 3 / batch  # a step is three forward passes
            self._most = self._most_sources(_ours(pl_module).network)
            self.pace = Pace(self._probing.overhead, self._steps, (seen, seen + SOURCE_SAMPLES / batch))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Probe, if it is time; stop, if it was asked for."""
        module, pace = _ours(pl_module), self.pace
        assert pace is not None
        if stopping.asked():
            raise RunInterrupted(f"stopped at step {module.step} of {self._steps}")
        self._progress.advance()
        if not pace.sources(module.step, self._most):
            return
        _wait(module.device)
        count = pace.sources(module.step, self._most)
        if count:
            self._look(trainer, module, pace, count)

    def _most_sources(self, network: MultiTaskNetwork) -> int:
        if not self._probing.gradient:
            return len(self.tasks)
        bytes_each = 4 * sum(p.numel() for p in shared_parameters(network))
        return min(len(self.tasks), max(2, self._probing.memory // max(bytes_each, 1)))

    def _look(self, trainer: pl.Trainer, module: MultiTaskModule, pace: Pace, count: int) -> None:
        start = time.perf_counter()
        moment = Moment(trainer, module, self._data, self._training, self._samples)
        sources = self._rota.choose(count)
        with _evaluating(moment.network):
            targets = moment.targets(self.tasks) if self._probing.lookahead else []
            before = moment.losses(targets)
            middle = _now(moment.device)
            kept: list[Tensor] = []
            for source in sources:
                gradients = moment.gradients(self.tasks[source])
                if self._probing.lookahead:
                    after = moment.losses_after(gradients, targets)
                    for target, task_id in enumerate(self.tasks):
                        if target != source and before[task_id] > _SMALL:
                            self.lookahead.add(source, target, 1 - after[task_id] / before[task_id])
                if self._probing.gradient:
                    kept.append(torch.cat([gradient.float().flatten() for gradient in gradients]))
            for (a, first), (b, second) in combinations(zip(sources, kept, strict=False), 2):
                cosine = float(torch.dot(first, second) / (first.norm() * second.norm()))
                self.gradient.add(a, b, cosine)
                self.gradient.add(b, a, cosine)
        pace.took(middle - start, _now(moment.device) - middle, len(sources))


class Moment:
    """A run between two of its steps."""

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
        self._half: Callable[[], Any] = trainer.precision_plugin.forward_context
        rates = {id(p): group["lr"] for group in trainer.optimizers[0].param_groups for p in group["params"]}
        self._shared = shared_parameters(module.network)
        self._rates = [rates[id(parameter)] for parameter in self._shared]

    def targets(self, tasks: Sequence[str]) -> list[Batch]:
        """Samples of all tasks, in batches."""
        chosen = [sample for task_id in tasks for sample in self._samples.take(task_id, TARGET_SAMPLES)]
        return [make_batch(chosen[i : i + _AT_ONCE], self._pixels) for i in range(0, len(chosen), _AT_ONCE)]

    @torch.no_grad()
    def losses(self, batches: Sequence[Batch]) -> dict[str, float]:
        """Mean training loss of each task's samples."""
        found: dict[str, list[Tensor]] = {}
        for batch in batches:
            for task_id, losses in self._losses(batch).items():
                found.setdefault(task_id, []).append(losses)
        means = {task_id: torch.cat(losses).double().mean() for task_id, losses in found.items()}
        values = torch.stack(list(means.values())).tolist() if means else []
        return dict(zip(means, values, strict=True))

    def gradients(self, task_id: str) -> list[Tensor]:
        """Of the shared parameters: those of the task's weight x mean training loss of its next samples."""
        batch = make_batch(self._samples.take(task_id, SOURCE_SAMPLES), self._pixels)
        with torch.enable_grad():
            loss = self._losses(batch)[task_id].mean() * self._training.task_weights.get(task_id, 1.0)
            found = torch.autograd.grad(loss, self._shared, allow_unused=True)
        pairs = zip(found, self._shared, strict=True)
        return [torch.zeros_like(p) if gradient is None else gradient for gradient, p in pairs]

    @torch.no_grad()
    def losses_after(self, gradients: Sequence[Tensor], batches: Sequence[Batch]) -> dict[str, float]:
        """Losses after one plain step of gradient descent at the present learning rates, which is then undone."""
        before = [parameter.detach().clone() for parameter in self._shared]
        try:
            for parameter, gradient, rate in zip(self._shared, gradients, self._rates, strict=True):
                parameter.sub_(gradient, alpha=rate)
            return self.losses(batches)
        finally:
            for parameter, kept in zip(self._shared, before, strict=True):
                parameter.copy_(kept)

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        """(n,) of each task's samples. A context for each pass: autocast keeps copies of weights within one."""
        with self._half():
            outputs = self.network(batch.images, batch.rows)
        return {
            task_id: sample_losses(self._tasks[task_id], output, batch.targets[task_id], self._training)
            for task_id, output in outputs.items()
        }


def shared_parameters(network: MultiTaskNetwork) -> list[nn.Parameter]:
    """What is trained and serves all tasks: not heads, nor what else a task has of its own."""
    own = map_task_parameters(network)
    return [p for name, p in network.named_parameters() if p.requires_grad and name not in own]


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """No dropout, which would draw random numbers, and no statistic that is updated; then as it was."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _now(device: torch.device) -> float:
    _wait(device)
    return time.perf_counter()


def _ours(module: pl.LightningModule) -> MultiTaskModule:
    if not isinstance(module, MultiTaskModule):
        raise TypeError(f"probes are of a MultiTaskModule, not of a {type(module).__name__}")
    return module
