"""Measured throughput, and the sections of docs/performance.md and docs/models.md that show it."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from benchmarks.generated import prose, table, three_digits

TARGET = 0.9
"""Smallest intended speed of a run, relative to the limit."""
FROM_SIZE = 128
"""Smallest image size for which the target holds, in pixels."""


@dataclass(frozen=True)
class Busy:
    """Times of run and plain loop in one process, measured block by block in turn."""

    batch: int
    run: tuple[float, ...]
    """Seconds of a step in the run."""
    loop: tuple[float, ...]
    """Seconds of a step in the plain loop."""

    @property
    def run_rate(self) -> float:
        """Examples per second."""
        return self.batch / statistics.median(self.run)

    @property
    def loop_rate(self) -> float:
        """Examples per second."""
        return self.batch / statistics.median(self.loop)

    @property
    def shares(self) -> list[float]:
        """Speed of the run relative to the plain loop, for each pair of blocks."""
        return [loop / run for run, loop in zip(self.run, self.loop, strict=True)]

    @property
    def share(self) -> float:
        """Median of `shares`."""
        return statistics.median(self.shares)


@dataclass(frozen=True)
class Compared:
    """Times of one network at one image size, on all cores of the machine."""

    name: str
    batch: int
    size: int
    busy: tuple[Busy, ...]
    """Times of each process; all processes ran at once."""

    @property
    def run(self) -> float:
        """R: examples per second of all runs."""
        return sum(busy.run_rate for busy in self.busy)

    @property
    def loop(self) -> float:
        """L: examples per second of all plain loops."""
        return sum(busy.loop_rate for busy in self.busy)

    @property
    def share(self) -> float:
        """R / L: median over all pairs of blocks."""
        return statistics.median(share for busy in self.busy for share in busy.shares)

    @property
    def line(self) -> str:
        """Line for the progress output."""
        return f"{self.name} {self.size} px: R/L {self.share:.3f}"


@dataclass(frozen=True)
class Throughput:
    """Examples per second of one network on a device, in bf16."""

    overrides: tuple[str, ...]
    plain: float
    """Forward, loss and backward on tensors that stay on the device."""
    step: float
    """The same with clipping and AdamW."""
    run: float
    """Training in a run: batches from the cache, with augmentation, through Lightning."""
    peak_mib: float | None
    """Peak memory of the device in a run; None on a CPU."""


@dataclass(frozen=True)
class OnGpu:
    """Times of a network on a GPU, where the run and the plain loop take turns."""

    name: str
    size: int
    busy: Busy
    peak_mib: float


@dataclass(frozen=True)
class Packed:
    """Times of small runs on one device, alone and several at once."""

    overrides: tuple[str, ...]
    batch: int
    size: int
    alone: Busy
    together: tuple[Busy, ...]

    @property
    def gain(self) -> float:
        """Examples per second of simultaneous runs, relative to one run at a time."""
        return sum(busy.run_rate for busy in self.together) / self.alone.run_rate


def report(compared: Sequence[Compared], cores: int, where: str) -> str:
    """Return the section of docs/performance.md about the CPU."""
    columns = ("network", "px", "batch", "L", "R", "R / L")
    lines = []
    for case in compared:
        spread = [share for busy in case.busy for share in busy.shares]
        lines.append([
            case.name, str(case.size), str(case.batch), three_digits(case.loop), three_digits(case.run),
            f"{case.share:.2f} ({min(spread):.2f} to {max(spread):.2f})",
        ])  # fmt: skip
    large = [case for case in compared if case.size >= FROM_SIZE]
    met = sum(case.share >= TARGET for case in large)
    target = _TARGET.format(share=TARGET, size=FROM_SIZE, met=met, count=len(large))
    opening = prose(_OPENING.format(cores=cores, rounds=len(compared[0].busy[0].run), where=where))
    return f"{opening}\n\n{table(columns, lines)}\n\n{prose(target)}"


def gpu_report(measured: Sequence[OnGpu], small: Packed, device: str) -> str:
    """Return the section of docs/performance.md about a GPU."""
    lines = []
    for network in measured:
        spread = network.busy.shares
        cells = [network.name, str(network.size), str(network.busy.batch), three_digits(network.busy.loop_rate)]
        share = f"{network.busy.share:.2f} ({min(spread):.2f} to {max(spread):.2f})"
        lines.append([*cells, three_digits(network.busy.run_rate), share, f"{network.peak_mib / 1024:.1f} GiB"])
    columns = ("network", "px", "batch", "L", "R", "R / L", "peak memory of both")
    versions = f"torch {torch.__version__}, CUDA {torch.version.cuda}"
    opening = _GPU.format(rounds=len(measured[0].busy.run), device=device, versions=versions)
    packed = _PACKED.format(
        n=len(small.together), name=" ".join(small.overrides), batch=small.batch, size=small.size,
        together=three_digits(sum(busy.run_rate for busy in small.together)),
        alone=three_digits(small.alone.run_rate), gain=f"{small.gain:.2f}",
    )  # fmt: skip
    return f"{prose(opening)}\n\n{table(columns, lines)}\n\n{prose(packed)}"


def throughput_report(
    measured: Sequence[Throughput], device: str, batch: int = 64, size: int = 256, steps: int = 40
) -> str:
    """Return the section of docs/models.md."""
    lines = []
    for network in measured:
        speeds = [three_digits(rate) for rate in (network.plain, network.step, network.run)]
        memory = f"{network.peak_mib / 1024:.1f} GiB" if network.peak_mib is not None else ""
        lines.append(
            [f"`{' '.join(network.overrides)}`", *speeds, f"{100 * network.run / network.plain:.0f} %", memory]
        )
    columns = ("network", "plain loop", "with update", "a run", "share of the plain loop", "peak memory of a run")
    versions = f"torch {torch.__version__}, CUDA {torch.version.cuda}"
    opening = _MODELS.format(batch=batch, size=size, steps=steps, device=device, versions=versions)
    return f"{prose(opening)}\n\n{table(columns, lines)}"


_OPENING = """
Training examples per second, {cores} processes at once with one thread each. *R*: in a run, with loading and
augmentation of batches and Lightning. *L*, the limit: a plain loop with the same network, losses, clipping and
optimizer on one batch in memory. A batch contains all four task types. R and L take turns. Medians over {rounds} turns;
R / L: median over all pairs (lowest to highest). {where}.
"""
_TARGET = """
Target: R / L of at least {share} from {size} px on; {met} of {count} rows reach it.
"""
_GPU = """
Training examples per second in bf16, medians over {rounds} turns of run and plain loop in one process. *L*: a batch
that stays on the GPU; *R*: training as in `usaggr sweep`. {device}, {versions}.
"""
_PACKED = """
{n} small runs at once on the GPU (`{name}`, {batch} images of {size} px per batch) train {together} examples per second
in total, one run at a time {alone}: {gain} times as many.
"""
_MODELS = """
Training examples per second in bf16, with {batch} images of {size} px per batch; medians of {steps} steps. *Plain
loop*: forward, loss and backward on tensors that stay on the GPU. *With update*: clipping and AdamW too. *A run*:
training as in `usaggr sweep`, with batches that are read from the cache and augmented. {device}, {versions}.
"""
