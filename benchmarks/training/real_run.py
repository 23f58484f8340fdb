"""A run as a sweep executes it, on phantoms, with an ear at its training steps."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytorch_lightning as pl
import torch

from benchmarks.training.training_step import TASKS, study_of
from usaggr.data.batches.cache import build_or_open
from usaggr.data.batches.run_data import run_data
from usaggr.results.spec import Placement
from usaggr.sweep.planning.study_plan import make_plan
from usaggr.training import run as training_run
from usaggr.training.trainer import make_trainer

WARM_UP = 5
"""Steps that are not counted."""


def execute(
    overrides: Sequence[str],
    batch_size: int,
    image_size: int,
    steps: int,
    device: str,
    callback: pl.Callback,
    cache: Path | None = None,
) -> None:
    """Execute a run of training_step.TASKS with at least so many training steps; `callback` hears of them.

    `cache`: where phantoms and their cache are kept; None: nowhere.
    """
    examples = -(-steps * batch_size // len(TASKS))
    with tempfile.TemporaryDirectory() as folder:
        here = [f"data.cache_dir={cache or folder}", f"outputs={folder}", "data.synthetic.samples_per_task=20"]
        one = ["groupings=[unified]", "reference=unified", "scales=[1.0]", "seeds=[0]", "training.validations=1"]
        budget = [f"training.budget={examples} examples", "training.min_examples=1"]
        accelerator = f"training.accelerator={'gpu' if device == 'cuda' else 'cpu'}"
        plan = make_plan(study_of([*overrides, *here, *one, *budget, accelerator], batch_size, image_size))
        planned = plan.runs[0]
        data = run_data(plan.manifest, planned.spec, build_or_open(plan.manifest.dataset, planned.study.data))
        placement = Placement(torch.get_num_threads(), 0 if device == "cuda" else None)

        def heard(*arguments: Any, **named: Any) -> pl.Trainer:
            trainer = make_trainer(*arguments, **named)
            trainer.callbacks.append(callback)  # type: ignore[attr-defined]
            return trainer

        planned.directory.mkdir(parents=True)
        try:
            with mock.patch.object(training_run, "make_trainer", heard):
                training_run.execute_run(planned.spec, planned.directory, planned.study, placement, data)
        finally:
            torch.use_deterministic_algorithms(False)  # the trainer asks for them, and for good


class StepClock(pl.Callback):
    """Writes down when each training step has ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *arguments: Any) -> None:
        self.ends.append(now())

    def intervals(self) -> list[float]:
        """Seconds from each step's end to the next one's, after the warm-up."""
        return [after - before for before, after in zip(self.ends, self.ends[1:], strict=False)][WARM_UP:]


class Turns(pl.Callback):
    """Times a run's steps in blocks, and gives others their turn after each block, while the run waits."""

    def __init__(self, rounds: int, steps: int, others: Sequence[Callable[[], None]] = ()) -> None:
        self.steps = steps
        """Of a block."""
        self.seconds: list[float] = []
        """Of a step, by block."""
        self._rounds = rounds
        self._others = others
        self._ended = 0
        self._began = 0.0

    @property
    def needed(self) -> int:
        """Steps that the run must have."""
        return WARM_UP + self._rounds * (self.steps + 1)

    def on_train_batch_end(self, *arguments: Any) -> None:
        self._ended += 1
        # The first step after the others' turn is not counted: what was made ready for it meanwhile would be for free.
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
                for other in self._others:
                    other()
        finally:
            torch.use_deterministic_algorithms(True, warn_only=True)


def now() -> float:
    """Seconds, once all that a GPU was asked for is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
