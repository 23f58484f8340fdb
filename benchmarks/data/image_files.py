"""Image files as scanners and tools write them, made from phantoms, for the benchmark of the image cache."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from usaggr.config.compose import compose_study
from usaggr.config.study import DataConfig
from usaggr.data.batches.cache_build import CacheMeta, CachePlan
from usaggr.data.synthetic.writer import prepare_synthetic

WIDTH, HEIGHT = 800, 600
NOISE = 3.0
"""Standard deviation of added noise in gray values, because enlarged phantoms are smoother than recorded images."""
DARK = 8
"""Gray values below this are outside of the fan, where a scanner writes no noise."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Kind:
    """A kind of image file."""

    name: str
    suffix: str
    stored: Callable[[Pixels], Pixels]
    """Function from gray pixels (H, W) to the stored pixels."""


def repeat_channels(gray: Pixels) -> Pixels:
    """Return gray pixels (H, W) repeated in three channels (H, W, 3)."""
    return np.repeat(gray[:, :, None], 3, axis=2)


def add_colored_marks(gray: Pixels) -> Pixels:
    """Return gray pixels in three channels, with a scanner's colored mark and scale."""
    image = repeat_channels(gray)
    image[10:40, 700:720] = (200, 150, 20)
    image[100:500, 20:24] = (30, 90, 220)
    return image


KINDS = (
    Kind("RGB PNG, some in color", ".png", add_colored_marks),
    Kind("RGB PNG, all gray", ".png", repeat_channels),
    Kind("gray PNG", ".png", lambda gray: gray),
    Kind("gray JPEG", ".jpg", lambda gray: gray),
    Kind("RGB JPEG, some in color", ".jpg", add_colored_marks),
)


def make_cache_config(folder: Path, size: int, readers: int) -> DataConfig:
    """Return the configuration of the measured caches."""
    sizes = ["data.channels=3", f"data.cache_dir={folder}", f"data.image_size={size}", f"data.workers={readers}"]
    few = ["data.synthetic.samples_per_task=20", "data.synthetic.tasks=[breast_2cls,fetal_plane_cls]"]
    return compose_study("demo", [*sizes, *few]).data


def make_phantoms(folder: Path, count: int) -> list[Pixels]:
    """Make `count` different gray pictures (HEIGHT, WIDTH)."""
    drawn = sorted(prepare_synthetic(make_cache_config(folder, 64, 1), folder).glob("Classification/*/images/*"))
    rng = np.random.default_rng(0)
    pictures = []
    for i in range(count):
        with Image.open(drawn[i % len(drawn)]) as image:
            large = np.asarray(image.convert("L").resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), float)
        noisy = large + rng.normal(0, NOISE, large.shape) * (large > DARK)
        pictures.append(noisy.clip(0, 255).astype(np.uint8))
    return pictures


def write_files(pictures: list[Pixels], kind: Kind, folder: Path, data: DataConfig) -> CachePlan:
    """Write pictures as files of a kind, with Pillow's default settings, and return the plan of their cache.

    Args:
        pictures: Gray pixels (H, W) of each picture.
        kind: The kind of file.
        folder: A new folder for the files.
        data: Configuration of the cache.
    """
    folder.mkdir()
    files = {}
    for i, picture in enumerate(pictures):
        path = folder / f"{i}{kind.suffix}"
        Image.fromarray(kind.stored(picture)).save(path)
        files[hashlib.sha256(path.read_bytes()).hexdigest()] = path
    height, width = data.input_size
    meta = CacheMeta(height, width, data.channels, len(files), 0, data.foreground_255)
    return CachePlan(meta, dict(sorted(files.items())), {})
