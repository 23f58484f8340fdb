"""Drawing of the lung between the ribs, under a curved probe: chest wall, pleura, and the lung behind it.

Behind a healthy pleura is air, which shows only repetitions of the pleura at multiples of its depth (A-lines). Water in
the lung shows as bright bands along the beams (B-lines). A lung without air (consolidation) looks like liver.
"""

import numpy as np

from usaggr.data.synthetic.body import Body
from usaggr.data.synthetic.difficulty import CONTRAST
from usaggr.data.synthetic.drawing import Drawing, labeled, place, sign, size
from usaggr.data.synthetic.geometry import Map, Mask, as_map
from usaggr.data.synthetic.shapes import Ellipse, uneven
from usaggr.data.synthetic.tissue import BONE, FIBROUS, FLUID, MUSCLE, Tissue

BACKGROUND = MUSCLE

_AIR = Tissue(-26, attenuation=32, mottle=3)
_PLEURA = Tissue(19, impedance=1.0)
_WATERY = Tissue(5, attenuation=12, mottle=2)


def draw(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw a lung; the class is the finding.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: "healthy" (A-lines), "interstitial" (B-lines), "consolidation", or "covid" (B-lines and an uneven pleura).
    """
    pleura = _pleural_depth(body, rng)
    behind = body.view.depth - pleura
    body.fill(behind > 0, _AIR)
    _a_lines(body, pleura, size(rng, -8, 0) if kind == "healthy" else -14)
    match kind:
        case "healthy":
            lesion = np.zeros(body.echo.shape, np.bool_)
            if rng.random() < 0.4:  # a single thin B-line is not a finding
                _b_lines(body, rng, behind, bands=1, half_width=size(rng, 0.015, 0.03))
            _line(body, behind, 0.015)
        case "interstitial":
            lesion = _b_lines(body, rng, behind, bands=1, half_width=size(rng, 0.12, 0.22))
            if rng.random() < 0.35:
                lesion |= _consolidation(body, rng, pleura, size(rng, 0.08, 0.11))
            _line(body, behind, 0.014)
        case "covid":
            lesion = _b_lines(body, rng, behind, bands=int(rng.integers(1, 4)), half_width=size(rng, 0.04, 0.08))
            waves = size(rng, 0.012, 0.03) * np.sin(size(rng, 30, 45) * body.x + rng.uniform(0, 6))
            _line(body, as_map(behind + waves), 0.018)
        case _:
            if rng.random() < 0.4:
                _b_lines(body, rng, behind, bands=1, half_width=size(rng, 0.02, 0.04))
            _line(body, behind, 0.014)
            lesion = _consolidation(body, rng, pleura, size(rng, 0.17, 0.27))
    _ribs(body, rng, pleura)
    body.skin(0.03)
    return Drawing(labeled(body, lesion))


def _pleural_depth(body: Body, rng: np.random.Generator) -> Map:
    """Draw the depth of the pleura under the probe at each pixel."""
    level, tilt = size(rng, 0.2, 0.28), rng.uniform(-0.06, 0.06)
    bow = body.view.depth - body.y
    return as_map(level + bow * 0.5 - bow.mean() * 0.5 + tilt * body.x)


def _line(body: Body, behind: Map, half_width: float) -> None:
    body.fill(np.abs(behind) < half_width, _PLEURA)


def _a_lines(body: Body, pleura: Map, level: float) -> None:
    for order in (2, 3, 4):
        line = np.exp(-(((body.view.depth - order * pleura) / 0.014) ** 2))
        body.brighten(as_map(line * (36 + level - 3 * order)))


def _b_lines(body: Body, rng: np.random.Generator, behind: Map, bands: int, half_width: float) -> Mask:
    """Draw bright bands along the beams from the pleura to the bottom, and return their pixels."""
    where = np.zeros(body.echo.shape, np.bool_)
    for band in range(bands):
        low, high = 0.18 + 0.64 * band / bands, 0.18 + 0.64 * (band + 1) / bands
        middle = place(rng, low + half_width * 0.5, high - half_width * 0.5)
        where |= (np.abs(body.view.beam - middle) < half_width) & (behind > 0)
    return body.fill(where, _WATERY)


def _consolidation(body: Body, rng: np.random.Generator, pleura: Map, a: float) -> Mask:
    """Draw a dark region of half width `a` below the pleura, with bright air in it and sometimes fluid at its side."""
    b = a * size(rng, 0.75, 0.85)
    room = max(body.side - a - 0.1, 0.05)
    outline = Ellipse(
        place(rng, -room, room), float(pleura.mean()) + 0.75 * b + place(rng, 0, 0.1), a, b, rng.uniform(-20, 20)
    )
    radius = uneven(rng, outline, 0.08).radius(body.x, body.y)
    inside = (radius < 1) & (body.view.depth > pleura + 0.015)
    # The far border, next to lung with air, is ragged and bright.
    ragged = radius + 0.05 * np.sin(40 * body.x + 25 * body.y)
    body.fill((ragged < 1.16) & (body.y > outline.y), _PLEURA.brighter(-5))
    body.fill(inside, Tissue(-18 + 12 * CONTRAST, attenuation=12, mottle=3))
    for _ in range(rng.integers(3, 6)):
        spot = Ellipse(*outline.at(*rng.uniform(-0.5, 0.5, 2)), 0.02, 0.008, rng.uniform(-60, 60))
        body.fill(spot.radius(body.x, body.y) < 1, FIBROUS.brighter(4))
    if rng.random() < 0.5:
        side = Ellipse(*outline.at(0.75 * sign(rng), 0.1), 0.3 * a, 0.35 * b)
        body.fill((side.radius(body.x, body.y) < 1) & inside, FLUID)
    return np.asarray(inside)


def _ribs(body: Body, rng: np.random.Generator, pleura: Map) -> None:
    """Draw a rib with its shadow at each side."""
    for side in (-1, 1):
        rib = Ellipse(side * (body.side * size(rng, 0.8, 0.95)), float(pleura.mean()) - 0.06, 0.07, 0.025)
        body.fill(rib.radius(body.x, body.y) < 1, BONE)
