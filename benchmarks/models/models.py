"""Parameters, arithmetic and speed of all networks; for docs/models.md.

    python -m benchmarks.models.models [--repetitions 5] [--threads 2] [--page docs/models.md]

With a GPU, the networks' throughput there too (benchmarks/training/throughput.py).
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.generated import machine, number, prose, table, three_digits, write_part
from benchmarks.models.networks import FLOP_SIZE, NETWORKS, Facts, facts
from benchmarks.training.throughput import GPU_BATCH, GPU_NETWORKS, GPU_SIZE, GPU_STEPS, measure, throughput_report
from benchmarks.training.training_step import TrainingStep, median_rate

SIZES = (128, 256)
"""Pixels a side of the images that steps are timed with."""
BATCH = 8
MOST_SECONDS = 20.0
"""Of the counted steps of a network and size; 3 steps at least are counted."""
FEW = 5
"""Fewer steps than this are said to be few."""


@dataclass(frozen=True)
class Measured:
    """A network, and how fast it trains."""

    facts: Facts
    rates: tuple[tuple[float, int], ...]
    """By size: examples a second, and how many steps were counted."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Parameters, arithmetic and speed of all networks.")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--page", type=Path, default=Path("docs/models.md"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    found = []
    for overrides in NETWORKS:
        found.append(measure_network(overrides, options.repetitions, BATCH, SIZES))
        print(" ".join(overrides), *(f"{rate:.2f}/s" for rate, _ in found[-1].rates), file=sys.stderr, flush=True)
    text = report(found, machine(options.threads))
    write_part(options.page, "models", text)
    print(text)
    if torch.cuda.is_available():
        gpu = [measure(overrides, GPU_BATCH, GPU_SIZE, GPU_STEPS, "cuda") for overrides in GPU_NETWORKS]
        text = throughput_report(gpu, torch.cuda.get_device_name())
        write_part(options.page, "models on a GPU", text)
        print(text)
    else:
        print("no GPU: the page's table of throughput on one stays as it is")
    return 0


def measure_network(overrides: tuple[str, ...], repetitions: int, batch_size: int, sizes: Sequence[int]) -> Measured:
    """Time a network's training steps on the CPU, and count what it holds."""
    rates = []
    step = TrainingStep(overrides, batch_size, sizes[0])
    for size in sizes:
        step.show(batch_size, size)
        rates.append(median_rate(step, repetitions, MOST_SECONDS))
    return Measured(facts(overrides, step.network), tuple(rates))


def report(found: Sequence[Measured], where: str) -> str:
    """The part of the page."""
    rows = []
    for of in found:
        counts, parts = of.facts.counts, of.facts.counts.by_role
        sizes = [parts.get(part, 0) for part in ("backbone", "experts", "conditioning", "decoder", "heads")]
        cells = [number(count) for count in (counts.total, counts.active, *sizes)]
        speeds = [three_digits(rate) + ("*" if steps < FEW else "") for rate, steps in of.rates]
        rows.append([f"`{' '.join(of.facts.overrides)}`", *cells, three_digits(of.facts.forward_flops / 1e9), *speeds])
    columns = ("network", "parameters", "active", "backbone", "experts", "conditioning", "decoder", "4 heads",
               f"GFLOPs at {FLOP_SIZE} px", *(f"examples/s at {size} px" for size in SIZES))  # fmt: skip
    few = min(steps for of in found for _, steps in of.rates)
    starred = _FEW.format(few=few) if few < FEW else ""
    return f"{prose(_OPENING.format(batch=BATCH, where=where, few=starred))}\n\n{table(columns, rows)}"


_OPENING = """
Each with four heads, one of a type. *Active*: parameters that serve one task. *Conditioning*: routers and embeddings or
adapters of the four tasks. *GFLOPs*: forward pass of one image for a segmentation task; convolutions and matrix
products, those of attention too, two for a multiplication with its addition. *Examples/s*: training (forward, loss,
backward, clipping, AdamW), {batch} images of the four tasks in a batch, on noise, medians of at least 5 steps{few}.
{where}.
"""
_FEW = " (where marked *, of {few}, since they take long)"


if __name__ == "__main__":
    sys.exit(main())
