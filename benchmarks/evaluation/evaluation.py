"""What scores cost: alone, against the straightforward computation, and within runs; for docs/performance.md.

    python -m benchmarks.evaluation.evaluation [--repetitions 5] [--data-root FOLDER] [--page docs/performance.md]

Real data is read from --data-root, or where USAGGR_TEST_DATA is; without either the page has no rows of it.
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

from benchmarks.evaluation.evaluation_cases import Case, draw, drawing, logits, make_case, moved
from benchmarks.evaluation.evaluation_runs import Share, real_overrides, shares
from benchmarks.generated import machine, prose, table, three_digits, write_part
from usaggr.config.compose import compose_study
from usaggr.metrics.segmentation import distances
from usaggr.tasks import CATALOGUE
from usaggr.training.decode_outputs import compute_label_map, decode_outputs
from usaggr.training.scoring import SubsetScorer

SIZES = (256, 512, 1024)
"""Pixels a side of original images."""
MASKS = ("breast_lesion", "fetal_abdomen_multi")
"""With 2 and 5 classes."""
OTHERS = ("fetal_plane_cls", "thyroid_nodule_det", "FUGC")
SAMPLES = 24
TOLERANCE = 0.005
"""Of NSD, of the diagonal."""


@dataclass(frozen=True)
class Speed:
    """How fast a task's test samples are scored, from the network's outputs on."""

    task_id: str
    size: int
    rate: float
    """Samples a second."""


@dataclass(frozen=True)
class Compared:
    """The straightforward computation and the one that is used, of the same."""

    what: str
    task_id: str
    size: int
    pairs: tuple[tuple[float, float], ...]
    """Seconds of either, taken in turn."""
    difference: float
    """The largest between their values."""

    @property
    def gain(self) -> float:
        """Median ratio of the times."""
        return statistics.median(plain / fast for plain, fast in self.pairs)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What scores cost.")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--data-root", type=Path, default=os.environ.get("USAGGR_TEST_DATA"))
    parser.add_argument("--page", type=Path, default=Path("docs/performance.md"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    speeds = [measure_speed(name, size, SAMPLES, options.repetitions) for name in MASKS for size in SIZES]
    speeds += [measure_speed(name, SIZES[0], SAMPLES, options.repetitions) for name in OTHERS]
    compared = [compare(name, size, options.repetitions) for name in MASKS for size in SIZES]
    in_runs = shares("demo", ("breast_lesion", "unified"), ())
    if options.data_root is not None:
        in_runs += shares("real data", ("cardiac_multi", "unified"), real_overrides(options.data_root))
    text = report(speeds, [row for rows in compared for row in rows], in_runs, machine(1))
    write_part(options.page, "evaluation", text)
    print(text)
    return 0


def measure_speed(task_id: str, size: int, samples: int, repetitions: int) -> Speed:
    """Time a fold's scores, masks' distances among them, once its masks have been read."""
    with tempfile.TemporaryDirectory() as folder:
        case = make_case(Path(folder), CATALOGUE[task_id], samples, size)
        data = compose_study("demo", []).data
        scored(case, data)
        return Speed(task_id, size, samples / statistics.median(timed(scored, case, data) for _ in range(repetitions)))


def scored(case: Case, data: object) -> SubsetScorer:
    """All that a run does with the outputs: predictions, scores, encoded masks."""
    scorer = SubsetScorer({case.task.id: case.task}, data, TOLERANCE)  # type: ignore[arg-type]
    scorer.add(decode_outputs(case.task, case.outputs, case.samples), case.samples)
    scorer.scores()
    return scorer


def compare(task_id: str, size: int, pairs: int) -> tuple[Compared, Compared]:
    """Labels and distances of one image, by the straightforward computation and by the one that is used."""
    rng, classes = np.random.default_rng(1), CATALOGUE[task_id].num_classes
    ellipses = drawing(rng, classes)
    small = torch.from_numpy(logits(moved(rng, ellipses), classes))
    large = torch.nn.functional.interpolate(small[None], size=(size, size), mode="bilinear")[0]
    truth, predicted = draw(ellipses, size), compute_label_map(large.numpy())
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
        _compared("distances", task_id, size, pairs, lambda: by(straightforward), lambda: by(distances)),
    )


def straightforward(
    truth: NDArray[np.bool_], predicted: NDArray[np.bool_], tolerance: float
) -> tuple[float, float, float]:
    """HD, HD95 and NSD of two regions that are not empty, each from its own transforms of whole images."""
    edt = ndimage.distance_transform_edt
    hd = max(edt(~predicted)[truth].max(), edt(~truth)[predicted].max())

    def between_edges() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        edge_t, edge_p = (mask & ~ndimage.binary_erosion(mask) for mask in (truth, predicted))
        return edt(~edge_p)[edge_t], edt(~edge_t)[edge_p]

    hd95 = max(np.percentile(found, 95) for found in between_edges())
    return float(hd), float(hd95), float((np.concatenate(between_edges()) <= tolerance).mean())


def timed(work: Callable[..., object], *arguments: object) -> float:
    """Seconds of a call."""
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def _compared(
    what: str, task_id: str, size: int, pairs: int, plain: Callable[[], object], fast: Callable[[], object]
) -> Compared:
    difference = np.abs(np.asarray(plain(), dtype=float) - np.asarray(fast(), dtype=float)).max()
    times = tuple((timed(plain), timed(fast)) for _ in range(pairs))
    return Compared(what, task_id, size, times, float(difference))


def report(speeds: Sequence[Speed], compared: Sequence[Compared], in_runs: Sequence[Share], where: str) -> str:
    """The part of the page."""
    speed_rows = []
    for of in speeds:
        task = CATALOGUE[of.task_id]
        size = f"{of.size}" if task.type == "segmentation" else "any"
        kind = f"{task.type}, {task.num_classes} {'points' if task.type == 'regression' else 'classes'}"
        speed_rows.append([task.type if task.type == "detection" else kind, size, three_digits(of.rate)])
    pair_rows = []
    for pair in compared:
        plain, fast = (1e3 * statistics.median(times) for times in zip(*pair.pairs, strict=True))
        cells = [f"{CATALOGUE[pair.task_id].num_classes}", f"{pair.size}", three_digits(plain), three_digits(fast)]
        pair_rows.append([pair.what, *cells, three_digits(pair.gain), f"{pair.difference:.0e}"])
    pair_rows.sort(key=lambda row: row[0])
    run_rows = [
        [f"{of.study}, `{of.block}`", three_digits(of.seconds)]
        + [f"{100 * part / of.seconds:.1f} %" for part in (of.distances, of.test, of.validation, of.trivial)]
        for of in in_runs
    ]
    pair_columns = ("of an image", "classes", "side, px", "straightforward, ms", "here, ms", "gain", "difference")
    run_columns = ("run", "seconds", "distances", "test", "validation", "trivial predictor")
    return "\n\n".join(
        [
            prose(_SPEED.format(samples=SAMPLES, where=where)),
            table(("task", "side, px", "samples/s"), speed_rows),
            prose(_PAIRS),
            table(pair_columns, pair_rows),
            prose(_RUNS),
            table(run_columns, run_rows),
        ]
    )


_SPEED = """
Test samples scored a second, from the network's outputs ({samples} samples, masks of 128 px) to the fold's scores:
predictions at original resolution, DSC, HD, HD95 and NSD, or the scores of the other types, and the masks encoded for
`predictions.parquet`. Medians. {where}.
"""
_PAIRS = """
Against the straightforward computation, in pairs: labels by `argmax` over the enlarged logits; for HD, HD95 and NSD
SciPy's distance transforms of whole images, taken for each score and class. *Difference*: the largest between values.
"""
_RUNS = """
Shares of whole runs' time: the distances (HD, HD95, NSD; in the test and for the trivial predictor), all of the test,
all validations, and the trivial predictor, which is fitted and scored on both folds.
"""


if __name__ == "__main__":
    sys.exit(main())
