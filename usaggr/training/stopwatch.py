"""Time that a run spends in each of its phases: seconds by phase, stored in `result.json` as `timings`."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytorch_lightning as pl
import torch


@dataclass
class Stopwatch:
    """Seconds by phase of a run, over all attempts at it."""

    timings: dict[str, float] = field(default_factory=dict)
    """Phase: seconds spent in it."""
    started: float = field(default_factory=time.perf_counter)
    """Start in seconds of `time.perf_counter`; earlier attempts move it back."""

    @property
    def seconds(self) -> float:
        """Seconds since the start, with those of earlier attempts."""
        return time.perf_counter() - self.started

    @contextmanager
    def measure(self, phase: str) -> Iterator[None]:
        """Add the time that is spent within the context to a phase."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(phase, time.perf_counter() - start)

    def add_attempts(self, timings: Mapping[str, float], seconds: float) -> None:
        """Add the time of earlier attempts at the run: their seconds by phase, and in total."""
        self.started -= seconds
        for phase, phase_seconds in timings.items():
            self.add(phase, phase_seconds)

    def add(self, phase: str, seconds: float) -> None:
        """Add seconds to a phase."""
        self.timings[phase] = self.timings.get(phase, 0.0) + seconds


class FitClock(pl.Callback):
    """Divides the time within `Trainer.fit` into `train` (steps and their batches) and `validation`.

    Args:
        watch: Stopwatch of the run, which the seconds are added to.
    """

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch
        self._last = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the time of an interval."""
        self._last = time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count the steps of the interval as training."""
        self.count_training(pl_module.device)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count the time since the last step as validation."""
        self._add_lap("validation")

    def count_training(self, device: torch.device) -> None:
        """Count the time of the training steps that are done by now."""
        _synchronize(device)
        self._add_lap("train")

    def _add_lap(self, phase: str) -> None:
        """Add the time since the previous lap to a phase."""
        now = time.perf_counter()
        self._watch.add(phase, now - self._last)
        self._last = now


def _synchronize(device: torch.device) -> None:
    """Wait for a GPU, which runs its work long after Python has queued it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
