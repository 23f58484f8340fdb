"""Measure parameters, arithmetic and training speed of all networks; for docs/models.md.

    python -m benchmarks.models.models [--repetitions 5] [--threads 2] [--page docs/models.md]

On a machine with a GPU, the networks' throughput there is measured too (benchmarks/training/throughput.py).
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.generated import machine, number, prose, table, three_digits, write_part
from benchmarks.models.networks import FLOP_SIZE, NETWORKS, Facts, measure_facts
from benchmarks.training.throughput import GPU_BATCH, GPU_NETWORKS, GPU_SIZE, GPU_STEPS, measure, throughput_report
from benchmarks.training.training_step import TrainingStep, measure_rate

SIZES = (128, 256)
"""Height and width of the images of timed steps, in pixels."""
BATCH = 8
MOST_SECONDS = 20.0
"""Seconds after which the timed steps of a network and size end; at least 3 steps are timed."""
FEW = 5
"""Rates from fewer steps than this are marked on the page."""


@dataclass(frozen=True)
class Measured:
    """A network and its training rates."""

    facts: Facts
    rates: tuple[tuple[float, int], ...]
    """Examples per second and number of timed steps, for each image size."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all networks and write the sections of the page."""
    parser = argparse.ArgumentParser(description="Measure parameters, arithmetic and speed of all networks.")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--page", type=Path, default=Path("docs/models.md"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    measured = []
    for overrides in NETWORKS:
        measured.append(measure_network(overrides, options.repetitions, BATCH, SIZES))
        print(" ".join(overrides), *(f"{rate:.2f}/s" for rate, _ in measured[-1].rates), file=sys.stderr, flush=True)
    text = report(measured, machine(options.threads))
    write_part(options.page, "models", text)
    print(text)
    if torch.cuda.is_available():
        gpu = [measure(overrides, GPU_BATCH, GPU_SIZE, GPU_STEPS, "cuda") for overrides in GPU_NETWORKS]
        text = throughput_report(gpu, torch.cuda.get_device_name())
        write_part(options.page, "models on a GPU", text)
        print(text)
    else:
        print("no GPU: the page's table of throughput on a GPU is not changed")
    return 0


def measure_network(overrides: tuple[str, ...], repetitions: int, batch_size: int, sizes: Sequence[int]) -> Measured:
    """Time a network's training steps on the CPU, and count its parameters and FLOPs."""
    rates = []
    step = TrainingStep(overrides, batch_size, sizes[0])
    for size in sizes:
        step.show(batch_size, size)
        rates.append(measure_rate(step, repetitions, MOST_SECONDS))
    return Measured(measure_facts(overrides, step.network), tuple(rates))


def report(measured: Sequence[Measured], where: str) -> str:
    """Return the section of the page."""
    lines = []
    for network in measured:
        counts, parts = network.facts.counts, network.facts.counts.by_role
        sizes = [parts.get(name, 0) for name in ("backbone", "experts", "conditioning")]
        cells = [number(count) for count in (counts.total, counts.active, *sizes)]
        speeds = [three_digits(rate) + ("*" if steps < FEW else "") for rate, steps in network.rates]
        lines.append(
            [f"`{' '.join(network.facts.overrides)}`", *cells, three_digits(network.facts.forward_flops / 1e9), *speeds]
        )
    columns = ("network", "parameters", "active", "backbone", "experts", "conditioning",
               f"GFLOPs at {FLOP_SIZE} px", *(f"examples/s at {size} px" for size in SIZES))  # fmt: skip
    few = min(steps for network in measured for _, steps in network.rates)
    starred = _FEW.format(few=few) if few < FEW else ""
    return f"{prose(_OPENING.format(batch=BATCH, where=where, few=starred))}\n\n{table(columns, lines)}"


_OPENING = """
*Parameters*: all, with decoder and four heads, one per task type. *Active*: those that one task uses. *Conditioning*:
routers and embeddings or adapters. *GFLOPs*: forward pass of one segmentation image; convolutions and matrix products,
where a multiplication with its addition counts as two. *Examples/s*: complete training steps on noise, batches of
{batch}; medians of at least 5 steps{few}. {where}.
"""
_FEW = " (marked *: {few} steps, because they take long)"


if __name__ == "__main__":
    sys.exit(main())
