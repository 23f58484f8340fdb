"""Where a run's time goes: seconds by part, in `result.json` as `timings`."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytorch_lightning as pl
import torch


@dataclass
class Stopwatch:
    """Seconds by part of a run."""

    timings: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.perf_counter() - self.started

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what is done within the context for a part, on top of what it has."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - start)

    def take_up(self, timings: Mapping[str, float], seconds: float) -> None:
        """Count what earlier attempts at the run took, in all so many seconds."""
        self.started -= seconds
        for name, taken in timings.items():
            self.add(name, taken)

    def add(self, name: str, seconds: float) -> None:
        """Count seconds for a part."""
        self.timings[name] = self.timings.get(name, 0.0) + seconds


class FitClock(pl.Callback):
    """Tells, within `Trainer.fit`, the time of training steps with their batches (`train`) from that of validation."""

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch
        self._last = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A part of the run begins."""
        self._last = time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The part's steps are done."""
        _finish(pl_module.device)
        self._lap("train")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The part is scored."""
        self._lap("validation")

    def read(self, device: torch.device) -> None:
        """Count the training steps that are done by now."""
        _finish(device)
        self._lap("train")

    def _lap(self, name: str) -> None:
        now = time.perf_counter()
        self._watch.add(name, now - self._last)
        self._last = now


def _finish(device: torch.device) -> None:
    """Wait for a GPU: its work is asked for long before it is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
