"""Stops a run with a checkpoint, and goes on from one, so that its numbers are those of a run that never stopped.

Lightning trains what is left as if it were all: its own loops are not restored, as the batches of a run are drawn by
sample and position, and what a step needs is network, optimiser, schedule, scaler and the state of random numbers.
"""

import copy
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl
import torch

from usaggr import stopping
from usaggr.data.batches.batches import TrainingBatches
from usaggr.models.network import MultiTaskNetwork
from usaggr.stopping import RunInterrupted
from usaggr.training.checkpoint import CheckpointFile, Position
from usaggr.training.module import MultiTaskModule
from usaggr.training.stopwatch import FitClock, Stopwatch
from usaggr.training.validation_curve import Curve

START = Position(0, 0, 0)


class Progress:
    """How far a run is, and the state that it goes on from (None: from its start)."""

    def __init__(self, file: CheckpointFile, parts: Sequence[TrainingBatches]) -> None:
        self.lengths = [len(part) for part in parts]
        self.steps = sum(self.lengths)
        found = file.read()
        if found is not None and not self._fits(found[0]):
            file.refuse("it is of a run with other parts")
            found = None
        self.position = found[0] if found is not None else START
        self.state: dict[str, Any] | None = found[1] if found is not None else None

    @property
    def fitted(self) -> bool:
        """Whether no step is left, and no validation."""
        return self.position.part == len(self.lengths)

    def rest_of(self, parts: Sequence[TrainingBatches]) -> list[TrainingBatches]:
        """What is left of the parts; batches that are done are not made again."""
        rest = list(parts[self.position.part :])
        if rest and self.position.batch:
            rest[0] = copy.copy(rest[0])
            rest[0].draws = rest[0].draws[self.position.batch :]
        return rest

    def take_up(self, curve: Curve, watch: Stopwatch, network: MultiTaskNetwork) -> None:
        """Restore what stands outside the trainer."""
        if self.state is None:
            return
        network.load_state_dict(self.state["network"])
        curve.load_state(self.state["curve"])
        watch.take_up(self.state["timings"], self.state["seconds"])
        print(f"continues at step {self.position.step} of {self.steps}", flush=True)

    def _fits(self, position: Position) -> bool:
        part, batch = position.part, position.batch
        if not 0 <= part <= len(self.lengths):
            return False
        inside = 0 <= batch < self.lengths[part] if part < len(self.lengths) else batch == 0
        return inside and position.step == sum(self.lengths[:part]) + batch


class Checkpoints(pl.Callback):
    """Writes a checkpoint every so many minutes, and when the run is asked to stop; restores one at the start.

    A stop is heard at the end of a training step, and of each batch of a validation. A validation that is broken off is
    done again, with the training step before it: what was before that step is kept in memory meanwhile.
    """

    def __init__(
        self,
        file: CheckpointFile,
        progress: Progress,
        minutes: float | None,
        curve: Curve,
        watch: Stopwatch,
        clock: FitClock,
    ) -> None:
        self._file = file
        self._progress = progress
        self._position = progress.position
        self._interval = float("inf") if minutes is None else 60 * minutes
        self._curve = curve
        self._watch = watch
        self._clock = clock
        self._began = self._written = time.monotonic()
        self._on_sigterm = signal.getsignal(signal.SIGTERM)
        self._before: dict[str, Any] | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore what the trainer has made by now."""
        if threading.current_thread() is threading.main_thread() and self._on_sigterm is not None:
            # Lightning's own handler would end the fit without a checkpoint.
            signal.signal(signal.SIGTERM, self._on_sigterm)
            trainer._signal_connector.received_sigterm = False
        state, self._progress.state = self._progress.state, None
        if state is None:
            return
        module = _ours(pl_module)
        trainer.optimizers[0].load_state_dict(state["optimiser"])
        trainer.lr_scheduler_configs[0].scheduler.load_state_dict(state["schedule"])
        if module.uncertainty is not None:
            module.uncertainty.load_state_dict(state["uncertainty"])
        if state["scaler"]:
            trainer.precision_plugin.load_state_dict(state["scaler"])
        module.part_losses = [loss.to(module.device) for loss in state["part_losses"]]
        # Loggers count these.
        trainer.fit_loop.epoch_loop._batches_that_stepped = self._position.step
        torch.set_rng_state(state["rng"])
        if module.device.type == "cuda" and state["rng_cuda"] is not None:
            torch.cuda.set_rng_state(state["rng_cuda"], module.device)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep what is before the last step of a part, off the device, whose memory is the next step's."""
        if self._position.batch + 1 == self._progress.lengths[self._position.part]:
            self._before = _kept(self._state(trainer, _ours(pl_module)))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A step is done."""
        part, done = self._position.part, self._position.batch + 1
        self._position = Position(part, done, self._position.step + 1)
        if done < self._progress.lengths[part]:
            self._look(trainer, _ours(pl_module))

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """A part is being validated: leave it for later, if the run is to stop."""
        if stopping.asked() and self._before is not None:
            position = replace(self._position, batch=self._position.batch - 1, step=self._position.step - 1)
            self._write(position, self._before, stop=True)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A part is done."""
        self._position = Position(self._position.part + 1, 0, self._position.step)
        self._before = None
        self._look(trainer, _ours(pl_module))

    def _look(self, trainer: pl.Trainer, module: MultiTaskModule) -> None:
        """Write a checkpoint if it is time, or if the run is to stop, which then ends it."""
        asked = stopping.asked()
        if not asked and time.monotonic() - self._written < self._interval:
            return
        module.check_losses()
        self._write(self._position, self._state(trainer, module), stop=asked)

    def _write(self, position: Position, state: dict[str, Any], stop: bool) -> None:
        where = f"step {position.step} of {self._progress.steps}"
        said = f"stopped at {where}"
        try:
            self._file.write(position, state)
        except OSError as error:
            print(f"no checkpoint at {where}: {error}", flush=True)
            said += f", without a checkpoint: {error.strerror or error}"
        self._written = time.monotonic()
        if stop:
            raise RunInterrupted(said)

    def _state(self, trainer: pl.Trainer, module: MultiTaskModule) -> dict[str, Any]:
        if self._position.batch:  # after a validation, the clock has just been read
            self._clock.read(module.device)
        fit = self._watch.timings.get("fit", 0.0) + time.monotonic() - self._began
        on_gpu = module.device.type == "cuda"
        return {
            "network": dict(module.network.state_dict()),
            "uncertainty": {} if module.uncertainty is None else dict(module.uncertainty.state_dict()),
            "optimiser": trainer.optimizers[0].state_dict(),
            "schedule": trainer.lr_scheduler_configs[0].scheduler.state_dict(),
            "scaler": trainer.precision_plugin.state_dict(),
            "part_losses": module.part_losses,
            "rng": torch.get_rng_state(),
            "rng_cuda": torch.cuda.get_rng_state(module.device) if on_gpu else None,
            "curve": self._curve.state(),
            "timings": {**self._watch.timings, "fit": fit},
            "seconds": self._watch.seconds,
        }


def _kept(value: Any) -> Any:
    """A copy of a state on the CPU that training does not change."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {name: _kept(item) for name, item in value.items()}
    return type(value)(_kept(item) for item in value) if isinstance(value, list | tuple) else value


def _ours(module: pl.LightningModule) -> MultiTaskModule:
    if not isinstance(module, MultiTaskModule):
        raise TypeError(f"checkpoints are of a MultiTaskModule, not of a {type(module).__name__}")
    return module
