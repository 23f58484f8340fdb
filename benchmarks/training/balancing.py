"""What ways of balancing tasks cost: training steps against those of `equal`, in pairs; for docs/performance.md.

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
"""Network, samples a batch, side in pixels."""
NETWORKS = {
    "tiny": ["model=tiny"],
    "resnet18": ["model=mh_mtl", "model.encoder=resnet18", "model.norm=group"],
    "m2dino_small": ["model=m2dino_small"],
}
WARM_UP = 2


class BalancedStep(TrainingStep):
    """A step whose gradient is put together from those of the batch's tasks, as the LightningModule does it."""

    def __init__(self, overrides: Sequence[str], batch_size: int, image_size: int) -> None:
        super().__init__(overrides, batch_size, image_size)
        found = make_task_gradients(self.network, self.training)
        assert found is not None
        self._gradients = found

    def gradient(self) -> None:
        """Forward, loss and backward, task by task."""
        batch, size = self.batch, self.training.batch_size
        losses: dict[str, Tensor] = {}
        routings = []
        for task_id, indices in batch.rows.items():
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
    """Pairs of steps of one network: with a way of balancing, and of `equal` right before or after it."""

    network: str
    batch_size: int
    image_size: int
    balancing: str
    pairs: tuple[tuple[float, float], ...]
    """Seconds: balanced, equal."""

    def ratios(self) -> np.ndarray:
        """Times of the balanced steps, relative to the others, by pair."""
        return np.array([balanced / equal for balanced, equal in self.pairs])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What ways of balancing tasks cost.")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--page", type=Path, default=Path("docs/performance.md"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    found = [compare(*case, balancing, options.pairs) for case in CASES for balancing in GRADIENT_BALANCING]
    text = report(found, machine(options.threads))
    write_part(options.page, "balancing", text)
    print(text)
    return 0


def compare(network: str, batch_size: int, image_size: int, balancing: str, pairs: int) -> Compared:
    """Train both in turns."""
    overrides = NETWORKS[network]
    equal = TrainingStep(overrides, batch_size, image_size)
    balanced = BalancedStep([*overrides, f"training.balancing={balancing}"], batch_size, image_size)
    for _ in range(WARM_UP):
        balanced(), equal()
    times = []
    for i in range(pairs):
        order = (balanced, equal) if i % 2 else (equal, balanced)
        taken = {id(step): step().total for step in order}
        times.append((taken[id(balanced)], taken[id(equal)]))
    found = Compared(network, batch_size, image_size, balancing, tuple(times))
    print(f"{network}, {balancing}: {np.median(found.ratios()):.2f}", file=sys.stderr, flush=True)
    return found


def report(found: Sequence[Compared], where: str) -> str:
    """The part of the page."""
    rows = []
    for network, batch_size, image_size in dict.fromkeys((of.network, of.batch_size, of.image_size) for of in found):
        of_case = {of.balancing: of for of in found if (of.network, of.batch_size) == (network, batch_size)}
        equal = np.median([seconds for of in of_case.values() for _, seconds in of.pairs])
        cells = []
        for balancing in of_case:
            low, ratio, high = np.percentile(of_case[balancing].ratios(), [25, 50, 75])
            cells.append(f"{ratio:.2f} ({low:.2f} to {high:.2f})")
        rows.append([network, str(batch_size), str(image_size), f"{1000 * equal:.0f}", *cells])
    columns = ["network", "batch", "px", "equal, ms", *dict.fromkeys(of.balancing for of in found)]
    pairs = len(found[0].pairs)
    said = f"""Training steps (forward, loss, backward, clipping, AdamW) with `training.balancing`, relative to those of
        `equal`: medians of {pairs} pairs of steps in turns (quartiles), on noise of four tasks, one of each type.
        {where}."""
    return f"{prose(said)}\n\n{table(columns, rows)}"


if __name__ == "__main__":
    sys.exit(main())
