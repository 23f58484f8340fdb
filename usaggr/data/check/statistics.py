"""Statistics of the images of each task, and outliers such as images of other devices, screenshots and black frames."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usaggr.data.check.image_scan import ImageScan, ImageSummary
from usaggr.data.samples import Dataset, Sample

MAX_DISTANCE = 6.0
"""Largest distance from the median of an image that is not an outlier, in robust standard deviations.

A robust standard deviation is the median absolute deviation times `MAD_TO_SD`."""
MAD_TO_SD = 1.4826
"""Ratio of the standard deviation to the median absolute deviation for normally distributed values."""
MAX_OUTLIER_SHARE = 0.05
"""Largest share of a task's images that can be outliers; a larger group is a second kind of image."""
MIN_IMAGES = 10
"""Smallest number of images of a task in which outliers are searched."""


@dataclass(frozen=True)
class Outlier:
    """An image that is unlike the others of its task."""

    sample: Sample
    reason: str
    """Description of the difference, with the image's value and the task's usual one."""
    distance: float
    """Distance in robust standard deviations; for a rare kind, MAX_DISTANCE times the share of the usual kind."""


@dataclass(frozen=True)
class ImageStatistics:
    """Statistics of the distinct images of a task."""

    task: str
    images: int
    height: tuple[int, int]
    """Smallest and largest height, in pixels."""
    width: tuple[int, int]
    """Smallest and largest width, in pixels."""
    color_images: int
    """Number of images in color."""
    bits: dict[int, int]
    """Number of images by bits per channel."""
    mean: float
    """Mean gray value over all images, 0 to 255."""
    mean_sd: float
    """Standard deviation of the images' mean gray values: the variation of brightness between images."""
    sd: float
    """Mean over images of the standard deviation of gray values within the image: the contrast."""
    black: float
    """Mean share of black pixels, in [0, 1]."""
    outliers: tuple[Outlier, ...]
    """Outliers, the farthest first, with one entry per image."""


def compute_image_statistics(dataset: Dataset, scan: ImageScan) -> list[ImageStatistics]:
    """Return the image statistics of each task that has samples, in the order of tasks."""
    return [_compute_task_statistics(task_id, samples, scan) for task_id, samples in dataset.by_task.items() if samples]


def _compute_task_statistics(task_id: str, samples: Sequence[Sample], scan: ImageScan) -> ImageStatistics:
    distinct = list({sample.image_hash: sample for sample in samples}.values())
    summaries = [scan.images[sample.image_hash] for sample in distinct]
    heights, widths = np.array([s.height for s in distinct]), np.array([s.width for s in distinct])
    means = np.array([summary.mean for summary in summaries])
    sds = np.array([summary.sd for summary in summaries])
    blacks = np.array([summary.black for summary in summaries])
    areas, ratios = heights * widths, widths / heights
    # Areas and ratios are compared as logarithms, in tenths of a doubling: half and twice the usual value are equally
    # far from it. The number before each message is the smallest SD.
    candidates = [
        *_find_far(distinct, means, means, 4.0, "mean gray value {:.0f}, usually {:.0f}"),
        *_find_far(distinct, sds, sds, 4.0, "contrast (SD) {:.0f}, usually {:.0f}"),
        *_find_far(distinct, 100 * blacks, 100 * blacks, 4.0, "{:.0f} % black, usually {:.0f} %"),
        *_find_far(distinct, np.log2(areas) * 10, areas, 1.0, "{:.0f} pixels, usually {:.0f}"),
        *_find_far(distinct, np.log2(ratios) * 10, ratios, 0.5, "width / height {:.2f}, usually {:.2f}"),
        *_find_rare(distinct, summaries),
    ]
    farthest: dict[str, Outlier] = {}
    for outlier in sorted(candidates, key=lambda o: (-o.distance, o.sample.sample_id)):
        farthest.setdefault(outlier.sample.image_hash, outlier)
    return ImageStatistics(
        task=task_id,
        images=len(distinct),
        height=(int(heights.min()), int(heights.max())),
        width=(int(widths.min()), int(widths.max())),
        color_images=sum(summary.is_color for summary in summaries),
        bits=dict(sorted(Counter(summary.bits for summary in summaries).items())),
        mean=float(means.mean()),
        mean_sd=float(means.std()),
        sd=float(sds.mean()),
        black=float(blacks.mean()),
        outliers=tuple(farthest.values()),
    )


def _find_far(
    samples: Sequence[Sample],
    values: NDArray[np.float64],
    reported: NDArray[np.float64],
    smallest_sd: float,
    message: str,
) -> list[Outlier]:
    """Return the images whose value is more than MAX_DISTANCE robust standard deviations from the median.

    Args:
        samples: Distinct images of a task.
        values: (N,) value of each image that is compared.
        reported: (N,) value of each image in messages; differs from `values` if those are logarithms.
        smallest_sd: Lower limit of the robust standard deviation, in the unit of `values`. Without it, tiny
            differences would make outliers if almost all images have the same value.
        message: Format of the reason, with fields for the image's value and the usual one.
    """
    if len(samples) < MIN_IMAGES:
        return []
    median = np.median(values)
    sd = max(MAD_TO_SD * float(np.median(np.abs(values - median))), smallest_sd)
    distances = np.abs(values - median) / sd
    usual = float(np.median(reported))
    far = np.flatnonzero(distances > MAX_DISTANCE).tolist()
    if len(far) > max(1.0, MAX_OUTLIER_SHARE * len(samples)):
        return []  # a second kind of image; the smallest and largest values in the table show it
    return [Outlier(samples[i], message.format(reported[i], usual), float(distances[i])) for i in far]


def _find_rare(samples: Sequence[Sample], summaries: Sequence[ImageSummary]) -> list[Outlier]:
    """Return the images that differ from nearly all others in color or bit depth."""
    if len(samples) < MIN_IMAGES:
        return []
    kinds = [(summary.is_color, summary.bits) for summary in summaries]
    counts = Counter(kinds)
    usual, usual_count = counts.most_common(1)[0]
    distance = MAX_DISTANCE * usual_count / len(samples)
    outliers: list[Outlier] = []
    for sample, kind in zip(samples, kinds, strict=True):
        is_rare = counts[kind] <= MAX_OUTLIER_SHARE * len(samples)
        if is_rare and kind != usual:
            reason = f"{_describe_kind(kind)}, usually {_describe_kind(usual)}"
            outliers.append(Outlier(sample, reason, distance))
    return outliers


def _describe_kind(kind: tuple[bool, int]) -> str:
    is_color, bits = kind
    return f"{bits}-bit {'color' if is_color else 'grayscale'}"
