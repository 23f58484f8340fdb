"""Ways of weighing the tasks of a shared model against each other in training, other than the sum of their losses.

`uncertainty` learns a weight a task. The others (torchjd) move what the tasks share by their gradients, put together so
that they conflict less; what a task has of its own follows its own loss as ever. A model of one task has nothing to
weigh, and is trained as by `equal`.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from usaggr.config.study import GRADIENT_BALANCING, TrainingConfig
from usaggr.errors import ConfigError
from usaggr.models.network import MultiTaskNetwork
from usaggr.models.per_task import PerTask, Routed, module_name


class Uncertainty(nn.Module):
    """A learnt log variance s a task: the objective is the sum over samples of weight x (exp(-s) x loss + s).

    Kendall, Gal and Cipolla, CVPR 2018, with one form for all types of task, twice theirs of regression, so that at the
    start (s = 0) gradients are those of `equal`. The task's own weight stands before the bracket: inside it would be
    learnt away. At rest exp(s) is the task's mean loss.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self._names = {task_id: f"task_{module_name(task_id)}" for task_id in tasks}
        self.log_variances = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in self._names.values()})

    def forward(self, losses: Mapping[str, Tensor], sizes: Mapping[str, float]) -> Tensor:
        """The objective () of a batch; tasks that are not in it are not touched.

        Args:
            losses: task: sum () of weight x loss over its samples.
            sizes: task: sum of the same weights.
        """
        parts = []
        for task_id, loss in losses.items():
            s = self.log_variances[self._names[task_id]]
            parts.append(torch.exp(-s) * loss + sizes[task_id] * s)
        return torch.stack(parts).sum()

    def weights(self) -> dict[str, float]:
        """Task: what its loss is multiplied with, exp(-s)."""
        return {task_id: float(torch.exp(-self.log_variances[name].detach())) for task_id, name in self._names.items()}


class TaskGradients:
    """Gradients of a network's shared parameters, put together from those of single tasks by a rule that weighs them.

    A task's gradient is that of its weight x the sum of its losses / batch size, so that their sum is the gradient of
    `equal`; this is what comes out where only one task has samples, or no gradients conflict (pcgrad, upgrad).
    Parameters that a single task has of its own get the gradient of its loss.
    """

    def __init__(self, network: MultiTaskNetwork, weigh: Callable[[Tensor], Tensor]) -> None:
        self._weigh = weigh
        task_of = own_parameters(network)
        trained = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
        self._shared = [parameter for name, parameter in trained if name not in task_of]
        self._own = {task: [p for name, p in trained if task_of.get(name) == task] for task in network.tasks}

    def backward(self, losses: Mapping[str, Tensor], rest: Tensor | None = None) -> None:
        """Add to the `grad` of all trained parameters that the losses depend on.

        Args:
            losses: task: its part () of the objective, from a graph of its own; those with samples in the batch.
            rest: () of the objective that is no task's.
        """
        if len(losses) < 2 or not self._shared:
            torch.autograd.backward([*losses.values(), *([] if rest is None else [rest])])
            return
        jacobian, touched = self._jacobian(losses, keep=rest is not None)
        combined = self._weigh(jacobian @ jacobian.T).to(jacobian) @ jacobian
        parts = torch.split(combined, [parameter.numel() for parameter in self._shared])
        for parameter, part, reached in zip(self._shared, parts, touched, strict=True):
            if reached:
                _add(parameter, part.view_as(parameter).to(parameter.dtype))
        if rest is not None:
            torch.autograd.backward(rest)

    def _jacobian(self, losses: Mapping[str, Tensor], keep: bool) -> tuple[Tensor, list[bool]]:
        """(tasks, shared parameters' elements) float32, and which parameters have a gradient at all.

        Gradients of what a task has of its own are added on the way.
        """
        first = self._shared[0]
        sizes = [parameter.numel() for parameter in self._shared]
        jacobian = torch.zeros(len(losses), sum(sizes), device=first.device)
        touched = [False] * len(sizes)
        for row, (task_id, loss) in zip(jacobian, losses.items(), strict=True):
            own = self._own[task_id]
            found = torch.autograd.grad(loss, [*self._shared, *own], retain_graph=keep, allow_unused=True)
            for i, (place, gradient) in enumerate(zip(torch.split(row, sizes), found, strict=False)):
                if gradient is not None:
                    place.copy_(gradient.flatten())
                    touched[i] = True
            for parameter, gradient in zip(own, found[len(sizes) :], strict=True):
                if gradient is not None:
                    _add(parameter, gradient)
        return jacobian, touched


def make_uncertainty(network: MultiTaskNetwork, training: TrainingConfig) -> Uncertainty | None:
    """The learnt weights, where the training asks for them and the network has several tasks."""
    if training.balancing != "uncertainty" or len(network.tasks) < 2:
        return None
    return Uncertainty(network.tasks)


def make_task_gradients(network: MultiTaskNetwork, training: TrainingConfig) -> TaskGradients | None:
    """How gradients are put together, where the training asks for it and the network has several tasks.

    Raises:
        ConfigError: torchjd is not installed.
    """
    if training.balancing not in GRADIENT_BALANCING or len(network.tasks) < 2:
        return None
    return TaskGradients(network, gradient_weights(training.balancing))


def gradient_weights(method: str) -> Callable[[Tensor], Tensor]:
    """The rule of a method: from the Gramian (k, k) of k gradients, on any device, to their weights (k,) float64.

    pcgrad: Yu et al., Gradient Surgery, NeurIPS 2020; upgrad: Quinton and Rey, Jacobian Descent, 2024; mgda: Désidéri
    2012, as solved by Sener and Koltun, NeurIPS 2018; imtl_g: Liu et al., ICLR 2021. pcgrad's weights are those of a
    sum; of the others', which are those of a mean, k times as much is taken. Gradients that are zero have no say. Where
    one is not finite all weights are 1, and the loss of the next step ends the run.

    Raises:
        ConfigError: torchjd is not installed.
    """
    try:
        from torchjd.aggregation import IMTLGWeighting, MGDAWeighting, PCGradWeighting, UPGradWeighting

        weightings = {
            "pcgrad": PCGradWeighting,
            "upgrad": UPGradWeighting,
            "mgda": MGDAWeighting,
            "imtl_g": IMTLGWeighting,
        }
        weighting = weightings[method]()
    except ImportError as error:
        raise ConfigError(
            f"training.balancing={method} needs the package torchjd: pip install usaggr[torchjd]"
        ) from error

    def weigh(gramian: Tensor) -> Tensor:
        gramian = gramian.detach().double().cpu()
        weights = torch.ones(len(gramian), dtype=torch.float64)
        there = gramian.diagonal() > 0
        if not torch.isfinite(gramian).all() or there.sum() < 2:
            return weights
        inner = gramian[there][:, there]
        # No rule depends on the gradients' common size; torchjd's thresholds do.
        found = weighting(inner / inner.diagonal().mean())
        weights[there] = found if method == "pcgrad" else len(inner) * found
        return weights

    return weigh


def own_parameters(network: MultiTaskNetwork) -> dict[str, str]:
    """Parameters that serve one task alone, heads and what is conditioned on it: name in the network, and the task."""
    inside = [name for name, module in network.named_modules() if isinstance(module, PerTask)]
    task_of = {}
    for task_id in network.tasks:
        own = module_name(task_id)
        task_of[f"heads.head_{own}"] = task_id
        task_of |= {f"{name}.of.task_{own}": task_id for name in inside}
    found = {}
    for name, _ in network.named_parameters():
        module = ".".join(name.split(".", 2)[:2])
        place = module if module in task_of else name
        if place in task_of:
            found[name] = task_of[place]
    return found


def join_routing(parts: Sequence[Mapping[int, Routed]]) -> dict[int, Routed]:
    """How a batch's tokens were sent to experts, from the same of its parts, one after the other."""
    return {
        block: Routed(*(torch.cat([getattr(part[block], name) for part in parts]) for name in _OF_TOKENS))
        for block in (parts[0] if parts else ())
    }


_OF_TOKENS = ("probabilities", "weights", "chosen")
"""Fields of Routed, in its order."""


def _add(parameter: Tensor, gradient: Tensor) -> None:
    parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
