"""Measure the cost of balancing methods: training steps in pairs with those of `equal`; for docs/performance.md.

python -m benchmarks.training.balancing [--pairs 15] [--threads 1] [--page docs/performance.md]
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.generated import machine, prose, table, write_part
from benchmarks.training.training_step import TrainingStep
from usaggr.config.study import GRADIENT_BALANCING
from usaggr.models.experts import load_balancing_loss
from usaggr.training.balancing import join_routing, make_task_gradients
from usaggr.training.losses import sample_losses

CASES = (("tiny", 8, 96), ("tiny", 20, 96), ("resnet18", 8, 96), ("m2dino_small", 8, 96))
"""Network, samples per batch, and height and width in pixels."""
NETWORKS = {
    "tiny": ["model=tiny"],
    "resnet18": ["model=mh_mtl", "model.encoder=resnet18", "model.norm=group"],
    "m2dino_small": ["model=m2dino_small"],
}
WARM_UP = 2


class BalancedStep(TrainingStep):
    """A training step that combines the gradients of the batch's tasks, as the LightningModule does."""

    def __init__(self, overrides: Sequence[str], batch_size: int, image_size: int) -> None:
        super().__init__(overrides, batch_size, image_size)
        gradients = make_task_gradients(self.network, self.training)
        assert gradients is not None
        self._gradients = gradients

    def gradient(self) -> None:
        """Run forward pass, loss and backward pass task by task."""
        batch, size = self.batch, self.training.batch_size
        losses: dict[str, Tensor] = {}
        routings = []
        for task_id, indices in batch.batch_indices.items():
            result = self.network.forward_with_routing(batch.images[indices], {task_id: torch.arange(len(indices))})
            routings.append(result.routing)
            outputs = result.outputs[task_id]
            sample_loss = sample_losses(self._tasks[task_id], outputs, batch.targets[task_id], self.training)
            losses[task_id] = sample_loss.sum() / size
        routing, auxiliary_loss = join_routing(routings), None
        if routing and self.network.load_balancing_weight:
            weight = self.network.load_balancing_weight * len(batch.samples) / size
            auxiliary_loss = weight * load_balancing_loss(routing)
        self._gradients.backward(losses, auxiliary_loss)


@dataclass(frozen=True)
class Compared:
    """Pairs of steps of one network: one with a balancing method, and one with `equal` right before or after."""

    network: str
    batch_size: int
    image_size: int
    balancing: str
    pairs: tuple[tuple[float, float], ...]
    """Seconds of the balanced step and of the step with `equal`."""

    def ratios(self) -> np.ndarray:
        """Return the time of the balanced step relative to that with `equal`, for each pair."""
        return np.array([balanced / equal for balanced, equal in self.pairs])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the section of the page."""
    parser = argparse.ArgumentParser(description="Measure the cost of balancing methods.")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--page", type=Path, default=Path("docs/performance.md"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    compared = [compare(*case, balancing, options.pairs) for case in CASES for balancing in GRADIENT_BALANCING]
    text = report(compared, machine(options.threads))
    write_part(options.page, "balancing", text)
    print(text)
    return 0


def compare(network: str, batch_size: int, image_size: int, balancing: str, pairs: int) -> Compared:
    """Time steps with a balancing method and steps with `equal` in turns.

    Args:
        network: Key of NETWORKS.
        batch_size: Samples per batch.
        image_size: Height and width of the images, in pixels.
        balancing: Value of `training.balancing`.
        pairs: Number of pairs.
    """
    overrides = NETWORKS[network]
    equal = TrainingStep(overrides, batch_size, image_size)
    balanced = BalancedStep([*overrides, f"training.balancing={balancing}"], batch_size, image_size)
    for _ in range(WARM_UP):
        balanced(), equal()
    times = []
    for i in range(pairs):
        order = (balanced, equal) if i % 2 else (equal, balanced)
        seconds = {id(step): step().total for step in order}
        times.append((seconds[id(balanced)], seconds[id(equal)]))
    compared = Compared(network, batch_size, image_size, balancing, tuple(times))
    print(f"{network}, {balancing}: {np.median(compared.ratios()):.2f}", file=sys.stderr, flush=True)
    return compared


def report(compared: Sequence[Compared], where: str) -> str:
    """Return the section of the page."""
    lines = []
    for network, batch_size, image_size in dict.fromkeys((c.network, c.batch_size, c.image_size) for c in compared):
        of_case = [c for c in compared if (c.network, c.batch_size) == (network, batch_size)]
        equal = np.median([seconds for case in of_case for _, seconds in case.pairs])
        cells = []
        for case in of_case:
            low, ratio, high = np.percentile(case.ratios(), [25, 50, 75])
            cells.append(f"{ratio:.2f} ({low:.2f} to {high:.2f})")
        lines.append([network, str(batch_size), str(image_size), f"{1000 * equal:.0f}", *cells])
    columns = ["network", "batch", "px", "equal, ms", *dict.fromkeys(case.balancing for case in compared)]
    pairs = len(compared[0].pairs)
    opening = f"""Time of a training step for each `training.balancing`, relative to `equal`: medians of {pairs} pairs
        of steps in turns (quartiles), on noise for four tasks, one of each type. {where}."""
    return f"{prose(opening)}\n\n{table(columns, lines)}"


if __name__ == "__main__":
    sys.exit(main())
