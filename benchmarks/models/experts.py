"""What experts cost: training steps with experts against the same network without, in pairs; for docs/models.md.

    python -m benchmarks.models.experts [--pairs 9] [--threads 2] [--page docs/models.md]

Ends with status 1 where a step with 8 experts, of which 2 serve a token, takes more than 1.5 times the dense one.
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
from benchmarks.models.networks import step_flops
from benchmarks.training.training_step import StepTime, TrainingStep
from usaggr.models.parameters import ParameterCounts, count_parameters

NETWORK = "model=m2dino_small"
SETTINGS = ((8, 2), (4, 2), (16, 2), (8, 1), (8, 4), (8, 8))
"""Experts, and how many serve a token; the first one is what is asked about."""
MOST = 1.5
"""Times a dense step, asked of the first setting."""
BATCH, SIZE = 16, 128
WARM_UP = 2


@dataclass(frozen=True)
class Compared:
    """Pairs of training steps: of a network with experts, and of the dense one right before or after it."""

    experts: int
    top_k: int
    counts: ParameterCounts
    floor: float
    """FLOPs of forward and backward, relative to the dense network's."""
    pairs: tuple[tuple[StepTime, StepTime], ...]
    """With experts, dense."""

    def ratios(self) -> np.ndarray:
        """Times of whole steps, relative to the dense ones, by pair."""
        return np.array([routed.total / dense.total for routed, dense in self.pairs])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What experts cost.")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--page", type=Path, default=Path("docs/models.md"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    found = compare(NETWORK, SETTINGS, options.pairs, BATCH, SIZE)
    text = report(found, machine(options.threads))
    write_part(options.page, "experts", text)
    print(text)
    ratio = float(np.median(found[0].ratios()))
    print(f"{options.page}: {ratio:.2f} times the dense step, asked: at most {MOST}")
    return 1 if ratio > MOST else 0


def compare(
    network: str, settings: Sequence[tuple[int, int]], pairs: int, batch_size: int, image_size: int
) -> list[Compared]:
    """Train each setting and the dense network in turns."""
    dense = TrainingStep([network, "model.conditioning=none"], batch_size, image_size)
    dense_flops = step_flops(dense)
    found = []
    for experts, top_k in settings:
        overrides = [network, f"model.experts.count={experts}", f"model.experts.top_k={top_k}"]
        routed = TrainingStep(overrides, batch_size, image_size)
        floor = step_flops(routed) / dense_flops
        for _ in range(WARM_UP):
            routed(), dense()
        times = tuple(_pair(routed, dense, routed_first=i % 2 == 0) for i in range(pairs))
        found.append(Compared(experts, top_k, count_parameters(routed.network), floor, times))
        print(f"{experts} experts, {top_k} a token: {np.median(found[-1].ratios()):.2f}", file=sys.stderr, flush=True)
        del routed
        gc.collect()
    return found


def report(found: Sequence[Compared], where: str) -> str:
    """The part of the page."""
    rows = []
    for of in found:
        low, ratio, high = np.percentile(of.ratios(), [25, 50, 75])
        routed, dense = _median([pair[0] for pair in of.pairs]), _median([pair[1] for pair in of.pairs])
        counts = [number(of.counts.total), number(of.counts.active)]
        times = [f"{routed.gradient:.2f} ({dense.gradient:.2f})", f"{routed.update:.3f} ({dense.update:.3f})"]
        step = [f"{of.floor:.2f}", f"{ratio:.2f} ({low:.2f} to {high:.2f})"]
        rows.append([str(of.experts), str(of.top_k), *counts, *step, *times])
    columns = ("experts", "serve a token", "parameters", "active", "arithmetic", "training step (quartiles)",
               "forward and backward, s (dense)", "update, s (dense)")  # fmt: skip
    opening = _OPENING.format(
        pairs=len(found[0].pairs), batch=BATCH, size=SIZE, where=where, most=MOST, floor=found[0].floor
    )
    return f"{prose(opening)}\n\n{table(columns, rows)}"


def _pair(routed: TrainingStep, dense: TrainingStep, routed_first: bool) -> tuple[StepTime, StepTime]:
    """A step of each; which comes first alternates, so that a machine that slows down favours none."""
    if routed_first:
        return routed(), dense()
    second = dense()
    return routed(), second


def _median(times: Sequence[StepTime]) -> StepTime:
    return StepTime(float(np.median([t.gradient for t in times])), float(np.median([t.update for t in times])))


_OPENING = """
Training steps (forward, loss, backward, clipping, AdamW) of `model=m2dino_small` with experts in its later half,
relative to the same network without (`model.conditioning=none`): medians of {pairs} pairs of steps in turns, {batch}
images of {size} px of four tasks, one of each type, on noise. *Arithmetic*: FLOPs of forward and backward, relative to
the dense network's, which is what a machine of arithmetic alone would take. Asked of 8 experts of which 2 serve a
token: at most {most}. {where}.
"""


if __name__ == "__main__":
    sys.exit(main())
