"""What throughput was measured to be, and the parts of docs/performance.md and docs/models.md that say so."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from benchmarks.generated import prose, table, three_digits

TARGET = 0.9
"""Of the limit."""
FROM_SIZE = 128
"""Pixels from which on the target holds."""


@dataclass(frozen=True)
class Busy:
    """What one process measured, block by block in turn."""

    batch: int
    run: tuple[float, ...]
    """Seconds of a step in the run."""
    loop: tuple[float, ...]
    """Seconds of a step in the plain loop."""

    @property
    def run_rate(self) -> float:
        """Examples a second."""
        return self.batch / statistics.median(self.run)

    @property
    def loop_rate(self) -> float:
        """Examples a second."""
        return self.batch / statistics.median(self.loop)

    @property
    def shares(self) -> list[float]:
        """The run's speed over the plain loop's, pair by pair."""
        return [loop / run for run, loop in zip(self.run, self.loop, strict=True)]

    @property
    def share(self) -> float:
        """Median of `shares`."""
        return statistics.median(self.shares)


@dataclass(frozen=True)
class Compared:
    """One network at one size of images, on the whole machine."""

    name: str
    batch: int
    size: int
    busy: tuple[Busy, ...]
    """By process, all at once."""

    @property
    def run(self) -> float:
        """R: examples a second of all runs."""
        return sum(busy.run_rate for busy in self.busy)

    @property
    def loop(self) -> float:
        """L: of all plain loops."""
        return sum(busy.loop_rate for busy in self.busy)

    @property
    def share(self) -> float:
        """R / L, the median over all pairs of blocks."""
        return statistics.median(share for busy in self.busy for share in busy.shares)

    @property
    def line(self) -> str:
        """For whoever waits."""
        return f"{self.name} {self.size} px: R/L {self.share:.3f}"


@dataclass(frozen=True)
class Throughput:
    """Examples a second of one network on a device, in bf16."""

    overrides: tuple[str, ...]
    plain: float
    """Forward, loss and backward over tensors that stay on the device."""
    step: float
    """With clipping and AdamW."""
    run: float
    """As a run trains: batches from the cache, augmented, through Lightning."""
    peak_mib: float | None
    """Memory of the device at the highest, in a run; None on a CPU."""


@dataclass(frozen=True)
class OnGpu:
    """A network on a GPU, the run in turn with the plain loop."""

    name: str
    size: int
    busy: Busy
    peak_mib: float


@dataclass(frozen=True)
class Packed:
    """Small runs on one device."""

    overrides: tuple[str, ...]
    batch: int
    size: int
    alone: Busy
    together: tuple[Busy, ...]

    @property
    def gain(self) -> float:
        """Examples a second of runs at once over those of runs one after another."""
        return sum(busy.run_rate for busy in self.together) / self.alone.run_rate


def report(found: Sequence[Compared], cores: int, where: str) -> str:
    """The part of docs/performance.md."""
    columns = ("network", "px", "batch", "L", "R", "R / L")
    rows = []
    for of in found:
        spread = [share for busy in of.busy for share in busy.shares]
        rows.append([
            of.name, str(of.size), str(of.batch), three_digits(of.loop), three_digits(of.run),
            f"{of.share:.2f} ({min(spread):.2f} to {max(spread):.2f})",
        ])  # fmt: skip
    large = [of for of in found if of.size >= FROM_SIZE]
    met = sum(of.share >= TARGET for of in large)
    target = _TARGET.format(share=TARGET, size=FROM_SIZE, met=met, of=len(large))
    opening = prose(_OPENING.format(cores=cores, rounds=len(found[0].busy[0].run), where=where))
    return f"{opening}\n\n{table(columns, rows)}\n\n{prose(target)}"


def gpu_report(found: Sequence[OnGpu], small: Packed, device: str) -> str:
    """The part of docs/performance.md on a GPU."""
    rows = []
    for of in found:
        spread = of.busy.shares
        cells = [of.name, str(of.size), str(of.busy.batch), three_digits(of.busy.loop_rate)]
        share = f"{of.busy.share:.2f} ({min(spread):.2f} to {max(spread):.2f})"
        rows.append([*cells, three_digits(of.busy.run_rate), share, f"{of.peak_mib / 1024:.1f} GiB"])
    columns = ("network", "px", "batch", "L", "R", "R / L", "peak memory of both")
    versions = f"torch {torch.__version__}, CUDA {torch.version.cuda}"
    opening = _GPU.format(rounds=len(found[0].busy.run), device=device, versions=versions)
    packed = _PACKED.format(
        n=len(small.together), name=" ".join(small.overrides), batch=small.batch, size=small.size,
        together=three_digits(sum(busy.run_rate for busy in small.together)),
        alone=three_digits(small.alone.run_rate), gain=f"{small.gain:.2f}",
    )  # fmt: skip
    return f"{prose(opening)}\n\n{table(columns, rows)}\n\n{prose(packed)}"


def throughput_report(
    found: Sequence[Throughput], device: str, batch: int = 64, size: int = 256, steps: int = 40
) -> str:
    """The part of docs/models.md."""
    rows = []
    for of in found:
        speeds = [three_digits(rate) for rate in (of.plain, of.step, of.run)]
        memory = f"{of.peak_mib / 1024:.1f} GiB" if of.peak_mib is not None else ""
        rows.append([f"`{' '.join(of.overrides)}`", *speeds, f"{100 * of.run / of.plain:.0f} %", memory])
    columns = ("network", "plain loop", "with update", "a run", "share of the plain loop", "peak memory of a run")
    versions = f"torch {torch.__version__}, CUDA {torch.version.cuda}"
    opening = _MODELS.format(batch=batch, size=size, steps=steps, device=device, versions=versions)
    return f"{prose(opening)}\n\n{table(columns, rows)}"


_OPENING = """
Training examples a second of the whole machine: {cores} processes at once with a thread each, as a sweep places its
runs. *R*: within a run, from the end of a step to the end of a later one, so with its batches, their augmentation and
all that Lightning does. *L*, the limit: a plain loop with the same network, losses, clipping and optimiser on one batch
in memory. A batch holds all four task types. In each process R and L take turns, a block of steps each; numbers are
medians over {rounds} turns, R / L the median over all pairs (lowest to highest). {where}.
"""
_TARGET = """
Aimed at: R / L of {share} at least from {size} px on; {met} of {of} rows reach it.
"""
_GPU = """
Training examples a second in bf16, medians over {rounds} turns of run and plain loop within one process. *L*: a batch
that stays on the GPU; *R*: as `usaggr sweep` trains. {device}, {versions}.
"""
_PACKED = """
{n} small runs at once on the GPU (`{name}`, {batch} images of {size} px a batch) train {together} examples a second in
all, one at a time {alone}: {gain} times as many.
"""
_MODELS = """
Training examples a second in bf16, {batch} images of {size} px in a batch, medians of {steps} steps. *Plain loop*:
forward, loss and backward over tensors that stay on the GPU. *With update*: clipping and AdamW too. *A run*: as `usaggr
sweep` trains, with batches that are read from the cache and augmented. {device}, {versions}.
"""
