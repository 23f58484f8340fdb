"""What a drawer gives back: the labels that follow from the anatomy it drew. Also how it draws places and sizes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usaggr.data.synthetic.body import Body
from usaggr.data.synthetic.difficulty import SPREAD
from usaggr.data.synthetic.geometry import Mask
from usaggr.data.synthetic.shapes import Point


@dataclass(frozen=True)
class Drawing:
    """Labels of a phantom; those that its tasks do not ask for may be missing."""

    mask: NDArray[np.uint8] | None = None
    """Class of each pixel, (H, W)."""
    points: tuple[Point, ...] = ()
    """Landmarks in the anatomy's coordinates."""


def labelled(body: Body, *regions: Mask) -> NDArray[np.uint8]:
    """Mask (H, W) with class 1, 2, ... where the first, second, ... region is; later ones win. Nothing unseen."""
    mask = np.zeros(body.echo.shape, np.uint8)
    for value, region in enumerate(regions, 1):
        mask[region & body.view.visible] = value
    return mask


def place(rng: np.random.Generator, low: float, high: float) -> float:
    """Where a structure lies, between two limits."""
    middle, half = (low + high) / 2, (high - low) / 2
    return float(middle + SPREAD * half * rng.uniform(-1, 1))


def size(rng: np.random.Generator, low: float, high: float) -> float:
    """How large a structure is, between two limits."""
    return float(rng.uniform(low, high))


def sign(rng: np.random.Generator) -> int:
    """-1 or 1: to which side."""
    return int(rng.choice((-1, 1)))
