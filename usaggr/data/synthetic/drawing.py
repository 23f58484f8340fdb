"""The labels that a drawing function returns, and its random choice of positions, sizes and sides."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usaggr.data.synthetic.body import Body
from usaggr.data.synthetic.difficulty import SPREAD
from usaggr.data.synthetic.geometry import Mask
from usaggr.data.synthetic.shapes import Point


@dataclass(frozen=True)
class Drawing:
    """Labels of a phantom; those that its tasks do not use may be missing."""

    mask: NDArray[np.uint8] | None = None
    """(H, W) class of each pixel."""
    points: tuple[Point, ...] = ()
    """Landmarks in the anatomy's coordinates."""


def label_regions(body: Body, *regions: Mask) -> NDArray[np.uint8]:
    """Return a mask (H, W) with class 1 in the first region, 2 in the second, and so on.

    Later regions overwrite earlier ones, and pixels that the probe does not show are background.
    """
    mask = np.zeros(body.echo.shape, np.uint8)
    for value, region in enumerate(regions, 1):
        mask[region & body.view.visible] = value
    return mask


def pick_position(rng: np.random.Generator, low: float, high: float) -> float:
    """Pick a random position between two limits; SPREAD scales the distance from their middle.

    Args:
        rng: random generator of the picture.
        low: lower limit, in the coordinates of the body.
        high: upper limit.
    """
    middle, half = (low + high) / 2, (high - low) / 2
    return float(middle + SPREAD * half * rng.uniform(-1, 1))


def pick_size(rng: np.random.Generator, low: float, high: float) -> float:
    """Pick a random size between two limits, which `difficulty` does not change.

    Args:
        rng: random generator of the picture.
        low: lower limit, in the coordinates of the body.
        high: upper limit.
    """
    return float(rng.uniform(low, high))


def pick_side(rng: np.random.Generator) -> int:
    """Pick a side at random: -1 (left) or 1 (right)."""
    return int(rng.choice((-1, 1)))
