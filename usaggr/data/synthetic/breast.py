"""Drawing of the breast under a linear probe: skin, fat, gland, septa, muscle, and a benign, malignant or no lesion."""

import numpy as np

from usaggr.data.synthetic.body import Body
from usaggr.data.synthetic.difficulty import CONTRAST
from usaggr.data.synthetic.drawing import Drawing, label_regions, pick_position, pick_size
from usaggr.data.synthetic.geometry import Mask
from usaggr.data.synthetic.shapes import Ellipse, make_spiculated, make_uneven
from usaggr.data.synthetic.tissue import FAT, FIBROUS, GLAND, MUSCLE, Tissue

BACKGROUND = GLAND


def draw(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw a breast; the class is the lesion.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: "benign", "malignant" or "normal", which has no lesion and an empty mask.
    """
    _draw_layers(body, rng)
    _draw_ligament_shadows(body, rng)
    if kind == "normal":
        lesion = np.zeros(body.echo.shape, np.bool_)
    elif kind == "benign":
        lesion = _draw_benign(body, rng)
    else:
        lesion = _draw_malignant(body, rng)
    body.draw_skin(0.035)
    return Drawing(label_regions(body, lesion))


def _draw_layers(body: Body, rng: np.random.Generator) -> None:
    """Draw fat over gland over fascia and muscle, with bright septa."""
    x, y = body.x, body.y
    phase, tilt = rng.uniform(0, 2 * np.pi), rng.uniform(-0.06, 0.06)
    wave = 0.02 * np.sin(6 * x + phase) + tilt * x
    fat, muscle = pick_size(rng, 0.12, 0.22) + wave, pick_size(rng, 0.82, 0.92) - wave
    body.fill(y < fat, FAT)
    body.fill(np.abs(y - fat) < 0.006, FIBROUS.brighten(-2))
    body.fill(y > muscle, MUSCLE)
    body.fill(np.abs(y - muscle) < 0.009, FIBROUS)
    for _ in range(rng.integers(2, 6)):
        lobule = Ellipse(
            rng.uniform(-0.6, 0.6), rng.uniform(0.25, 0.75), rng.uniform(0.08, 0.2), rng.uniform(0.02, 0.06)
        )
        body.fill(make_uneven(rng, lobule, 0.15).get_radius(x, y) < 1, FAT.brighten(3))
    for _ in range(rng.integers(2, 6)):
        level, slope, bow = rng.uniform(0.05, 0.8), rng.uniform(-0.2, 0.2), rng.uniform(-0.4, 0.4)
        middle, reach = rng.uniform(-0.5, 0.5), rng.uniform(0.15, 0.5)
        septum = (np.abs(y - level - slope * x - bow * x * x) < 0.004) & (np.abs(x - middle) < reach)
        body.fill(septum, FIBROUS.brighten(-5))


def _draw_ligament_shadows(body: Body, rng: np.random.Generator) -> None:
    """Draw ligaments along the beams, which attenuate the sound: dark streaks that are not lesions."""
    for _ in range(rng.integers(0, 3)):
        x, y, width = rng.uniform(-0.6, 0.6), rng.uniform(0.15, 0.35), rng.uniform(0.02, 0.06)
        behind = (np.abs(body.x - x) < width) & (np.abs(body.y - y) < 0.015)
        body.attenuation[behind] += rng.uniform(150, 350)


def _draw_benign(body: Body, rng: np.random.Generator) -> Mask:
    """Draw a benign lesion: smooth, wider than tall, dark, with a thin capsule and mostly enhancement behind it."""
    b = pick_size(rng, 0.10, 0.17)
    a = b * pick_size(rng, 1.15, 1.7)
    ellipse = Ellipse(_pick_across(body, rng, a), pick_position(rng, 0.28, 0.66), a, b, rng.uniform(-15, 15))
    radius = make_uneven(rng, ellipse, pick_size(rng, 0.02, 0.08)).get_radius(body.x, body.y)
    body.fill(radius < 1.07, FIBROUS.brighten(-5))
    inside = Tissue(-pick_size(rng, 13, 24) * CONTRAST, attenuation=pick_size(rng, 0, 18), impedance=-0.4, mottle=2)
    return body.fill(radius < 1, inside)


def _draw_malignant(body: Body, rng: np.random.Generator) -> Mask:
    """Draw a malignant lesion: spiculated, mostly taller than wide, heterogeneous, with a bright halo and a shadow."""
    a = pick_size(rng, 0.11, 0.17)
    b = a * pick_size(rng, 0.95, 1.45)
    ellipse = Ellipse(_pick_across(body, rng, a), pick_position(rng, 0.34, 0.56), a, b, rng.uniform(-25, 25))
    radius = make_spiculated(rng, ellipse, pick_size(rng, 0.05, 0.11)).get_radius(body.x, body.y)
    body.fill(radius < 1.3, FIBROUS.brighten(-8))
    inside = Tissue(-pick_size(rng, 13, 20) * CONTRAST, attenuation=pick_size(rng, 35, 95), impedance=0.3, mottle=4)
    return body.fill(radius < 1, inside)


def _pick_across(body: Body, rng: np.random.Generator, half_width: float) -> float:
    """Pick the position x of a lesion so that it stays within the image."""
    room = max(body.half_width - half_width * 1.05, 0.0)
    return pick_position(rng, -room, room)
