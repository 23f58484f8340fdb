"""Measure what scores cost: alone, against the straightforward computation, and within runs; for docs/performance.md.

    python -m benchmarks.evaluation.evaluation [--repetitions 5] [--data-root FOLDER] [--page docs/performance.md]

Real data is read from --data-root, by default from USAGGR_TEST_DATA. Without either, the page has no rows for it.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.evaluation.evaluation_cases import (
    Case,
    draw_ellipses,
    make_case,
    make_logits,
    perturb_ellipses,
    rasterize,
)
from benchmarks.evaluation.evaluation_runs import Share, make_real_overrides, measure_shares
from benchmarks.generated import machine, prose, table, three_digits, write_part
from usaggr.config.compose import compose_study
from usaggr.metrics.segmentation import compute_distances
from usaggr.tasks import CATALOGUE
from usaggr.training.decode_outputs import compute_label_map, decode_outputs
from usaggr.training.scoring import SubsetScorer

SIZES = (256, 512, 1024)
"""Height and width of original images, in pixels."""
MASKS = ("breast_lesion", "fetal_abdomen_multi")
"""Segmentation tasks with 2 and 5 classes."""
OTHER_TASKS = ("fetal_plane_cls", "thyroid_nodule_det", "FUGC")
SAMPLES = 24
TOLERANCE = 0.005
"""Tolerance of NSD, as a fraction of the image's diagonal."""


@dataclass(frozen=True)
class Speed:
    """Rate at which a task's test samples are scored, starting from the network's outputs."""

    task_id: str
    size: int
    rate: float
    """Samples per second."""


@dataclass(frozen=True)
class Compared:
    """Times of the straightforward computation and of the computation in use, on the same inputs."""

    what: str
    task_id: str
    size: int
    pairs: tuple[tuple[float, float], ...]
    """Seconds of the straightforward computation and of the one in use, measured in turn."""
    difference: float
    """Largest absolute difference between the results."""

    @property
    def gain(self) -> float:
        """Median ratio of the times."""
        return statistics.median(plain / fast for plain, fast in self.pairs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the section of the page."""
    parser = argparse.ArgumentParser(description="Measure what scores cost.")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--data-root", type=Path, default=os.environ.get("USAGGR_TEST_DATA"))
    parser.add_argument("--page", type=Path, default=Path("docs/performance.md"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    speeds = [measure_speed(name, size, SAMPLES, options.repetitions) for name in MASKS for size in SIZES]
    speeds += [measure_speed(name, SIZES[0], SAMPLES, options.repetitions) for name in OTHER_TASKS]
    compared = [compare(name, size, options.repetitions) for name in MASKS for size in SIZES]
    in_runs = measure_shares("demo", ("breast_lesion", "unified"), ())
    if options.find_data_root is not None:
        in_runs += measure_shares(
            "real data", ("cardiac_multi", "unified"), make_real_overrides(options.find_data_root)
        )
    text = report(speeds, [row for comparison in compared for row in comparison], in_runs, machine(1))
    write_part(options.page, "evaluation", text)
    print(text)
    return 0


def measure_speed(task_id: str, size: int, samples: int, repetitions: int) -> Speed:
    """Time the scores of a test set, including distances of masks, after its masks have been read once."""
    with tempfile.TemporaryDirectory() as folder:
        case = make_case(Path(folder), CATALOGUE[task_id], samples, size)
        data = compose_study("demo", []).data
        score_outputs(case, data)
        return Speed(
            task_id, size, samples / statistics.median(time_call(score_outputs, case, data) for _ in range(repetitions))
        )


def score_outputs(case: Case, data: object) -> SubsetScorer:
    """Compute predictions, scores and encoded masks from the outputs, as a run does."""
    scorer = SubsetScorer({case.task.id: case.task}, data, TOLERANCE)  # type: ignore[arg-type]
    scorer.add(decode_outputs(case.task, case.outputs, case.samples), case.samples)
    scorer.compute_scores()
    return scorer


def compare(task_id: str, size: int, pairs: int) -> tuple[Compared, Compared]:
    """Time labels and distances of one image, by the straightforward computation and by the one in use."""
    rng, classes = np.random.default_rng(1), CATALOGUE[task_id].num_classes
    ellipses = draw_ellipses(rng, classes)
    small = torch.from_numpy(make_logits(perturb_ellipses(rng, ellipses), classes))
    large = torch.nn.functional.interpolate(small[None], size=(size, size), mode="bilinear")[0]
    truth, predicted = rasterize(ellipses, size), compute_label_map(large.numpy())
    masks = [(truth == label, predicted == label) for label in range(1, classes)]
    tolerance = TOLERANCE * float(np.hypot(size, size))

    def by(score: Callable[[NDArray[np.bool_], NDArray[np.bool_], float], tuple[float, float, float]]) -> object:
        return np.array([score(*pair, tolerance) for pair in masks])

    return (
        _compared(
            "labels",
            task_id,
            size,
            pairs,
            lambda: large.argmax(dim=0).numpy(),
            lambda: compute_label_map(large.numpy()),
        ),
        _compared(
            "distances", task_id, size, pairs, lambda: by(compute_distances_plainly), lambda: by(compute_distances)
        ),
    )


def compute_distances_plainly(
    truth: NDArray[np.bool_], predicted: NDArray[np.bool_], tolerance: float
) -> tuple[float, float, float]:
    """Return HD, HD95 and NSD of two non-empty regions, each score from separate transforms of the complete image."""
    edt = ndimage.distance_transform_edt
    hd = max(edt(~predicted)[truth].max(), edt(~truth)[predicted].max())

    def between_edges() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        edge_t, edge_p = (mask & ~ndimage.binary_erosion(mask) for mask in (truth, predicted))
        return edt(~edge_p)[edge_t], edt(~edge_t)[edge_p]

    hd95 = max(np.percentile(gap, 95) for gap in between_edges())
    return float(hd), float(hd95), float((np.concatenate(between_edges()) <= tolerance).mean())


def time_call(work: Callable[..., object], *arguments: object) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def _compared(
    what: str, task_id: str, size: int, pairs: int, plain: Callable[[], object], fast: Callable[[], object]
) -> Compared:
    difference = np.abs(np.asarray(plain(), dtype=float) - np.asarray(fast(), dtype=float)).max()
    times = tuple((time_call(plain), time_call(fast)) for _ in range(pairs))
    return Compared(what, task_id, size, times, float(difference))


def report(speeds: Sequence[Speed], compared: Sequence[Compared], in_runs: Sequence[Share], where: str) -> str:
    """Return the section of the page."""
    speed_rows = []
    for speed in speeds:
        task = CATALOGUE[speed.task_id]
        size = f"{speed.size}" if task.type == "segmentation" else "any"
        kind = f"{task.type}, {task.num_classes} {'points' if task.type == 'regression' else 'classes'}"
        speed_rows.append([task.type if task.type == "detection" else kind, size, three_digits(speed.rate)])
    gains = {what: [pair.gain for pair in compared if pair.what == what] for what in ("distances", "labels")}
    words = [f"{what} {min(values):.0f} to {max(values):.0f} times" for what, values in gains.items() if values]
    difference = max(pair.difference for pair in compared)
    run_rows = [
        [f"{share.study}, `{share.block}`", three_digits(share.seconds)]
        + [f"{100 * s / share.seconds:.1f} %" for s in (share.distances, share.test, share.validation, share.trivial)]
        for share in in_runs
    ]
    run_columns = ("run", "seconds", "distances", "test", "validation", "trivial predictor")
    return "\n\n".join(
        [
            prose(_SPEED.format(samples=SAMPLES, where=where)),
            table(("task", "side, px", "samples/s"), speed_rows),
            prose(_PAIRS.format(gains=" and ".join(words), difference=f"{difference:.0e}")),
            prose(_RUNS),
            table(run_columns, run_rows),
        ]
    )


_SPEED = """
Test samples scored per second, from the network's outputs ({samples} samples, masks of 128 px) to all scores at
original resolution and encoded masks. Medians. {where}.
"""
_PAIRS = """
Compared in pairs with the straightforward computation (`argmax` over enlarged logits; SciPy's distance transforms of
complete images, for each score and class): {gains} as fast. The largest difference between the values is {difference}.
"""
_RUNS = """
Shares of the time of complete runs; the trivial predictor is fitted, and scored on validation and test set.
"""


if __name__ == "__main__":
    sys.exit(main())
