"""The images and masks of a data set at the network's size, as uint8 in two files that all processes map into memory.

Built once for a data set's content and a size, by whichever process comes first; opening it decodes nothing.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usaggr.config import DataConfig
from usaggr.data.cache_build import ensure_built, plan_cache, read_meta
from usaggr.data.locations import cache_root
from usaggr.data.samples import Dataset, Sample
from usaggr.errors import DataError
from usaggr.progress import NoProgress, Progress


class ImageCache:
    """Resized images and masks of samples; cheap to open, and to send to another process, which maps the same files.

    Masks hold class indices; where `data.foreground_255` is set, 255 is 1 already.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        meta = read_meta(directory)
        if meta is None:
            raise DataError(f"{directory}: is not a whole image cache; remove it")
        self._image_rows = {digest: i for i, digest in enumerate(meta.images)}
        self._mask_rows = {digest: i for i, digest in enumerate(meta.masks)}
        self._images = _mapped(directory / "images.u8", (len(meta.images), meta.height, meta.width, meta.channels))
        self._masks = _mapped(directory / "masks.u8", (len(meta.masks), meta.height, meta.width))
        self.size = (meta.height, meta.width)
        """Height and width, pixels."""
        self.channels = meta.channels
        """1 or 3."""

    def __reduce__(self) -> tuple[type["ImageCache"], tuple[Path]]:
        return ImageCache, (self.directory,)

    def image(self, sample: Sample) -> NDArray[np.uint8]:
        """A sample's image (H, W, C): a view that cannot be written to."""
        view: NDArray[np.uint8] = self._images[self._image_rows[sample.image_hash]]
        return view

    def mask(self, sample: Sample) -> NDArray[np.uint8]:
        """A segmentation sample's mask (H, W), class indices: a view that cannot be written to."""
        view: NDArray[np.uint8] = self._masks[self._mask_rows[sample.label_hash]]
        return view

    def images_of(self, samples: Sequence[Sample]) -> NDArray[np.uint8]:
        """Copies of the samples' images: (N, H, W, C)."""
        return self._images[[self._image_rows[sample.image_hash] for sample in samples]]

    def masks_of(self, samples: Sequence[Sample]) -> NDArray[np.uint8]:
        """Copies of the segmentation samples' masks, class indices: (N, H, W)."""
        return self._masks[[self._mask_rows[sample.label_hash] for sample in samples]]


def build_or_open(dataset: Dataset, data: DataConfig, progress: Progress | None = None) -> ImageCache:
    """The cache of a data set's content at `data.input_size`, built by this process if it is not there.

    Images are stretched to the size, aspect not kept, as the challenge's baseline does: by area where they shrink,
    linearly where they grow. Masks are resized by their nearest pixel's centre.

    Raises:
        DataError: an image is not what validation saw, or the cache cannot be written.
    """
    plan = plan_cache(dataset, data)
    return ImageCache(ensure_built(plan, cache_root(data) / "images", data, progress or NoProgress()))


def _mapped(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if 0 in shape:  # an empty file cannot be mapped
        return np.zeros(shape, np.uint8)
    # Not as np.memmap, whose views cost more than those of an array.
    return np.asarray(np.memmap(path, np.uint8, mode="r", shape=shape))
