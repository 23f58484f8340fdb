"""The image cache: images and masks of a data set, resized for the network, as uint8 in two memory-mapped files.

The first process that needs a cache builds it. Later processes with the same images and the same size only open it,
which decodes no images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usaggr.config.study import DataConfig
from usaggr.data.batches.cache_build import DIGEST_BYTES, ensure_built, plan_cache, read_meta
from usaggr.data.read.paths import find_cache_folder
from usaggr.data.samples import Dataset, Sample
from usaggr.errors import DataError
from usaggr.progress import NoProgress, Progress


class ImageCache:
    """Resized images and masks of samples. It is cheap to open, and to pickle: another process maps the same files.

    A copy in another process opens the files when it first needs them, so that a cache that was removed meanwhile fails
    the run with this reason, and not its process before the run has started.

    Masks hold class indices. With `data.foreground_255`, the value 255 is stored as class 1.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._files: _MappedFiles | None = _map_files(directory, "is an incomplete image cache")

    def __getstate__(self) -> dict[str, Any]:
        return {"directory": self.directory, "_files": None}

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self._open().images.shape[1:3]
        return height, width

    @property
    def channels(self) -> int:
        """Number of channels, 1 or 3."""
        channels: int = self._open().images.shape[3]
        return channels

    def is_complete(self) -> bool:
        """Return whether the files are still on disk with their sizes."""
        return read_meta(self.directory) is not None

    def _open(self) -> "_MappedFiles":
        if self._files is None:
            self._files = _map_files(self.directory, "the image cache was removed or changed while runs were training")
        return self._files

    def view_image(self, sample: Sample) -> NDArray[np.uint8]:
        """Return a read-only view of a sample's image (H, W, C)."""
        view: NDArray[np.uint8] = self._open().images[self.find_image_rows([sample])[0]]
        return view

    def view_mask(self, sample: Sample) -> NDArray[np.uint8]:
        """Return a read-only view of a segmentation sample's mask (H, W), as class indices."""
        view: NDArray[np.uint8] = self._open().masks[self.find_mask_rows([sample])[0]]
        return view

    def load_images(self, samples: Sequence[Sample]) -> NDArray[np.uint8]:
        """Return copies of the samples' images (N, H, W, C)."""
        return self._open().images[self.find_image_rows(samples)]

    def load_masks(self, samples: Sequence[Sample]) -> NDArray[np.uint8]:
        """Return copies of the segmentation samples' masks (N, H, W), as class indices."""
        return self._open().masks[self.find_mask_rows(samples)]

    def find_image_rows(self, samples: Sequence[Sample]) -> NDArray[np.intp]:
        """Return the rows (N,) of the samples' images in the cache; samples of the same image have the same row.

        Raises:
            DataError: the cache was not made for one of the samples.
        """
        return _find_rows(self._open().image_digests, [sample.image_key for sample in samples], self.directory)

    def find_mask_rows(self, samples: Sequence[Sample]) -> NDArray[np.intp]:
        """Return the rows (N,) of the segmentation samples' masks in the cache; see `find_image_rows`."""
        return _find_rows(self._open().mask_digests, [sample.mask_key for sample in samples], self.directory)


def build_or_open(dataset: Dataset, data: DataConfig, progress: Progress | None = None) -> ImageCache:
    """Open the cache of a data set at `data.input_size`; build it if it does not exist.

    The aspect ratio of images is not kept, as in the challenge's baseline. Images are averaged by area along sides that
    shrink and interpolated linearly along sides that grow. Masks take the class of the pixel with the nearest center.

    Args:
        dataset: samples of all tasks.
        data: size of the images, and folder of the cache.
        progress: counts the images that are resized.

    Raises:
        DataError: an image has changed since validation, or the cache cannot be written.
    """
    plan = plan_cache(dataset, data)
    return ImageCache(ensure_built(plan, find_cache_folder(data) / "images", data, progress or NoProgress()))


_PIXEL = np.dtype(np.uint8)
_DIGEST = np.dtype(f"S{DIGEST_BYTES}")
"""SHA-256 as a byte string. NumPy compares such strings correctly, and drops zero bytes at the end only on access."""


@dataclass(frozen=True)
class _MappedFiles:
    """Files of a cache, mapped into memory."""

    image_digests: NDArray[np.bytes_]
    mask_digests: NDArray[np.bytes_]
    images: NDArray[np.uint8]
    """(N, H, W, C)"""
    masks: NDArray[np.uint8]
    """(M, H, W)"""


def _map_files(directory: Path, problem: str) -> _MappedFiles:
    """Map the files of a cache into memory.

    Args:
        directory: directory of the cache.
        problem: description of a cache that is not complete, for the message.

    Raises:
        DataError: the cache does not exist, is incomplete, or cannot be read.
    """
    meta = read_meta(directory)
    if meta is None:
        raise DataError(f"{directory}: {problem}; the next sweep builds it again (--retry-failed for failed runs)")
    try:
        return _MappedFiles(
            _map_file(directory / "images.sha256", (meta.images,), _DIGEST),
            _map_file(directory / "masks.sha256", (meta.masks,), _DIGEST),
            _map_file(directory / "images.u8", (meta.images, meta.height, meta.width, meta.channels), _PIXEL),
            _map_file(directory / "masks.u8", (meta.masks, meta.height, meta.width), _PIXEL),
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(
            f"{directory}: the image cache cannot be read ({reason}); make it readable, or remove it, and the next "
            "sweep builds it again (--retry-failed for failed runs)"
        ) from error


def _find_rows(digests: NDArray[np.bytes_], hashes: Sequence[str], directory: Path) -> NDArray[np.intp]:
    """Find the rows of hashes by binary search in the mapped file, so that no process keeps a table of them.

    Args:
        digests: sorted hashes in the cache.
        hashes: hashes to find, in hexadecimal.
        directory: directory of the cache, for messages.

    Raises:
        DataError: a hash is not in the cache.
    """
    targets = np.frombuffer(bytes.fromhex("".join(hashes)), _DIGEST)
    if len(targets) and not len(digests):
        raise DataError(f"{directory}: the image cache does not contain {hashes[0]}; remove it, and it is built again")
    # `searchsorted` returns len(digests) for a hash after the last one.
    indices = np.searchsorted(digests, targets).clip(max=max(len(digests) - 1, 0))
    missing = np.flatnonzero(digests[indices] != targets)
    if len(missing):
        first = hashes[missing[0]]
        raise DataError(f"{directory}: the image cache does not contain {first}; remove it, and it is built again")
    return indices


def _map_file(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Map a file into memory as an array.

    Args:
        path: the file.
        shape: shape of the array.
        dtype: type of its elements.
    """
    if 0 in shape:  # an empty file cannot be mapped
        return np.zeros(shape, dtype)
    # As an array, because making a view of np.memmap is slower.
    return np.asarray(np.memmap(path, dtype, mode="r", shape=shape))
