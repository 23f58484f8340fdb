"""Drawing of the lung between the ribs, under a curved probe: chest wall, pleura, and the lung behind it.

Behind a healthy pleura is air, which shows only repetitions of the pleura at multiples of its depth (A-lines). Water in
the lung shows as bright bands along the beams (B-lines). A lung without air (consolidation) looks like liver.
"""

import numpy as np

from usaggr.data.synthetic.body import Body
from usaggr.data.synthetic.difficulty import CONTRAST
from usaggr.data.synthetic.drawing import Drawing, label_regions, pick_position, pick_side, pick_size
from usaggr.data.synthetic.geometry import Map, Mask, convert_to_map
from usaggr.data.synthetic.shapes import Ellipse, make_uneven
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
    pleura = _make_pleura_depth(body, rng)
    behind = body.view.depth - pleura
    body.fill(behind > 0, _AIR)
    _draw_a_lines(body, pleura, pick_size(rng, -8, 0) if kind == "healthy" else -14)
    match kind:
        case "healthy":
            lesion = np.zeros(body.echo.shape, np.bool_)
            if rng.random() < 0.4:  # a single thin B-line is not a finding
                _draw_b_lines(body, rng, behind, bands=1, half_width=pick_size(rng, 0.015, 0.03))
            _draw_pleura(body, behind, 0.015)
        case "interstitial":
            lesion = _draw_b_lines(body, rng, behind, bands=1, half_width=pick_size(rng, 0.12, 0.22))
            if rng.random() < 0.35:
                lesion |= _draw_consolidation(body, rng, pleura, pick_size(rng, 0.08, 0.11))
            _draw_pleura(body, behind, 0.014)
        case "covid":
            lesion = _draw_b_lines(
                body, rng, behind, bands=int(rng.integers(1, 4)), half_width=pick_size(rng, 0.04, 0.08)
            )
            waves = pick_size(rng, 0.012, 0.03) * np.sin(pick_size(rng, 30, 45) * body.x + rng.uniform(0, 6))
            _draw_pleura(body, convert_to_map(behind + waves), 0.018)
        case _:
            if rng.random() < 0.4:
                _draw_b_lines(body, rng, behind, bands=1, half_width=pick_size(rng, 0.02, 0.04))
            _draw_pleura(body, behind, 0.014)
            lesion = _draw_consolidation(body, rng, pleura, pick_size(rng, 0.17, 0.27))
    _draw_ribs(body, rng, pleura)
    body.draw_skin(0.03)
    return Drawing(label_regions(body, lesion))


def _make_pleura_depth(body: Body, rng: np.random.Generator) -> Map:
    """Draw the depth of the pleura under the probe at each pixel."""
    level, tilt = pick_size(rng, 0.2, 0.28), rng.uniform(-0.06, 0.06)
    # Half of the curvature of the probe's surface, around its mean: the pleura is flatter than the probe.
    bow = body.view.depth - body.y
    return convert_to_map(level + bow * 0.5 - bow.mean() * 0.5 + tilt * body.x)


def _draw_pleura(body: Body, behind: Map, half_width: float) -> None:
    """Draw the bright line of the pleura, where the depth `behind` it is 0."""
    body.fill(np.abs(behind) < half_width, _PLEURA)


def _draw_a_lines(body: Body, pleura: Map, level: float) -> None:
    """Draw repetitions of the pleura at 2, 3 and 4 times its depth; `level` in decibels changes their brightness."""
    for order in (2, 3, 4):
        line = np.exp(-(((body.view.depth - order * pleura) / 0.014) ** 2))
        body.brighten(convert_to_map(line * (36 + level - 3 * order)))


def _draw_b_lines(body: Body, rng: np.random.Generator, behind: Map, bands: int, half_width: float) -> Mask:
    """Draw bright bands along the beams from the pleura to the bottom, and return their pixels."""
    where = np.zeros(body.echo.shape, np.bool_)
    for band in range(bands):
        low, high = 0.18 + 0.64 * band / bands, 0.18 + 0.64 * (band + 1) / bands
        middle = pick_position(rng, low + half_width * 0.5, high - half_width * 0.5)
        where |= (np.abs(body.view.beam - middle) < half_width) & (behind > 0)
    return body.fill(where, _WATERY)


def _draw_consolidation(body: Body, rng: np.random.Generator, pleura: Map, a: float) -> Mask:
    """Draw a dark region of half width `a` below the pleura, with bright air in it and sometimes fluid at its side."""
    b = a * pick_size(rng, 0.75, 0.85)
    room = max(body.half_width - a - 0.1, 0.05)
    outline = Ellipse(
        pick_position(rng, -room, room),
        float(pleura.mean()) + 0.75 * b + pick_position(rng, 0, 0.1),
        a,
        b,
        rng.uniform(-20, 20),
    )
    radius = make_uneven(rng, outline, 0.08).get_radius(body.x, body.y)
    inside = (radius < 1) & (body.view.depth > pleura + 0.015)
    # The far border, next to lung with air, is ragged and bright.
    ragged = radius + 0.05 * np.sin(40 * body.x + 25 * body.y)
    body.fill((ragged < 1.16) & (body.y > outline.y), _PLEURA.brighten(-5))
    body.fill(inside, Tissue(-18 + 12 * CONTRAST, attenuation=12, mottle=3))
    for _ in range(rng.integers(3, 6)):
        spot = Ellipse(*outline.get_point(*rng.uniform(-0.5, 0.5, 2)), 0.02, 0.008, rng.uniform(-60, 60))
        body.fill(spot.get_radius(body.x, body.y) < 1, FIBROUS.brighten(4))
    if rng.random() < 0.5:
        side = Ellipse(*outline.get_point(0.75 * pick_side(rng), 0.1), 0.3 * a, 0.35 * b)
        body.fill((side.get_radius(body.x, body.y) < 1) & inside, FLUID)
    return np.asarray(inside)


def _draw_ribs(body: Body, rng: np.random.Generator, pleura: Map) -> None:
    """Draw a rib with its shadow at each side."""
    for side in (-1, 1):
        rib = Ellipse(side * (body.half_width * pick_size(rng, 0.8, 0.95)), float(pleura.mean()) - 0.06, 0.07, 0.025)
        body.fill(rib.get_radius(body.x, body.y) < 1, BONE)
