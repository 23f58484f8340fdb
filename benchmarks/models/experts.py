"""Measure the cost of experts: training steps with experts and without, in pairs; for docs/models.md.

    python -m benchmarks.models.experts [--pairs 9] [--threads 2] [--page docs/models.md]

The exit status is 1 if a step with 8 experts, 2 per token, takes more than 1.5 times as long as a dense one.
"""

import argparse
import gc
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.generated import machine, number, prose, table, write_part
from benchmarks.models.networks import count_step_flops
from benchmarks.training.training_step import StepTime, TrainingStep
from usaggr.models.parameters import ParameterCounts, count_parameters

NETWORK = "model=m2dino_small"
SETTINGS = ((8, 2), (4, 2), (16, 2), (8, 1), (8, 4), (8, 8))
"""Numbers of experts, and of experts per token; the requirement is on the first setting."""
MOST = 1.5
"""Largest permitted time of the first setting, relative to a dense step."""
BATCH, SIZE = 16, 128
WARM_UP = 2


@dataclass(frozen=True)
class Compared:
    """Pairs of training steps: one of a network with experts, and one of the dense network right before or after."""

    experts: int
    top_k: int
    counts: ParameterCounts
    floor: float
    """FLOPs of forward and backward pass, relative to the dense network's."""
    pairs: tuple[tuple[StepTime, StepTime], ...]
    """Times with experts and of the dense network."""

    def ratios(self) -> np.ndarray:
        """Return the time of a complete step relative to the dense one, for each pair."""
        return np.array([routed.total / dense.total for routed, dense in self.pairs])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the section of the page."""
    parser = argparse.ArgumentParser(description="Measure the cost of experts.")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--page", type=Path, default=Path("docs/models.md"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    compared = compare(NETWORK, SETTINGS, options.pairs, BATCH, SIZE)
    text = report(compared, machine(options.threads))
    write_part(options.page, "experts", text)
    print(text)
    ratio = float(np.median(compared[0].ratios()))
    print(f"{options.page}: {ratio:.2f} times the dense step; required: at most {MOST}")
    return 1 if ratio > MOST else 0


def compare(
    network: str, settings: Sequence[tuple[int, int]], pairs: int, batch_size: int, image_size: int
) -> list[Compared]:
    """Time training steps of each setting and of the dense network in turns."""
    dense = TrainingStep([network, "model.conditioning=none"], batch_size, image_size)
    dense_flops = count_step_flops(dense)
    compared = []
    for experts, top_k in settings:
        overrides = [network, f"model.experts.count={experts}", f"model.experts.top_k={top_k}"]
        routed = TrainingStep(overrides, batch_size, image_size)
        floor = count_step_flops(routed) / dense_flops
        for _ in range(WARM_UP):
            routed(), dense()
        times = tuple(_pair(routed, dense, routed_first=i % 2 == 0) for i in range(pairs))
        compared.append(Compared(experts, top_k, count_parameters(routed.network), floor, times))
        print(
            f"{experts} experts, {top_k} per token: {np.median(compared[-1].ratios()):.2f}", file=sys.stderr, flush=True
        )
        del routed
        gc.collect()
    return compared


def report(compared: Sequence[Compared], where: str) -> str:
    """Return the section of the page."""
    lines = []
    for setting in compared:
        low, ratio, high = np.percentile(setting.ratios(), [25, 50, 75])
        routed, dense = _median([pair[0] for pair in setting.pairs]), _median([pair[1] for pair in setting.pairs])
        counts = [number(setting.counts.total), number(setting.counts.active)]
        times = [f"{routed.gradient:.2f} ({dense.gradient:.2f})", f"{routed.update:.3f} ({dense.update:.3f})"]
        step = [f"{setting.floor:.2f}", f"{ratio:.2f} ({low:.2f} to {high:.2f})"]
        lines.append([str(setting.experts), str(setting.top_k), *counts, *step, *times])
    columns = ("experts", "per token", "parameters", "active", "arithmetic", "training step (quartiles)",
               "forward and backward, s (dense)", "update, s (dense)")  # fmt: skip
    opening = _OPENING.format(
        pairs=len(compared[0].pairs), batch=BATCH, size=SIZE, where=where, most=MOST, floor=compared[0].floor
    )
    return f"{prose(opening)}\n\n{table(columns, lines)}"


def _pair(routed: TrainingStep, dense: TrainingStep, routed_first: bool) -> tuple[StepTime, StepTime]:
    """Time a step of each network; callers alternate the order, so that a machine that slows down favors none."""
    if routed_first:
        return routed(), dense()
    second = dense()
    return routed(), second


def _median(times: Sequence[StepTime]) -> StepTime:
    return StepTime(float(np.median([t.gradient for t in times])), float(np.median([t.update for t in times])))


_OPENING = """
Time of a training step of `model=m2dino_small`, relative to the same network without experts (*dense*,
`model.conditioning=none`): medians of {pairs} pairs of steps in turns, on noise, with {batch} images of {size} px for
four tasks, one of each type. *Arithmetic*: the ratio of FLOPs. Required for 8 experts, 2 per token: at most {most}.
{where}.
"""


if __name__ == "__main__":
    sys.exit(main())
