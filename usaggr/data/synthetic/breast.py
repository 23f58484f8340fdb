"""Breast under a linear probe: skin, fat, gland with its septa, muscle; a lesion that is benign, malignant, or none."""

import numpy as np

from usaggr.data.synthetic.body import Body
from usaggr.data.synthetic.difficulty import CONTRAST
from usaggr.data.synthetic.drawing import Drawing, labelled, place, size
from usaggr.data.synthetic.geometry import Mask
from usaggr.data.synthetic.shapes import Ellipse, spiculated, uneven
from usaggr.data.synthetic.tissue import FAT, FIBROUS, GLAND, MUSCLE, Tissue

BACKGROUND = GLAND


def draw(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Kinds: benign, malignant, normal (no lesion, an empty mask)."""
    _layers(body, rng)
    if kind == "normal":
        lesion = np.zeros(body.echo.shape, np.bool_)
    elif kind == "benign":
        lesion = _benign(body, rng)
    else:
        lesion = _malignant(body, rng)
    body.skin(0.035)
    return Drawing(labelled(body, lesion))


def _layers(body: Body, rng: np.random.Generator) -> None:
    """Fat over gland over fascia and muscle, with bright septa."""
    x, y = body.x, body.y
    phase, tilt = rng.uniform(0, 2 * np.pi), rng.uniform(-0.06, 0.06)
    wave = 0.02 * np.sin(6 * x + phase) + tilt * x
    fat, muscle = size(rng, 0.12, 0.22) + wave, size(rng, 0.82, 0.92) - wave
    body.fill(y < fat, FAT)
    body.fill(np.abs(y - fat) < 0.006, FIBROUS.brighter(-2))
    body.fill(y > muscle, MUSCLE)
    body.fill(np.abs(y - muscle) < 0.009, FIBROUS)
    for _ in range(rng.integers(2, 5)):
        level, slope, bow = rng.uniform(0.05, 0.8), rng.uniform(-0.2, 0.2), rng.uniform(-0.25, 0.25)
        body.fill(np.abs(y - level - slope * x - bow * x * x) < 0.004, FIBROUS.brighter(-4))


def _benign(body: Body, rng: np.random.Generator) -> Mask:
    """Smooth, wider than tall, dark, with a thin capsule; the sound behind it is stronger."""
    b = size(rng, 0.10, 0.16)
    a = b * size(rng, 1.35, 1.75)
    ellipse = Ellipse(_across(body, rng, a), place(rng, 0.28, 0.66), a, b, rng.uniform(-12, 12))
    radius = uneven(rng, ellipse, 0.03).radius(body.x, body.y)
    body.fill(radius < 1.07, FIBROUS.brighter(-5))
    inside = Tissue(-20 * CONTRAST, attenuation=1, impedance=-0.5, mottle=1.5)
    return body.fill(radius < 1, inside)


def _malignant(body: Body, rng: np.random.Generator) -> Mask:
    """Spiculated, taller than wide, uneven inside, with a bright halo; a shadow lies behind it."""
    a = size(rng, 0.11, 0.16)
    b = a * size(rng, 1.2, 1.5)
    ellipse = Ellipse(_across(body, rng, a), place(rng, 0.34, 0.56), a, b, rng.uniform(-15, 15))
    radius = spiculated(rng, ellipse, 0.09).radius(body.x, body.y)
    body.fill(radius < 1.25, FIBROUS.brighter(-7))
    return body.fill(radius < 1, Tissue(-17 * CONTRAST, attenuation=85, impedance=0.3, mottle=5))


def _across(body: Body, rng: np.random.Generator, half_width: float) -> float:
    room = max(body.side - half_width * 1.05, 0.0)
    return place(rng, -room, room)
