"""The images and masks of a data set at the network's size, as uint8 in two files that all processes map into memory.

Built once for a data set's content and a size, by whichever process comes first; opening it decodes nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usaggr.config.study import DataConfig
from usaggr.data.batches.cache_build import DIGEST_BYTES, ensure_built, plan_cache, read_meta
from usaggr.data.read.paths import cache_root
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
        self._image_digests = _mapped(directory / "images.sha256", (meta.images,), _DIGEST)
        self._mask_digests = _mapped(directory / "masks.sha256", (meta.masks,), _DIGEST)
        self._images = _mapped(directory / "images.u8", (meta.images, meta.height, meta.width, meta.channels), _PIXEL)
        self._masks = _mapped(directory / "masks.u8", (meta.masks, meta.height, meta.width), _PIXEL)
        self.size = (meta.height, meta.width)
        """Height and width, pixels."""
        self.channels = meta.channels
        """1 or 3."""

    def __reduce__(self) -> tuple[type["ImageCache"], tuple[Path]]:
        return ImageCache, (self.directory,)

    def image(self, sample: Sample) -> NDArray[np.uint8]:
        """A sample's image (H, W, C): a view that cannot be written to."""
        view: NDArray[np.uint8] = self._images[self.image_rows([sample])[0]]
        return view

    def mask(self, sample: Sample) -> NDArray[np.uint8]:
        """A segmentation sample's mask (H, W), class indices: a view that cannot be written to."""
        view: NDArray[np.uint8] = self._masks[self.mask_rows([sample])[0]]
        return view

    def images_of(self, samples: Sequence[Sample]) -> NDArray[np.uint8]:
        """Copies of the samples' images: (N, H, W, C)."""
        return self._images[self.image_rows(samples)]

    def masks_of(self, samples: Sequence[Sample]) -> NDArray[np.uint8]:
        """Copies of the segmentation samples' masks, class indices: (N, H, W)."""
        return self._masks[self.mask_rows(samples)]

    def image_rows(self, samples: Sequence[Sample]) -> NDArray[np.intp]:
        """Where the samples' images are in the cache, (N,): samples of the same image have the same row.

        Raises:
            DataError: the cache was not made for one of the samples.
        """
        return _rows(self._image_digests, [sample.image_hash for sample in samples], self.directory)

    def mask_rows(self, samples: Sequence[Sample]) -> NDArray[np.intp]:
        """Where the segmentation samples' masks are in the cache, (N,); see `image_rows`."""
        return _rows(self._mask_digests, [sample.label_hash for sample in samples], self.directory)


def build_or_open(dataset: Dataset, data: DataConfig, progress: Progress | None = None) -> ImageCache:
    """The cache of a data set's content at `data.input_size`, built by this process if it is not there.

    Images are stretched to the size, aspect not kept, as the challenge's baseline does: by area where they shrink,
    linearly where they grow. Masks are resized by their nearest pixel's centre.

    Raises:
        DataError: an image is not what validation saw, or the cache cannot be written.
    """
    plan = plan_cache(dataset, data)
    return ImageCache(ensure_built(plan, cache_root(data) / "images", data, progress or NoProgress()))


_PIXEL = np.dtype(np.uint8)
_DIGEST = np.dtype(f"S{DIGEST_BYTES}")
"""NumPy orders byte strings of one length by their bytes, and drops zeros at the end only where it hands one out."""


def _rows(digests: NDArray[np.bytes_], wanted: Sequence[str], directory: Path) -> NDArray[np.intp]:
    """Places of hashes among the sorted ones, looked up where they are mapped: no process keeps a table of them."""
    sought = np.frombuffer(bytes.fromhex("".join(wanted)), _DIGEST)
    if len(sought) and not len(digests):
        raise DataError(f"{directory}: the image cache does not hold {wanted[0]}; remove it")
    rows = np.searchsorted(digests, sought).clip(max=max(len(digests) - 1, 0))
    missing = np.flatnonzero(digests[rows] != sought)
    if len(missing):
        raise DataError(f"{directory}: the image cache does not hold {wanted[missing[0]]}; remove it")
    return rows


def _mapped(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    if 0 in shape:  # an empty file cannot be mapped
        return np.zeros(shape, dtype)
    # Not as np.memmap, whose views cost more than those of an array.
    return np.asarray(np.memmap(path, dtype, mode="r", shape=shape))
