"""How much of a device a whole run uses: training as `usaggr sweep` does it, against a plain loop over tensors.

Made for a GPU; the same code runs on a CPU, where tests run it.
"""

import gc
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from benchmarks.generated import prose, table, three_digits
from benchmarks.training_step import TASKS, TrainingStep, study_of
from usaggr.data.cache import build_or_open
from usaggr.data.run_data import run_data
from usaggr.models.build import build_network
from usaggr.runs import Placement
from usaggr.sweep.plan import make_plan
from usaggr.training.curve import Curve
from usaggr.training.run import make_module, make_trainer, training_parts, trivial_scores

GPU_NETWORKS = (
    ("model=m2dino", "model.conditioning=none"),
    ("model=m2dino",),
    ("model=m2dino", "model.experts.top_k=4"),
)
GPU_BATCH, GPU_SIZE, GPU_STEPS = 64, 256, 40
WARM_UP = 5
"""Steps that are not counted."""
HALF = "training.precision=bf16-mixed"


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


def measure(overrides: tuple[str, ...], batch_size: int, image_size: int, steps: int, device: str) -> Throughput:
    """Time a network three ways, so many steps each after the warm-up."""
    step = TrainingStep([*overrides, HALF], batch_size, image_size, device)
    for _ in range(WARM_UP):
        step()
    times = [step() for _ in range(steps)]
    plain = batch_size / statistics.median(t.gradient for t in times)
    whole = batch_size / statistics.median(t.total for t in times)
    del step
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    run = batch_size / statistics.median(run_intervals(overrides, batch_size, image_size, steps, device))
    peak = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else None
    return Throughput(overrides, plain, whole, run, peak)


def run_intervals(overrides: tuple[str, ...], batch_size: int, image_size: int, steps: int, device: str) -> list[float]:
    """Seconds from one training step's end to the next one's, of a run on phantoms, after the warm-up."""
    examples = -(-(steps + WARM_UP + 1) * batch_size // len(TASKS))
    with tempfile.TemporaryDirectory() as folder:
        here = [f"data.cache_dir={folder}", f"outputs={folder}", "data.synthetic.samples_per_task=20"]
        one = ["groupings=[unified]", "reference=unified", "scales=[1.0]", "seeds=[0]", "training.validations=1"]
        budget = [f"training.budget={examples} examples", "training.min_examples=1"]
        accelerator = f"training.accelerator={'gpu' if device == 'cuda' else 'cpu'}"
        study = study_of([*overrides, *here, *one, *budget, HALF, accelerator], batch_size, image_size)
        plan = make_plan(study)
        spec = plan.runs[0].spec
        data = run_data(plan.manifest, spec, build_or_open(plan.manifest.dataset, study.data))
        parts, _ = training_parts(spec, study, data)
        network = build_network(study.model, list(data.tasks.values()), spec.seed)
        curve = Curve(data.tasks, trivial_scores(study, data)[1], sum(map(len, parts)), keep_best=False)
        placement = Placement(torch.get_num_threads(), 0 if device == "cuda" else None)
        trainer = make_trainer(study, placement, Path(folder), len(parts))
        clock = _Clock()
        trainer.callbacks.append(clock)  # type: ignore[attr-defined]
        try:
            trainer.fit(make_module(network, study, data, parts, curve))
        finally:
            torch.use_deterministic_algorithms(False)  # the trainer asks for them, and for good
    return clock.intervals()[WARM_UP:]


def throughput_report(found: Sequence[Throughput], device: str) -> str:
    """The part of the page."""
    rows = []
    for of in found:
        speeds = [three_digits(rate) for rate in (of.plain, of.step, of.run)]
        memory = f"{of.peak_mib / 1024:.1f} GiB" if of.peak_mib is not None else ""
        rows.append([f"`{' '.join(of.overrides)}`", *speeds, f"{100 * of.run / of.plain:.0f} %", memory])
    columns = ("network", "plain loop", "with update", "a run", "share of the plain loop", "peak memory of a run")
    versions = f"torch {torch.__version__}, CUDA {torch.version.cuda}"
    opening = _OPENING.format(batch=GPU_BATCH, size=GPU_SIZE, steps=GPU_STEPS, device=device, versions=versions)
    return f"{prose(opening)}\n\n{table(columns, rows)}"


class _Clock(pl.Callback):
    """Writes down when each training step has ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *arguments: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())

    def intervals(self) -> list[float]:
        return [after - before for before, after in zip(self.ends, self.ends[1:], strict=False)]


_OPENING = """
Training examples a second in bf16, {batch} images of {size} px in a batch, medians of {steps} steps. *Plain loop*:
forward, loss and backward over tensors that stay on the GPU. *With update*: clipping and AdamW too. *A run*: as `usaggr
sweep` trains, with batches that are read from the cache and augmented. {device}, {versions}.
"""
