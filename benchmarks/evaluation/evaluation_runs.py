"""Share of a complete run's time that its scores take."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from usaggr.config.compose import compose_study
from usaggr.data.batches.cache import build_or_open
from usaggr.data.batches.run_data import select_run_data
from usaggr.metrics import segmentation
from usaggr.results.run_directory import RunDirectory
from usaggr.results.spec import Placement
from usaggr.sweep.planning.study_plan import make_plan
from usaggr.training.run import execute_run


@dataclass(frozen=True)
class Share:
    """Seconds of a run and of its steps."""

    study: str
    block: str
    seconds: float
    distances: float
    """Seconds of all calls for HD, HD95 and NSD."""
    test: float
    validation: float
    trivial: float


def make_real_overrides(root: Path) -> tuple[str, ...]:
    """Return the overrides of the demo on real data."""
    return ("data=fmuia", f"data.root={root}", "data.image_size=96")


def measure_shares(study_name: str, blocks: Sequence[str], overrides: Sequence[str]) -> list[Share]:
    """Train a run of each block at the largest scale of the demo, and return the shares of its time."""
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        study = compose_study("demo", ["seeds=[0]", f"outputs={folder}", "training.accelerator=cpu", *overrides])
        plan = make_plan(study)
        cache = build_or_open(plan.manifest.dataset, study.data)
        for block in blocks:
            spec = max((r.spec for r in plan.runs if r.spec.block == block), key=lambda spec: spec.scale)
            directory = Path(folder) / "run" / block
            directory.mkdir(parents=True)
            with _record_distances() as spent:
                execute_run(spec, directory, study, Placement(threads=1), select_run_data(plan.manifest, spec, cache))
            result = RunDirectory(directory).read_result()
            timings = {step: result.timings[step] for step in ("test", "validation", "trivial")}
            measured.append(Share(study_name, block, result.cost.seconds, sum(spent), **timings))
    return measured


@contextmanager
def _record_distances() -> Iterator[list[float]]:
    """Record the seconds of each call for the distances of a class while the context lasts."""
    spent: list[float] = []
    true = segmentation.compute_distances

    def counted(truth: segmentation.Mask, predicted: segmentation.Mask, tolerance: float) -> tuple[float, float, float]:
        start = time.perf_counter()
        try:
            return true(truth, predicted, tolerance)
        finally:
            spent.append(time.perf_counter() - start)

    segmentation.compute_distances = counted
    try:
        yield spent
    finally:
        segmentation.compute_distances = true
