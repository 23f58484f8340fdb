"""A run on phantoms as a sweep executes it, with callbacks that time its training steps."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytorch_lightning as pl
import torch

from benchmarks.training.training_step import TASKS, make_study
from usaggr.data.batches.cache import build_or_open
from usaggr.data.batches.run_data import select_run_data
from usaggr.results.spec import Placement
from usaggr.sweep.planning.study_plan import make_plan
from usaggr.training import run as training_run
from usaggr.training.trainer import make_trainer

WARM_UP = 5
"""Steps at the start of a run that are not timed."""


def execute(
    overrides: Sequence[str],
    batch_size: int,
    image_size: int,
    steps: int,
    device: str,
    callback: pl.Callback,
    cache: Path | None = None,
) -> None:
    """Execute a run of training_step.TASKS with a callback.

    Args:
        overrides: Overrides of the configuration.
        batch_size: Images per batch.
        image_size: Height and width of the images, in pixels.
        steps: Smallest number of training steps.
        device: cpu or cuda.
        callback: Callback that the trainer gets.
        cache: Folder that keeps phantoms and their cache between calls; None: a temporary folder.
    """
    examples = -(-steps * batch_size // len(TASKS))
    with tempfile.TemporaryDirectory() as folder:
        folders = [f"data.cache_dir={cache or folder}", f"outputs={folder}", "data.synthetic.samples_per_task=20"]
        single_run = ["groupings=[unified]", "reference=unified", "scales=[1.0]", "seeds=[0]", "training.validations=1"]
        budget = [f"training.budget={examples} examples", "training.min_examples=1"]
        accelerator = f"training.accelerator={'gpu' if device == 'cuda' else 'cpu'}"
        plan = make_plan(make_study([*overrides, *folders, *single_run, *budget, accelerator], batch_size, image_size))
        planned = plan.runs[0]
        data = select_run_data(plan.manifest, planned.spec, build_or_open(plan.manifest.dataset, planned.study.data))
        placement = Placement(torch.get_num_threads(), 0 if device == "cuda" else None)

        def with_callback(*arguments: Any, **named: Any) -> pl.Trainer:
            trainer = make_trainer(*arguments, **named)
            trainer.callbacks.append(callback)  # type: ignore[attr-defined]
            return trainer

        planned.directory.mkdir(parents=True)
        try:
            with mock.patch.object(training_run, "make_trainer", with_callback):
                training_run.execute_run(planned.spec, planned.directory, planned.study, placement, data)
        finally:
            torch.use_deterministic_algorithms(False)  # the trainer turns them on for the process


class StepClock(pl.Callback):
    """Times at which training steps end."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *arguments: Any) -> None:
        """Record the end of a step."""
        self.ends.append(now())

    def intervals(self) -> list[float]:
        """Return the seconds from each step's end to the next one's, after the warm-up."""
        return [after - before for before, after in zip(self.ends, self.ends[1:], strict=False)][WARM_UP:]


class Turns(pl.Callback):
    """Timer of a run's steps in blocks, which calls other functions after each block while the run waits."""

    def __init__(self, rounds: int, steps: int, callbacks: Sequence[Callable[[], None]] = ()) -> None:
        self.steps = steps
        """Steps in a block."""
        self.seconds: list[float] = []
        """Mean seconds of a step, one entry per block."""
        self._rounds = rounds
        self._callbacks = callbacks
        self._ended = 0
        self._began = 0.0

    @property
    def needed(self) -> int:
        """Number of steps that the run must have."""
        return WARM_UP + self._rounds * (self.steps + 1)

    def on_train_batch_end(self, *arguments: Any) -> None:
        """Record the time of a block at its end, and then call the other functions."""
        self._ended += 1
        # The first step after a break is not timed: its batch was prepared during the break, so it would seem faster.
        place = (self._ended - WARM_UP) % (self.steps + 1)
        if self._ended < WARM_UP or len(self.seconds) == self._rounds:
            return
        if place == 0:
            self._began = now()
        elif place == self.steps:
            self.seconds.append((now() - self._began) / self.steps)
            self._give_way()

    def _give_way(self) -> None:
        torch.use_deterministic_algorithms(False)
        try:
            with torch.inference_mode(False), torch.enable_grad():
                for callback in self._callbacks:
                    callback()
        finally:
            torch.use_deterministic_algorithms(True, warn_only=True)


def now() -> float:
    """Return the current time in seconds, after all queued work of a GPU has finished."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
