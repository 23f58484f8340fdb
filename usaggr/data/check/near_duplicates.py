"""Near-duplicates over folds: images that look the same, one of them trained on and the other one tested on.

Same bytes are in one component, and so in one fold; the same picture stored anew, resized or shifted is not, unless a
subject_id says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usaggr.data.check.perceptual_hash import BITS, hash_signs
from usaggr.data.read.thread_pool import pieces
from usaggr.data.samples import Sample
from usaggr.progress import Progress
from usaggr.results.split import Subset

THRESHOLD = 20
"""Bits of 143 in which two images may differ. On real ultrasound (15 tasks, 2,012 images) 0.0004 % of the pairs of
different subjects are as near, and look the same to a reader; of pictures stored again, with other contrast, resized
or shifted by 2 %, 98 % are found, of those shifted by 4 % three in four (tests/data/check/test_near_duplicates.py)."""

CHUNK = 2048
"""Images compared at a time with all others."""


@dataclass(frozen=True)
class Appearance:
    """A distinct image, by content, with one of the samples that show it."""

    sample: Sample
    fold: Subset
    tasks: tuple[str, ...]
    """That it serves."""


@dataclass(frozen=True)
class NearPair:
    """Two images of two folds that look the same."""

    distance: int
    """Bits that differ, of 143."""
    first: Appearance
    second: Appearance


def appearances(samples: Sequence[Sample], folds: Sequence[Subset | None]) -> list[Appearance]:
    """One entry a distinct image that is in a fold, in the samples' order."""
    first: dict[str, tuple[Sample, Subset]] = {}
    tasks: dict[str, dict[str, None]] = {}
    for sample, fold in zip(samples, folds, strict=True):
        if fold is not None:
            first.setdefault(sample.image_hash, (sample, fold))
            tasks.setdefault(sample.image_hash, {})[sample.task_id] = None
    return [Appearance(sample, fold, tuple(tasks[key])) for key, (sample, fold) in first.items()]


def near_duplicates(
    shown: Sequence[Appearance], hashes: Mapping[str, bytes], progress: Progress, threshold: int = THRESHOLD
) -> list[NearPair]:
    """Pairs of different folds whose hashes differ in `threshold` bits at the most, the nearest first.

    `hashes` is by image hash. All pairs are compared, as products of matrices: 40,000 images take some seconds a core.
    """
    groups: dict[Subset, list[Appearance]] = {}
    for entry in shown:
        groups.setdefault(entry.fold, []).append(entry)
    signs = {
        fold: hash_signs([hashes[entry.sample.image_hash] for entry in entries]) for fold, entries in groups.items()
    }
    couples = [(a, b) for i, a in enumerate(groups) for b in list(groups)[i + 1 :]]
    progress.start("comparing folds", sum(len(groups[a]) for a, _ in couples))
    found: list[NearPair] = []
    try:
        for a, b in couples:
            for start, piece in zip(range(0, len(groups[a]), CHUNK), pieces(groups[a], CHUNK), strict=True):
                distances = _distances(signs[a][start : start + CHUNK], signs[b])
                for i, j in np.argwhere(distances <= threshold):
                    found.append(NearPair(int(distances[i, j]), groups[a][start + i], groups[b][j]))
                progress.advance(len(piece))
    finally:
        progress.finish()
    return sorted(found, key=lambda p: (p.distance, p.first.sample.sample_id, p.second.sample.sample_id))


def _distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Bits in which hashes differ, the smaller number of both kinds: (N, 2, BITS), (M, 2, BITS) to (N, M)."""
    agreement = np.maximum(a[:, 0] @ b[:, 0].T, a[:, 1] @ b[:, 1].T)
    distances: NDArray[np.uint8] = ((BITS - agreement) / 2).astype(np.uint8)
    return distances
