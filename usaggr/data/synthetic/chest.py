"""Lung and heart: ribs and pleura with the artefacts of air, and the apical view of the heart's chambers."""

import numpy as np

from usaggr.data.synthetic.scene import Probe, Scene, Structure
from usaggr.data.synthetic.shapes import blob, capsule, ellipse, layer

Generator = np.random.Generator

AIR, FLUID, MUSCLE = -36.0, -45.0, -16.0


def _lung_base(rng: Generator) -> tuple[Probe, float, list[Structure]]:
    """The chest wall with two ribs and their shadows, down to the pleura; what is behind it is air."""
    height = int(rng.integers(150, 185))
    probe = Probe("curved", int(height * rng.uniform(1.05, 1.2)), height, radius=0.5, angle=0.55)
    pleura = rng.uniform(0.2, 0.27)
    parts = [
        Structure(layer(-0.1, pleura), MUSCLE, edge=None),
        Structure(layer(pleura, 1.5), AIR, edge=2, edge_width=0.014),
    ]
    return probe, pleura, parts


def _ribs(rng: Generator, pleura: float) -> list[Structure]:
    return [
        Structure(ellipse(side * rng.uniform(0.38, 0.46), pleura - 0.07, 0.08, 0.03), -4, edge=2, attenuation=25)
        for side in (-1, 1)
    ]


def _a_lines(pleura: float) -> list[Structure]:
    """Copies of the pleura's echo at multiples of its depth."""
    return [
        Structure(layer(k * pleura - 0.004, k * pleura + 0.004), -16 - 3 * k, edge=-8 - 3 * k, edge_width=0.012)
        for k in (2, 3, 4)
    ]


def _b_lines(rng: Generator, pleura: float, count: int) -> list[Structure]:
    """Bright rays from the pleura to the bottom, which wipe out A-lines."""
    places = np.linspace(-0.28, 0.28, count) + rng.uniform(-0.04, 0.04, count)
    return [
        Structure(capsule((x, pleura), (x * 1.6, 1.1), rng.uniform(0.025, 0.045)), -5, attenuation=0.7) for x in places
    ]


def _consolidation(rng: Generator, pleura: float) -> list[Structure]:
    """Tissue-like lung under the pleura (label 1), with bright air bronchograms."""
    x, size = rng.uniform(-0.2, 0.2), rng.uniform(0.14, 0.22)
    waves = [(5, 0.1, rng.uniform(0, 6)), (3, 0.08, rng.uniform(0, 6))]
    parts = [Structure(blob(x, pleura + size * 0.95, size * 1.15, size, 0, waves), -19, label=1, edge=-6)]
    for _ in range(4):
        bx, by = x + rng.uniform(-0.5, 0.5) * size, pleura + size * rng.uniform(0.5, 1.4)
        parts.append(Structure(ellipse(bx, by, 0.012, 0.012), 0, label=1))
    return parts


def lung(rng: Generator, variety: str) -> Scene:
    """A lesion (label 1) under the pleura: `effusion`, black fluid, or `consolidation`, tissue-like."""
    probe, pleura, parts = _lung_base(rng)
    if variety == "effusion":
        x, size = rng.uniform(-0.15, 0.15), rng.uniform(0.15, 0.22)
        fluid = blob(x, pleura + size * 0.9, size * 1.5, size, rng.uniform(-0.2, 0.2), [(3, 0.06, rng.uniform(0, 6))])
        parts.append(Structure(fluid, FLUID, label=1, edge=0, edge_width=0.012, attenuation=0.1))
    else:
        parts += _consolidation(rng, pleura)
    return Scene(probe, MUSCLE, [*parts, *_ribs(rng, pleura)])


def lung_disease(rng: Generator, variety: str) -> Scene:
    """`covid`: B-lines; `healthy`: A-lines; `other`: a consolidation."""
    probe, pleura, parts = _lung_base(rng)
    match variety:
        case "covid":
            parts += _b_lines(rng, pleura, int(rng.integers(4, 6)))
        case "healthy":
            parts += _a_lines(pleura)
        case _:
            parts += _consolidation(rng, pleura)
    return Scene(probe, MUSCLE, [*parts, *_ribs(rng, pleura)])


def heart(rng: Generator, variety: str) -> Scene:
    """Apical view. Labels: 1 left ventricle, 2 myocardium, 3 left atrium."""
    height = int(rng.integers(150, 190))
    probe = Probe("curved", int(height * rng.uniform(0.95, 1.1)), height, radius=0.12, angle=0.62)
    x, y, angle = rng.uniform(-0.06, 0.06), rng.uniform(0.4, 0.46), rng.uniform(-0.2, 0.2)
    rx, ry = rng.uniform(0.11, 0.15), rng.uniform(0.22, 0.27)
    wall = rng.uniform(0.05, 0.07)
    down = ry + rng.uniform(0.1, 0.13)
    ax, ay = x - down * np.sin(angle), y + down * np.cos(angle)
    parts = [
        Structure(ellipse(x + 0.26, y + 0.05, 0.1, 0.24, angle), -40, edge=-14, attenuation=0.4),
        Structure(ellipse(x, y, rx + wall, ry + wall, angle), -12, label=2, edge=-10),
        Structure(ellipse(ax, ay, rx * 1.1, rx * 0.95, angle), FLUID, label=3, edge=-5, attenuation=0.4),
        Structure(ellipse(x, y, rx, ry, angle), FLUID, label=1, edge=-5, attenuation=0.4),
    ]
    return Scene(probe, -24, parts)
