"""Ways to balance the tasks of a shared model in training, other than the sum of their losses.

`uncertainty` learns a weight per task. The other methods (from torchjd) combine the tasks' gradients of the shared
parameters so that they conflict less; parameters of a single task always follow the gradient of that task's loss. A
model of one task has nothing to balance and is trained as with `equal`.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from usaggr.config.study import GRADIENT_BALANCING, TrainingConfig
from usaggr.errors import ConfigError
from usaggr.models.network import MultiTaskNetwork
from usaggr.models.per_task import BlockRouting, PerTask, make_module_name


class Uncertainty(nn.Module):
    """Learned log variance s of each task; the objective sums weight x (exp(-s) x loss + s) over samples.

    Kendall, Gal and Cipolla, CVPR 2018. All task types use one form, which is twice their form for regression: at the
    start (s = 0), the gradients are those of `equal`. The configured task weight multiplies the whole bracket. If it
    multiplied the loss alone, s would learn to cancel it. At the optimum, exp(s) is the task's mean loss.

    Args:
        tasks: Ids of the tasks.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self._names = {task_id: f"task_{make_module_name(task_id)}" for task_id in tasks}
        self.log_variances = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in self._names.values()})

    def forward(self, loss_sums: Mapping[str, Tensor], weight_sums: Mapping[str, float]) -> Tensor:
        """Return the objective () of a batch; tasks without samples in it get no gradient.

        Args:
            loss_sums: Task id: sum () of weight x loss over its samples in the batch.
            weight_sums: Task id: sum of the same weights.
        """
        terms = []
        for task_id, loss_sum in loss_sums.items():
            s = self.log_variances[self._names[task_id]]
            terms.append(torch.exp(-s) * loss_sum + weight_sums[task_id] * s)
        return torch.stack(terms).sum()

    def compute_weights(self) -> dict[str, float]:
        """Return the factor on each task's loss, exp(-s), by task id."""
        return {task_id: float(torch.exp(-self.log_variances[name].detach())) for task_id, name in self._names.items()}


class TaskGradients:
    """Combines the tasks' gradients of a network's shared parameters by a rule that weighs them.

    The gradient of a task is that of weight x sum of its losses / batch size. The sum over tasks is then the gradient
    of `equal`. The combination equals this sum if only one task has samples, or (pcgrad, upgrad) if no
    gradients conflict. Parameters of a single task get the gradient of that task's loss.

    Args:
        network: Network to train.
        weigh: Returns the weights (k,) of k gradients, given their Gramian (k, k).
    """

    def __init__(self, network: MultiTaskNetwork, weigh: Callable[[Tensor], Tensor]) -> None:
        self._weigh = weigh
        task_by_parameter = map_task_parameters(network)
        trained = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
        self._shared = [parameter for name, parameter in trained if name not in task_by_parameter]
        self._task_parameters = {
            task_id: [parameter for name, parameter in trained if task_by_parameter.get(name) == task_id]
            for task_id in network.tasks
        }

    def backward(self, task_losses: Mapping[str, Tensor], auxiliary_loss: Tensor | None = None) -> None:
        """Add to the `grad` of all trained parameters that the losses depend on.

        Args:
            task_losses: Task id: its term () of the objective, from a graph of its own; only tasks with samples.
            auxiliary_loss: Term () of the objective that belongs to no task, added without a weight; None without one.
        """
        if len(task_losses) < 2 or not self._shared:
            torch.autograd.backward([*task_losses.values(), *([] if auxiliary_loss is None else [auxiliary_loss])])
            return
        # The auxiliary loss uses the graphs of the tasks, which its own backward pass still needs.
        jacobian, has_gradient = self._compute_jacobian(task_losses, retain_graph=auxiliary_loss is not None)
        combined = self._weigh(jacobian @ jacobian.T).to(jacobian) @ jacobian
        gradients = torch.split(combined, [parameter.numel() for parameter in self._shared])
        for parameter, gradient, is_used in zip(self._shared, gradients, has_gradient, strict=True):
            if is_used:
                _add_gradient(parameter, gradient.view_as(parameter).to(parameter.dtype))
        if auxiliary_loss is not None:
            torch.autograd.backward(auxiliary_loss)

    def _compute_jacobian(self, task_losses: Mapping[str, Tensor], retain_graph: bool) -> tuple[Tensor, list[bool]]:
        """Compute the gradients of the shared parameters; add those of the tasks' own parameters to their `grad`.

        Returns:
            Jacobian (tasks, elements of all shared parameters) float32, and for each shared parameter if any task has
            a gradient for it.
        """
        sizes = [parameter.numel() for parameter in self._shared]
        jacobian = torch.zeros(len(task_losses), sum(sizes), device=self._shared[0].device)
        has_gradient = [False] * len(sizes)
        for row, (task_id, loss) in zip(jacobian, task_losses.items(), strict=True):
            task_parameters = self._task_parameters[task_id]
            gradients = torch.autograd.grad(
                loss, [*self._shared, *task_parameters], retain_graph=retain_graph, allow_unused=True
            )
            # `strict=False` leaves out the gradients of the task's own parameters, which come last.
            for i, (segment, gradient) in enumerate(zip(torch.split(row, sizes), gradients, strict=False)):
                if gradient is not None:
                    segment.copy_(gradient.flatten())
                    has_gradient[i] = True
            for parameter, gradient in zip(task_parameters, gradients[len(sizes) :], strict=True):
                if gradient is not None:
                    _add_gradient(parameter, gradient)
        return jacobian, has_gradient


def make_uncertainty(network: MultiTaskNetwork, training: TrainingConfig) -> Uncertainty | None:
    """Make the learned task weights; None if they are not configured or the network has one task."""
    if training.balancing != "uncertainty" or len(network.tasks) < 2:
        return None
    return Uncertainty(network.tasks)


def make_task_gradients(network: MultiTaskNetwork, training: TrainingConfig) -> TaskGradients | None:
    """Make the object that combines gradients; None if that is not configured or the network has one task.

    Raises:
        ConfigError: torchjd is not installed.
    """
    if training.balancing not in GRADIENT_BALANCING or len(network.tasks) < 2:
        return None
    return TaskGradients(network, make_gradient_weighting(training.balancing))


def make_gradient_weighting(method: str) -> Callable[[Tensor], Tensor]:
    """Make the function of a method from the Gramian (k, k) of k gradients, on any device, to weights (k,) float64.

    Methods: pcgrad: Yu et al., Gradient Surgery, NeurIPS 2020. upgrad: Quinton and Rey, Jacobian Descent, 2024. mgda:
    Désidéri 2012, as solved by Sener and Koltun, NeurIPS 2018. imtl_g: Liu et al., ICLR 2021.

    The weights of pcgrad are those of a sum. Those of the others are of a mean and are multiplied by k. Gradients that
    are 0 are ignored. If a gradient is not finite, all weights are 1, and the loss of the next step ends the run.

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
        nonzero = gramian.diagonal() > 0
        if not torch.isfinite(gramian).all() or nonzero.sum() < 2:
            return weights
        nonzero_gramian = gramian[nonzero][:, nonzero]
        # No method depends on the common size of the gradients, but torchjd's numerical thresholds do.
        method_weights = weighting(nonzero_gramian / nonzero_gramian.diagonal().mean())
        weights[nonzero] = method_weights if method == "pcgrad" else len(nonzero_gramian) * method_weights
        return weights

    return weigh


def map_task_parameters(network: MultiTaskNetwork) -> dict[str, str]:
    """Return the task of each parameter that serves one task only, by the parameter's name in the network.

    These are the heads, and the tensors of `PerTask` modules.
    """
    per_task_modules = [name for name, module in network.named_modules() if isinstance(module, PerTask)]
    task_by_prefix = {}
    for task_id in network.tasks:
        task_name = make_module_name(task_id)
        task_by_prefix[f"heads.head_{task_name}"] = task_id
        task_by_prefix |= {f"{name}.of.task_{task_name}": task_id for name in per_task_modules}
    task_by_parameter = {}
    for name, _ in network.named_parameters():
        head = ".".join(name.split(".", 2)[:2])
        prefix = head if head in task_by_prefix else name
        if prefix in task_by_prefix:
            task_by_parameter[name] = task_by_prefix[prefix]
    return task_by_parameter


def join_routing(routings: Sequence[Mapping[int, BlockRouting]]) -> dict[int, BlockRouting]:
    """Return the routing of a batch from the routings of its consecutive parts, each by block index."""
    return {
        block: BlockRouting(
            torch.cat([routing[block].probabilities for routing in routings]),
            torch.cat([routing[block].weights for routing in routings]),
            torch.cat([routing[block].chosen for routing in routings]),
        )
        for block in (routings[0] if routings else ())
    }


def _add_gradient(parameter: Tensor, gradient: Tensor) -> None:
    """Add a gradient as `backward` does, without changing a tensor that others may hold."""
    parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
