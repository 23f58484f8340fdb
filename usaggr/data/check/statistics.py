"""Images of each task in numbers, and those that fall out of the row: other devices, screenshots, black frames."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usaggr.data.check.image_scan import ImageLook, Looks
from usaggr.data.samples import Dataset, Sample

FAR = 6.0
"""Robust standard deviations (of the median, by the median absolute deviation) from which an image is an outlier."""
FEW = 0.05
"""Share of a task's images up to which those that are far, or of another kind, are outliers; more are a second kind."""
LEAST = 10
"""Images that a task needs for outliers to mean anything."""


@dataclass(frozen=True)
class Outlier:
    """An image that is unlike the others of its task."""

    sample: Sample
    what: str
    """In words, with its value and the task's usual one."""
    distance: float
    """Robust standard deviations; of a rare kind, the share of images that are of the usual one times FAR."""


@dataclass(frozen=True)
class ImageStatistics:
    """The distinct images of a task; of brightness, the mean over images."""

    task: str
    images: int
    height: tuple[int, int]
    """Smallest and largest, pixels."""
    width: tuple[int, int]
    coloured: int
    """Images with colours."""
    bits: dict[int, int]
    """Bits a channel: images."""
    mean: float
    """Grey value, 0 to 255."""
    mean_sd: float
    """Of the images' means: how far their brightness differs."""
    sd: float
    """Mean of the images' own standard deviations: their contrast."""
    black: float
    """Share of black pixels, in [0, 1]."""
    outliers: tuple[Outlier, ...]
    """The farthest first, an entry an image."""


def image_statistics(dataset: Dataset, looks: Looks) -> list[ImageStatistics]:
    """An entry a task that has samples, in the order of tasks."""
    return [_statistics(task_id, samples, looks) for task_id, samples in dataset.by_task.items() if samples]


def _statistics(task_id: str, samples: Sequence[Sample], looks: Looks) -> ImageStatistics:
    shown = list({sample.image_hash: sample for sample in samples}.values())
    seen = [looks.images[sample.image_hash] for sample in shown]
    heights, widths = np.array([s.height for s in shown]), np.array([s.width for s in shown])
    means, sds, blacks = (np.array([getattr(look, name) for look in seen]) for name in ("mean", "sd", "black"))
    found = [
        *_far(shown, means, 4.0, "mean grey value {:.0f}, usually {:.0f}"),
        *_far(shown, sds, 4.0, "contrast (SD) {:.0f}, usually {:.0f}"),
        *_far(shown, 100 * blacks, 4.0, "{:.0f} % black, usually {:.0f} %"),
        *_far(shown, np.log2(heights * widths) * 10, 1.0, "", heights * widths, "{:.0f} pixels, usually {:.0f}"),
        *_far(
            shown, np.log2(widths / heights) * 10, 0.5, "", widths / heights, "width / height {:.2f}, usually {:.2f}"
        ),
        *_rare(shown, seen),
    ]
    farthest: dict[str, Outlier] = {}
    for outlier in sorted(found, key=lambda o: (-o.distance, o.sample.sample_id)):
        farthest.setdefault(outlier.sample.image_hash, outlier)
    return ImageStatistics(
        task=task_id,
        images=len(shown),
        height=(int(heights.min()), int(heights.max())),
        width=(int(widths.min()), int(widths.max())),
        coloured=sum(look.coloured for look in seen),
        bits=dict(sorted(Counter(look.bits for look in seen).items())),
        mean=float(means.mean()),
        mean_sd=float(means.std()),
        sd=float(sds.mean()),
        black=float(blacks.mean()),
        outliers=tuple(farthest.values()),
    )


def _far(
    samples: Sequence[Sample],
    values: NDArray[np.float64],
    least_spread: float,
    words: str,
    shown: NDArray[np.float64] | None = None,
    shown_words: str = "",
) -> list[Outlier]:
    """Images whose value is FAR from the median; `shown` and its words stand in messages where values are logarithms.

    A spread under `least_spread` counts as that: among images that are all alike, small differences are none.
    """
    if len(samples) < LEAST:
        return []
    told, words = (values, words) if shown is None else (shown, shown_words)
    middle = np.median(values)
    spread = max(1.4826 * float(np.median(np.abs(values - middle))), least_spread)
    distances = np.abs(values - middle) / spread
    usual = float(np.median(told))
    far = np.flatnonzero(distances > FAR).tolist()
    if len(far) > max(1.0, FEW * len(samples)):
        return []  # a second kind of image, which the smallest and largest values show
    return [Outlier(samples[i], words.format(told[i], usual), float(distances[i])) for i in far]


def _rare(samples: Sequence[Sample], seen: Sequence[ImageLook]) -> list[Outlier]:
    """Images of another kind than nearly all others: in colours, grey, or with another number of bits."""
    if len(samples) < LEAST:
        return []
    kinds = [(look.coloured, look.bits) for look in seen]
    counts = Counter(kinds)
    usual, number = counts.most_common(1)[0]
    return [
        Outlier(sample, f"{_named(kind)}, usually {_named(usual)}", FAR * number / len(samples))
        for sample, kind in zip(samples, kinds, strict=True)
        if counts[kind] <= FEW * len(samples) and kind != usual
    ]


def _named(kind: tuple[bool, int]) -> str:
    return f"{'colours' if kind[0] else 'grey'} of {kind[1]} bit{'s' * (kind[1] > 1)}"
