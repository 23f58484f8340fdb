"""Compare the training speed of complete runs, as `usaggr sweep` executes them, with that of plain loops.

    python -m benchmarks.training.throughput [--rounds 5] [--page docs/performance.md]
                                             [--networks tiny ...] [--sizes 96 128 256]

On the CPU, one process per core with one thread each runs at the same time, as a sweep places its runs. In each of
these processes, the run and the plain loop take turns. On a machine with a GPU, that section of the page is measured
too.
"""

import argparse
import gc
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.generated import machine, write_part
from benchmarks.training.plain_loop import LoopTurn
from benchmarks.training.real_run import WARM_UP, StepClock, Turns, execute
from benchmarks.training.throughput_page import (
    Busy,
    Compared,
    OnGpu,
    Packed,
    Throughput,
    gpu_report,
    report,
    throughput_report,
)
from benchmarks.training.together import Company, Meet, start_processes
from benchmarks.training.training_step import TrainingStep
from usaggr.sweep.executors.local.placement import count_usable_cores

__all__ = [
    "GPU_BATCH",
    "GPU_NETWORKS",
    "GPU_SIZE",
    "GPU_STEPS",
    "main",
    "measure",
    "measure_intervals",
    "throughput_report",
]

NETWORKS = {
    "tiny": ("model=tiny",),
    "resnet18": ("model=mh_mtl", "model.encoder=resnet18"),
    "efficientnet-b4": ("model=mh_mtl", "model.encoder=efficientnet-b4"),
    "m2dino_small": ("model=m2dino_small",),
}
SIZES = (96, 128, 256)
BATCH, SMALL_BATCH = 8, 4
"""Images per batch; the small batch is for networks and sizes whose steps take long."""
LARGE = {"efficientnet-b4": 96, "m2dino_small": 96, "resnet18": 256}
"""Smallest image size, in pixels, at which a network gets the small batch."""
BLOCK_SECONDS = 1.0
"""Seconds of a block of steps, which has at least two steps."""

GPU_NETWORKS = (
    ("model=m2dino", "model.conditioning=none"),
    ("model=m2dino",),
    ("model=m2dino", "model.experts.top_k=4"),
)
GPU_BATCH, GPU_SIZE, GPU_STEPS = 64, 256, 40
HALF = "training.precision=bf16-mixed"
GPU_COMPARED = {"efficientnet-b4": ("model=mh_mtl",), "m2dino (ViT-B)": ("model=m2dino",)}
PACKED_NETWORK, PACKED_BATCH, PACKED_SIZE, PACKED = ("model=tiny",), 20, 128, 4
"""Network, batch and image size of small runs, and the number of them that share a GPU."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the sections of the page."""
    parser = argparse.ArgumentParser(description="Compare the training speed of complete runs with plain loops.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--page", type=Path, default=Path("docs/performance.md"))
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    options = parser.parse_args(arguments)
    if torch.cuda.is_available():
        text = gpu_report(*_on_gpu(options.rounds), torch.cuda.get_device_name())
        write_part(options.page, "throughput on a GPU", text)
        print(text)
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # for the processes that start from here on
    compared = []
    with tempfile.TemporaryDirectory() as folder, start_processes(count_usable_cores(), 1) as processes:
        for size in options.sizes:
            for name in options.networks:
                batch = SMALL_BATCH if size >= LARGE.get(name, math.inf) else BATCH
                busy = processes(take_turns, NETWORKS[name], batch, size, options.rounds, Path(folder), BLOCK_SECONDS)
                compared.append(Compared(name, batch, size, tuple(busy)))
                print(compared[-1].line, file=sys.stderr, flush=True)
    text = report(compared, count_usable_cores(), machine(1))
    write_part(options.page, "throughput", text)
    print(text)
    return 0


def take_turns(
    meet: Meet,
    overrides: tuple[str, ...],
    batch_size: int,
    image_size: int,
    rounds: int,
    folder: Path,
    seconds: float,
    device: str = "cpu",
) -> Busy:
    """Time a run and a plain loop in this process, block by block in turn.

    Args:
        meet: Waits until the other processes have reached the same point.
        overrides: Configuration of the network.
        batch_size: Images in a batch.
        image_size: Height and width of the images, in pixels.
        rounds: Number of blocks of the run, and of the loop.
        folder: Keeps the phantoms' cache between calls.
        seconds: Intended time of a block.
        device: cpu or cuda.
    """
    gc.collect()
    precision = (HALF,) if device == "cuda" else ()
    step = TrainingStep([*overrides, *precision], batch_size, image_size, device)
    took = max(min(step().total for _ in range(3)), 1e-4)
    steps = max(2, min(round(seconds / took), 60))
    loop = LoopTurn(step, steps)
    turns = Turns(rounds, steps, [loop])
    meet()
    execute([*overrides, *precision], batch_size, image_size, turns.needed, device, turns, folder / "cache")
    return Busy(batch_size, tuple(turns.seconds), tuple(loop.seconds))


def measure(overrides: tuple[str, ...], batch_size: int, image_size: int, steps: int, device: str) -> Throughput:
    """Time a network's steps in bf16: gradients alone, with update, and in a run.

    Args:
        overrides: Configuration of the network.
        batch_size: Images per batch.
        image_size: Height and width of the images, in pixels.
        steps: Timed steps of each kind, after the warm-up.
        device: cpu or cuda.
    """
    step = TrainingStep([*overrides, HALF], batch_size, image_size, device)
    for _ in range(WARM_UP):
        step()
    times = [step() for _ in range(steps)]
    plain = batch_size / statistics.median(t.gradient for t in times)
    complete = batch_size / statistics.median(t.total for t in times)
    del step
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    run = batch_size / statistics.median(measure_intervals(overrides, batch_size, image_size, steps, device))
    peak = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else None
    return Throughput(overrides, plain, complete, run, peak)


def measure_intervals(
    overrides: tuple[str, ...], batch_size: int, image_size: int, steps: int, device: str
) -> list[float]:
    """Return the seconds from each step's end to the next one's in a run on phantoms in bf16, after the warm-up."""
    clock = StepClock()
    execute([*overrides, HALF], batch_size, image_size, steps + WARM_UP + 1, device, clock)
    return clock.intervals()[:steps]


def measure_packed(overrides: tuple[str, ...], batch_size: int, image_size: int, rounds: int, folder: Path,
           runs: Company, device: str, seconds: float = BLOCK_SECONDS) -> Packed:  # fmt: skip
    """Time small runs on a device: one alone, and several at once, each in a separate process."""
    arguments = (overrides, batch_size, image_size, rounds, folder, seconds, device)
    with start_processes(1, 1) as single:
        alone = single(take_turns, *arguments)
    return Packed(overrides, batch_size, image_size, alone[0], tuple(runs(take_turns, *arguments)))


def _on_gpu(rounds: int) -> tuple[list[OnGpu], Packed]:
    measured = []
    with tempfile.TemporaryDirectory() as name, start_processes(PACKED, 1) as runs:
        folder = Path(name)
        for label, overrides in GPU_COMPARED.items():
            torch.cuda.reset_peak_memory_stats()
            busy = take_turns(lambda: None, overrides, GPU_BATCH, GPU_SIZE, rounds, folder, 2.0, "cuda")
            measured.append(OnGpu(label, GPU_SIZE, busy, torch.cuda.max_memory_allocated() / 2**20))
            print(label, measured[-1].busy.share, file=sys.stderr, flush=True)
        small = measure_packed(PACKED_NETWORK, PACKED_BATCH, PACKED_SIZE, rounds, folder, runs, "cuda")
    return measured, small


if __name__ == "__main__":
    sys.exit(main())
