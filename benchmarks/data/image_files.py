"""Image files such as scanners and tools write, made of phantoms, and the plain way of building a cache from them."""

import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from usaggr.config.compose import compose_study
from usaggr.config.study import DataConfig
from usaggr.data.batches.cache_build import PIECE, CacheMeta, CachePlan
from usaggr.data.read.thread_pool import pieces, results_of
from usaggr.data.synthetic.writer import synthetic_root

WIDTH, HEIGHT = 800, 600
NOISE = 3.0
"""Standard deviation in grey values: enlarged phantoms are smoother than what a probe records."""
DARK = 8
"""Grey values under this are outside of the fan, where a scanner writes no noise."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Kind:
    """How images are stored."""

    name: str
    suffix: str
    stored: Callable[[Pixels], Pixels]
    """From grey (H, W) to what is stored."""


def in_three_channels(grey: Pixels) -> Pixels:
    return np.repeat(grey[:, :, None], 3, axis=2)


def with_colours(grey: Pixels) -> Pixels:
    """Grey with a scanner's coloured mark and scale."""
    image = in_three_channels(grey)
    image[10:40, 700:720] = (200, 150, 20)
    image[100:500, 20:24] = (30, 90, 220)
    return image


KINDS = (
    Kind("RGB PNG, some in colour", ".png", with_colours),
    Kind("RGB PNG, all grey", ".png", in_three_channels),
    Kind("grey PNG", ".png", lambda grey: grey),
    Kind("grey JPEG", ".jpg", lambda grey: grey),
    Kind("RGB JPEG, some in colour", ".jpg", with_colours),
)


def cache_config(folder: Path, size: int, readers: int) -> DataConfig:
    """What the measured caches are built with."""
    here = ["data.channels=3", f"data.cache_dir={folder}", f"data.image_size={size}", f"data.workers={readers}"]
    few = ["data.synthetic.samples_per_task=20", "data.synthetic.tasks=[breast_2cls,fetal_plane_cls]"]
    return compose_study("demo", [*here, *few]).data


def phantoms(folder: Path, count: int) -> list[Pixels]:
    """Pictures (HEIGHT, WIDTH), no two alike."""
    drawn = sorted(synthetic_root(cache_config(folder, 64, 1), folder).glob("Classification/*/images/*"))
    rng = np.random.default_rng(0)
    pictures = []
    for i in range(count):
        with Image.open(drawn[i % len(drawn)]) as image:
            large = np.asarray(image.convert("L").resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), float)
        noisy = large + rng.normal(0, NOISE, large.shape) * (large > DARK)
        pictures.append(noisy.clip(0, 255).astype(np.uint8))
    return pictures


def written(pictures: list[Pixels], kind: Kind, folder: Path, data: DataConfig) -> CachePlan:
    """Write pictures as files of a kind, with Pillow's own settings, and say what their cache is to hold."""
    folder.mkdir()
    files = {}
    for i, picture in enumerate(pictures):
        path = folder / f"{i}{kind.suffix}"
        Image.fromarray(kind.stored(picture)).save(path)
        files[hashlib.sha256(path.read_bytes()).hexdigest()] = path
    height, width = data.input_size
    meta = CacheMeta(height, width, data.channels, len(files), 0, data.foreground_255)
    return CachePlan(meta, dict(sorted(files.items())), {})


def plain_build(plan: CachePlan, path: Path, readers: int) -> None:
    """The images' file by Pillow alone: each image becomes RGB, all three channels are resized."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with path.open("wb") as file:

            def write(rows: range) -> int:
                block = np.stack([plain_row(content[i], plan.meta) for i in rows])
                return os.pwrite(file.fileno(), block.tobytes(), rows[0] * block[0].nbytes)

            content = list(plan.images.items())
            rows = [range(piece[0], piece[-1] + 1) for piece in pieces(range(len(content)), PIECE)]
            for _ in results_of(write, rows, readers):
                pass
            os.fsync(file.fileno())
    finally:
        cv2.setNumThreads(threads)


def plain_row(file: tuple[str, Path], meta: CacheMeta) -> Pixels:
    """An image (H, W, 3) at the size of a cache that is smaller."""
    digest, path = file
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{path}: has changed")
    with Image.open(io.BytesIO(content)) as image:
        pixels = np.asarray(image.convert("RGB"))
    return np.asarray(cv2.resize(pixels, (meta.width, meta.height), interpolation=cv2.INTER_AREA), np.uint8)
