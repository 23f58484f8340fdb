"""Search for near-identical images in different subsets: a model would be tested on images it was trained on.

Images with the same bytes are in one component, and therefore in one subset. A copy that was saved again, resized or
shifted has other bytes, so only a common subject_id keeps it in the same subset.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from usaggr.data.check.perceptual_hash import BITS, unpack_signs
from usaggr.data.read.thread_pool import split_into_pieces
from usaggr.data.samples import Sample
from usaggr.progress import Progress
from usaggr.results.split import Subset

THRESHOLD = 20
"""Largest number of bits, of 143, in which near-identical images differ.

In real ultrasound data (15 tasks, 2,012 images), 0.0004 % of the pairs of different subjects differ in so few bits.
Those pairs look the same to a reader. The threshold finds 98 % of copies that were saved again, resized, shifted by 2 %
or changed in contrast. It finds 75 % of copies shifted by 4 % (tests/data/check/test_near_duplicates.py)."""

CHUNK_SIZE = 2048
"""Number of images that one matrix product compares with all others; it limits the memory of the products."""


@dataclass(frozen=True)
class DistinctImage:
    """One of the images of a data set that differ in their bytes."""

    sample: Sample
    """First of the samples with this image."""
    subset: Subset
    tasks: tuple[str, ...]
    """Tasks that use the image."""


@dataclass(frozen=True)
class NearPair:
    """Two near-identical images in different subsets."""

    distance: int
    """Number of bits that differ, of 143."""
    first: DistinctImage
    second: DistinctImage


def collect_distinct_images(samples: Sequence[Sample], subsets: Sequence[Subset | None]) -> list[DistinctImage]:
    """Return one entry per distinct image that is in a subset, in the order of samples.

    Args:
        samples: Samples of all tasks.
        subsets: Subset of each sample; None for a sample that is in no subset.
    """
    first: dict[str, tuple[Sample, Subset]] = {}
    tasks: dict[str, dict[str, None]] = {}  # the inner dictionary serves as a set that keeps its order
    for sample, subset in zip(samples, subsets, strict=True):
        if subset is not None:
            first.setdefault(sample.image_hash, (sample, subset))
            tasks.setdefault(sample.image_hash, {})[sample.task_id] = None
    return [DistinctImage(sample, subset, tuple(tasks[key])) for key, (sample, subset) in first.items()]


def find_near_duplicates(
    images: Sequence[DistinctImage], hashes: Mapping[str, bytes], progress: Progress, threshold: int = THRESHOLD
) -> list[NearPair]:
    """Return the pairs of near-identical images in different subsets, the most similar first.

    All pairs are compared, as matrix products: 40,000 images take some seconds on one core.

    Args:
        images: Distinct images of all subsets.
        hashes: Perceptual hashes of each image, by the hash of its file.
        progress: Advances by the number of images that were compared.
        threshold: Largest number of bits, of 143, in which a listed pair differs.
    """
    groups: dict[Subset, list[DistinctImage]] = {}
    for entry in images:
        groups.setdefault(entry.subset, []).append(entry)
    signs = {
        subset: unpack_signs([hashes[entry.sample.image_hash] for entry in entries])
        for subset, entries in groups.items()
    }
    subset_pairs = list(combinations(groups, 2))
    progress.start("comparing images of different subsets", sum(len(groups[a]) for a, _ in subset_pairs))
    pairs: list[NearPair] = []
    try:
        for a, b in subset_pairs:
            for start, piece in zip(
                range(0, len(groups[a]), CHUNK_SIZE), split_into_pieces(groups[a], CHUNK_SIZE), strict=True
            ):
                distances = _hash_distances(signs[a][start : start + CHUNK_SIZE], signs[b])
                for i, j in np.argwhere(distances <= threshold):
                    pairs.append(NearPair(int(distances[i, j]), groups[a][start + i], groups[b][j]))
                progress.advance(len(piece))
    finally:
        progress.finish()
    return sorted(pairs, key=lambda p: (p.distance, p.first.sample.sample_id, p.second.sample.sample_id))


def _hash_distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Count the bits in which images differ, in the more similar of their two pairs of hashes.

    Args:
        a: (N, 2, BITS) bits of the hashes as -1 and 1.
        b: (M, 2, BITS) bits of the hashes as -1 and 1.

    Returns:
        (N, M) number of different bits.
    """
    # The dot product of two hashes is equal - different bits, and equal + different = BITS.
    agreement = np.maximum(a[:, 0] @ b[:, 0].T, a[:, 1] @ b[:, 1].T)
    distances: NDArray[np.uint8] = ((BITS - agreement) / 2).astype(np.uint8)
    return distances
