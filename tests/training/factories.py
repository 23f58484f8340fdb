"""Samples as the validation of data makes them, with their files if they have any."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from usaggr.data.samples import Sample


def sample(task_id: str, name: str, height: int, width: int, label: int | None = None) -> Sample:
    """Make a sample without a mask."""
    return Sample(task_id, name, Path(f"{name}.png"), name, "", "", height, width, "", 0, label=label)


def mask_sample(folder: Path, task_id: str, name: str, mask: NDArray[np.uint8]) -> Sample:
    """Make a sample, and write its mask to a file."""
    path = folder / f"{name}_mask.png"
    cv2.imwrite(str(path), mask)
    height, width = mask.shape
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Sample(task_id, name, Path(f"{name}.png"), name, "", digest, height, width, "", 0, mask_path=path)
