"""Breast, thyroid, carotid artery and spinal cord: linear probe, skin and layers above, high resolution."""

import numpy as np

from usaggr.data.synthetic.scene import Probe, Scene, Structure
from usaggr.data.synthetic.shapes import blob, capsule, ellipse, layer

Generator = np.random.Generator

FAT, GLAND, MUSCLE, FLUID, BONE = -24.0, -11.0, -19.0, -45.0, 2.0


def _probe(rng: Generator, aspect: tuple[float, float] = (0.95, 1.25)) -> Probe:
    height = int(rng.integers(140, 180))
    return Probe("linear", int(height * rng.uniform(*aspect)), height)


def _wave(rng: Generator, height: float) -> tuple[float, float, float]:
    return height * rng.uniform(0.4, 1), rng.uniform(0.5, 1.2), rng.uniform(0, 6)


def breast(rng: Generator, variety: str) -> Scene:
    """Skin, fat, gland and pectoral muscle, with a lesion (label 1) unless normal.

    Benign: oval, smooth, wider than tall, bright behind. Malignant: spiculated, taller than wide, with a shadow.
    """
    top, bottom = rng.uniform(0.16, 0.24), rng.uniform(0.74, 0.84)
    parts = [
        Structure(layer(-0.1, 0.05), -6, edge=0, edge_width=0.01),
        Structure(layer(top, bottom, wave=_wave(rng, 0.03)), GLAND, edge=-10, edge_width=0.014),
        Structure(layer(bottom, 1.5, wave=_wave(rng, 0.02)), MUSCLE, edge=-4, edge_width=0.012),
    ]
    x, y = rng.uniform(-0.26, 0.26), rng.uniform(0.38, 0.6)
    size, angle = rng.uniform(0.13, 0.2), rng.uniform(-0.25, 0.25)
    if variety == "benign":
        lesion = blob(x, y, size * 1.35, size * 0.85, angle, [(3, 0.04, rng.uniform(0, 6))])
        parts.append(Structure(lesion, -37, label=1, edge=-7, edge_width=0.012, attenuation=0.2))
    elif variety == "malignant":
        waves = [(int(rng.integers(7, 11)), 0.14, rng.uniform(0, 6)), (3, 0.12, rng.uniform(0, 6))]
        lesion = blob(x, y, size * 0.9, size * 1.15, angle, waves)
        parts.append(Structure(lesion, -33, label=1, edge=-16, edge_width=0.02, attenuation=4.5))
    return Scene(_probe(rng), FAT, parts)


def thyroid(rng: Generator, variety: str) -> Scene:
    """Two lobes beside the trachea and its air, straps above, carotids at the sides; one nodule (label 1)."""
    depth = rng.uniform(0.42, 0.5)
    parts = [
        Structure(layer(-0.1, 0.05), -6, edge=0, edge_width=0.01),
        Structure(layer(0.14, 0.27, wave=_wave(rng, 0.01)), MUSCLE - 6, edge=-10),
    ]
    for side in (-1, 1):
        parts.append(Structure(ellipse(side * 0.27, depth, 0.2, 0.19, -0.2 * side), -9, edge=-6, edge_width=0.012))
        artery = ellipse(side * 0.5, depth + 0.06, 0.07, 0.07)
        parts.append(Structure(artery, FLUID, edge=-4, attenuation=0.2))
    parts.append(Structure(ellipse(0, depth + 0.1, 0.13, 0.14), -30, edge=BONE, edge_width=0.016, attenuation=14))
    side = 1 if rng.uniform() < 0.5 else -1
    x, y = side * rng.uniform(0.2, 0.33), depth + rng.uniform(-0.07, 0.07)
    size = rng.uniform(0.1, 0.16)
    nodule = blob(x, y, size * rng.uniform(0.9, 1.2), size, rng.uniform(-1, 1), [(4, 0.06, rng.uniform(0, 6))])
    parts.append(Structure(nodule, -30, label=1, edge=-3, edge_width=0.012, attenuation=0.6))
    return Scene(_probe(rng, (1.15, 1.35)), -20, parts)


def carotid(rng: Generator, variety: str) -> Scene:
    """The common carotid artery across: black lumen (label 1), bright wall, the jugular vein beside it."""
    x, y, radius = rng.uniform(-0.22, 0.22), rng.uniform(0.4, 0.64), rng.uniform(0.11, 0.17)
    vein = ellipse(x + rng.choice([-1, 1]) * radius * 2.0, y - 0.1, radius * 0.9, radius * 0.45)
    parts = [
        Structure(layer(-0.1, 0.06), -6, edge=0, edge_width=0.01),
        Structure(layer(0.16, 0.3, wave=_wave(rng, 0.02)), MUSCLE, edge=-8),
        Structure(vein, -38, edge=-14, attenuation=0.3),
        Structure(ellipse(x, y, radius * 1.18, radius * 1.14), -14, edge=-4, edge_width=0.012),
        Structure(ellipse(x, y, radius, radius * 0.97), FLUID, label=1, edge=-2, attenuation=0.1),
    ]
    return Scene(_probe(rng), -18, parts)


def spinal_cord(rng: Generator, variety: str) -> Scene:
    """The cord along the image in its fluid, vertebrae below; a bright injury (label 1) in the cord."""
    y, slope = rng.uniform(0.42, 0.54), rng.uniform(-0.08, 0.08)
    half = rng.uniform(0.1, 0.13)
    parts = [
        Structure(layer(-0.1, 0.22, wave=_wave(rng, 0.02)), MUSCLE + 4, edge=-8),
        Structure(layer(y - half * 1.6, y + half * 1.6, slope), FLUID, edge=-3, attenuation=0.2),
        Structure(layer(y - half, y + half, slope), -25, edge=-8),
    ]
    for i in range(-3, 4):
        start, end = (0.3 * i - 0.1, 0.84), (0.3 * i + 0.06, 0.84)
        parts.append(Structure(capsule(start, end, 0.03), BONE - 4, edge=BONE, attenuation=12))
    x = rng.uniform(-0.45, 0.45)
    injury = blob(x, y + slope * x, rng.uniform(0.12, 0.2), half * 0.95, slope, [(5, 0.1, rng.uniform(0, 6))])
    parts.append(Structure(injury, -3, label=1, attenuation=1.5))
    return Scene(_probe(rng, (1.4, 1.6)), -17, parts)
