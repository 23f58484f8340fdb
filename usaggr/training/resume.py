"""Resuming of runs: a run that is stopped and resumed gives the same numbers as one that was never stopped.

Lightning's own loops are not restored; it trains the remaining batches as if they were the whole run. This is possible
because batches are drawn by sample and position. All else that a step depends on is in the checkpoint: network,
optimizer, schedule, gradient scaler and the state of the random number generators.
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


class ResumePoint:
    """Position from which a run continues, and its state there.

    Args:
        file: Checkpoint of the run. One that does not fit the intervals is removed.
        intervals: Batches of all intervals of the run.
    """

    def __init__(self, file: CheckpointFile, intervals: Sequence[TrainingBatches]) -> None:
        self.lengths = [len(interval) for interval in intervals]
        """Number of batches in each interval."""
        self.steps = sum(self.lengths)
        checkpoint = file.read()
        if checkpoint is not None and not self._is_valid(checkpoint[0]):
            file.remove("it is of a run with other intervals")
            checkpoint = None
        self.position = checkpoint[0] if checkpoint is not None else START
        self.state: dict[str, Any] | None = checkpoint[1] if checkpoint is not None else None
        """State to restore; None at the start of a run, and once `CheckpointCallback` has restored it."""

    @property
    def is_trained(self) -> bool:
        """True if neither a step nor a validation remains."""
        return self.position.intervals_done == len(self.lengths)

    def get_remaining_intervals(self, intervals: Sequence[TrainingBatches]) -> list[TrainingBatches]:
        """Return the intervals that remain, the first one without the batches that are done."""
        remaining = list(intervals[self.position.intervals_done :])
        if remaining and self.position.batches_done:
            remaining[0] = copy.copy(remaining[0])
            remaining[0].draws_by_batch = remaining[0].draws_by_batch[self.position.batches_done :]
        return remaining

    def restore(self, curve: Curve, watch: Stopwatch, network: MultiTaskNetwork) -> None:
        """Restore what exists before the trainer does; `CheckpointCallback` restores the rest.

        Args:
            curve: Validation curve of the run.
            watch: Stopwatch of the run, to which the time of earlier attempts is added.
            network: Network of the run.
        """
        if self.state is None:
            return
        network.load_state_dict(self.state["network"])
        curve.load_state(self.state["curve"])
        watch.add_attempts(self.state["timings"], self.state["seconds"])
        print(f"continues at step {self.position.steps_done} of {self.steps}", flush=True)

    def _is_valid(self, position: Position) -> bool:
        """Return True if a position exists in this run; step, interval and batch must agree."""
        interval, batch = position.intervals_done, position.batches_done
        if not 0 <= interval <= len(self.lengths):
            return False
        batch_exists = 0 <= batch < self.lengths[interval] if interval < len(self.lengths) else batch == 0
        return batch_exists and position.steps_done == sum(self.lengths[:interval]) + batch


class CheckpointCallback(pl.Callback):
    """Writes a checkpoint at regular times and when the run is asked to stop; restores one at the start.

    Requests to stop are checked at the end of each training step and of each validation batch. A validation that is
    interrupted is repeated after the resume, together with the training step before it. For that purpose the state
    before this step is kept in memory.

    Args:
        file: Checkpoint of the run.
        resume_point: Position from which the run continues.
        minutes: Minutes between two checkpoints; None: only when the run is asked to stop.
        curve: Validation curve of the run.
        watch: Stopwatch of the run.
        clock: Clock of the fit, which is read before the times are stored.
    """

    def __init__(
        self,
        file: CheckpointFile,
        resume_point: ResumePoint,
        minutes: float | None,
        curve: Curve,
        watch: Stopwatch,
        clock: FitClock,
    ) -> None:
        self._file = file
        self._resume_point = resume_point
        self._position = resume_point.position
        self._checkpoint_seconds = float("inf") if minutes is None else 60 * minutes
        self._curve = curve
        self._watch = watch
        self._clock = clock
        self._start_time = self._last_written = time.monotonic()
        self._sigterm_handler = signal.getsignal(signal.SIGTERM)
        self._state_before_last_step: dict[str, Any] | None = None
        """State before the last step of the current interval, on the CPU; None outside that step and its validation."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore what the trainer has created by now: optimizer, schedule, scaler and random number generators."""
        if threading.current_thread() is threading.main_thread() and self._sigterm_handler is not None:
            # Lightning's own handler would end the fit without a checkpoint.
            signal.signal(signal.SIGTERM, self._sigterm_handler)
            trainer._signal_connector.received_sigterm = False
        state, self._resume_point.state = self._resume_point.state, None  # not needed again: frees its memory
        if state is None:
            return
        module = _as_multi_task_module(pl_module)
        trainer.optimizers[0].load_state_dict(state["optimiser"])
        trainer.lr_scheduler_configs[0].scheduler.load_state_dict(state["schedule"])
        if module.uncertainty is not None:
            module.uncertainty.load_state_dict(state["uncertainty"])
        if state["scaler"]:
            trainer.precision_plugin.load_state_dict(state["scaler"])
        module.interval_losses = [loss.to(module.device) for loss in state["part_losses"]]
        # Loggers take their step from this counter.
        trainer.fit_loop.epoch_loop._batches_that_stepped = self._position.steps_done
        torch.set_rng_state(state["rng"])
        if module.device.type == "cuda" and state["rng_cuda"] is not None:
            torch.cuda.set_rng_state(state["rng_cuda"], module.device)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep the state before the last step of an interval; on the CPU, because the step needs the GPU's memory.

        Args:
            trainer: Trainer of the run.
            pl_module: Module of the run.
            batch: Not used.
            batch_idx: Not used.
        """
        if self._position.batches_done + 1 == self._resume_point.lengths[self._position.intervals_done]:
            self._state_before_last_step = _copy_to_cpu(self._make_state(trainer, _as_multi_task_module(pl_module)))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the step; write a checkpoint if needed, unless a validation follows.

        Args:
            trainer: Trainer of the run.
            pl_module: Module of the run.
            outputs: Not used.
            batch: Not used.
            batch_idx: Not used: after a resume it does not count the batches of earlier attempts.
        """
        interval, batches_done = self._position.intervals_done, self._position.batches_done + 1
        self._position = Position(interval, batches_done, self._position.steps_done + 1)
        if batches_done < self._resume_point.lengths[interval]:
            self._write_if_needed(trainer, _as_multi_task_module(pl_module))

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Interrupt the validation if the run is asked to stop; it is repeated after the resume.

        Args:
            trainer: Trainer of the run.
            pl_module: Module of the run.
            outputs: Not used.
            batch: Not used.
            batch_idx: Not used.
            dataloader_idx: Not used: there is one data loader.

        Raises:
            RunInterrupted: The run is asked to stop.
        """
        if stopping.is_stop_requested() and self._state_before_last_step is not None:
            position = replace(
                self._position,
                batches_done=self._position.batches_done - 1,
                steps_done=self._position.steps_done - 1,
            )
            self._write(position, self._state_before_last_step, stop=True)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count the interval; write a checkpoint if needed."""
        self._position = Position(self._position.intervals_done + 1, 0, self._position.steps_done)
        self._state_before_last_step = None
        self._write_if_needed(trainer, _as_multi_task_module(pl_module))

    def _write_if_needed(self, trainer: pl.Trainer, module: MultiTaskModule) -> None:
        """Write a checkpoint if it is due, or if the run is asked to stop.

        Raises:
            RunError: A training loss is not finite; such weights are not stored.
            RunInterrupted: The run is asked to stop.
        """
        stop = stopping.is_stop_requested()
        if not stop and time.monotonic() - self._last_written < self._checkpoint_seconds:
            return
        module.check_losses()
        self._write(self._position, self._make_state(trainer, module), stop=stop)

    def _write(self, position: Position, state: dict[str, Any], stop: bool) -> None:
        """Write a checkpoint. If this fails the run continues, because it can do without one.

        Args:
            position: Position in the run.
            state: State at this position.
            stop: End the run afterwards.

        Raises:
            RunInterrupted: `stop` is true.
        """
        step_text = f"step {position.steps_done} of {self._resume_point.steps}"
        message = f"stopped at {step_text}"
        try:
            self._file.write(position, state)
        except OSError as error:
            print(f"no checkpoint at {step_text}: {error}", flush=True)
            message += f", without a checkpoint: {error.strerror or error}"
        self._last_written = time.monotonic()
        if stop:
            raise RunInterrupted(message)

    def _make_state(self, trainer: pl.Trainer, module: MultiTaskModule) -> dict[str, Any]:
        """Return the state of the run; its keys must stay, for checkpoints that exist already."""
        if self._position.batches_done:  # after a validation, the clock has just been read
            self._clock.count_training(module.device)
        fit_seconds = self._watch.timings.get("fit", 0.0) + time.monotonic() - self._start_time
        on_gpu = module.device.type == "cuda"
        return {
            "network": dict(module.network.state_dict()),
            "uncertainty": {} if module.uncertainty is None else dict(module.uncertainty.state_dict()),
            "optimiser": trainer.optimizers[0].state_dict(),
            "schedule": trainer.lr_scheduler_configs[0].scheduler.state_dict(),
            "scaler": trainer.precision_plugin.state_dict(),
            "part_losses": module.interval_losses,
            "rng": torch.get_rng_state(),
            "rng_cuda": torch.cuda.get_rng_state(module.device) if on_gpu else None,
            "curve": self._curve.make_state(),
            "timings": {**self._watch.timings, "fit": fit_seconds},
            "seconds": self._watch.seconds,
        }


def _copy_to_cpu(value: Any) -> Any:
    """Return a copy of a state on the CPU, which further training does not change."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {name: _copy_to_cpu(item) for name, item in value.items()}
    return type(value)(_copy_to_cpu(item) for item in value) if isinstance(value, list | tuple) else value


def _as_multi_task_module(module: pl.LightningModule) -> MultiTaskModule:
    if not isinstance(module, MultiTaskModule):
        raise TypeError(f"checkpoints are of a MultiTaskModule, not of a {type(module).__name__}")
    return module
