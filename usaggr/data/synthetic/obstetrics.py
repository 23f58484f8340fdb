"""Fetal head, abdomen, heart, femur, spine and the maternal cervix: curved probe, fluid around, bright bone."""

import numpy as np

from usaggr.data.synthetic.scene import Probe, Scene, Structure
from usaggr.data.synthetic.shapes import Shape, both, capsule, ellipse, layer, without

Generator = np.random.Generator
Point = tuple[float, float]

FLUID, TISSUE, BRAIN, BONE, MUSCLE = -44.0, -16.0, -24.0, 2.0, -20.0
HEAD_POSITIONS = ("LOA", "LOP", "LOT", "NOA", "NOP", "ROA", "ROP", "ROT")
_DIRECTION = {"NOA": 90, "LOA": 45, "LOT": 0, "LOP": -45, "NOP": -90, "ROP": -135, "ROT": 180, "ROA": 135}
"""Where the occiput points, in degrees from the image's right, upwards."""


def _probe(rng: Generator) -> Probe:
    height = int(rng.integers(150, 190))
    return Probe("curved", int(height * rng.uniform(1.1, 1.25)), height, radius=0.4, angle=0.62)


def _womb(rng: Generator) -> list[Structure]:
    """Abdominal wall and uterus in front, amniotic fluid, and the far wall."""
    near = rng.uniform(0.1, 0.16)
    wave = (rng.uniform(0.005, 0.02), rng.uniform(0.6, 1.2), rng.uniform(0, 6))
    return [
        Structure(layer(-0.1, near, wave=wave), TISSUE, edge=-8, edge_width=0.012),
        Structure(layer(near, 0.9, wave=wave), FLUID, attenuation=0.3),
        Structure(layer(0.9, 1.5, wave=wave), TISSUE + 4, edge=-6, edge_width=0.015),
    ]


def _turned(x: float, y: float, along: float, across: float, angle: float) -> Point:
    return x + along * np.cos(angle) - across * np.sin(angle), y + along * np.sin(angle) + across * np.cos(angle)


def _skull(x: float, y: float, rx: float, ry: float, angle: float, label: int) -> list[Structure]:
    head = ellipse(x, y, rx, ry, angle)
    ends = _turned(x, y, -rx * 0.85, 0, angle), _turned(x, y, rx * 0.85, 0, angle)
    return [
        Structure(head, BRAIN, label=label, edge=BONE, edge_width=0.02, attenuation=0.9),
        Structure(capsule(*ends, 0.006), -6, label=label),
    ]


def fetal_head(rng: Generator, variety: str) -> Scene:
    """Head circumference plane: skull, midline and two dark ventricles."""
    x, y, angle = rng.uniform(-0.12, 0.12), rng.uniform(0.42, 0.58), rng.uniform(-0.7, 0.7)
    rx = rng.uniform(0.24, 0.36)
    ry = rx * rng.uniform(0.7, 0.85)
    parts = _skull(x, y, rx, ry, angle, 1)
    for side in (-1, 1):
        cx, cy = _turned(x, y, rx * 0.3, side * ry * 0.35, angle)
        parts.append(Structure(ellipse(cx, cy, rx * 0.3, ry * 0.13, angle), FLUID + 4, label=1, edge=-14))
    return Scene(_probe(rng), TISSUE, [*_womb(rng), *parts])


def fetal_head_position(rng: Generator, variety: str) -> Scene:
    """Transverse view of the head: eyes opposite to the occiput, which points where the class says."""
    direction = np.deg2rad(_DIRECTION[variety] + rng.uniform(-12, 12))
    ux, uy = np.cos(direction), -np.sin(direction)
    x, y, radius = rng.uniform(-0.06, 0.06), rng.uniform(0.46, 0.54), rng.uniform(0.27, 0.33)
    parts = [Structure(ellipse(x, y, radius, radius * 0.92), BRAIN, edge=BONE, edge_width=0.02)]
    occiput = ellipse(x + 0.62 * radius * ux, y + 0.62 * radius * uy, radius * 0.3, radius * 0.3)
    parts.append(Structure(occiput, -4, edge=0))
    for side in (-1, 1):
        cx = x - 0.55 * radius * ux - side * 0.4 * radius * uy
        cy = y - 0.55 * radius * uy + side * 0.4 * radius * ux
        parts.append(Structure(ellipse(cx, cy, radius * 0.22, radius * 0.22), FLUID, edge=-4, attenuation=0.3))
    return Scene(_probe(rng), TISSUE, [*_womb(rng), *parts])


def fetal_sacrum(rng: Generator, variety: str) -> Scene:
    """The fetal spine from the side: a row of vertebrae that leads from the skull where the class says."""
    direction = np.deg2rad(_DIRECTION[variety] + rng.uniform(-12, 12))
    ux, uy = np.cos(direction), -np.sin(direction)
    x, y = rng.uniform(-0.05, 0.05), rng.uniform(0.47, 0.54)
    parts = [Structure(ellipse(x, y, 0.34, 0.3), MUSCLE, edge=-12)]
    parts += _skull(x - 0.2 * ux, y - 0.2 * uy, 0.13, 0.11, -direction, 0)
    for i in range(5):
        step = -0.04 + 0.07 * i
        cx, cy = x + step * ux, y + step * uy
        parts.append(Structure(ellipse(cx, cy, 0.024, 0.024), BONE, edge=BONE, attenuation=3))
    return Scene(_probe(rng), TISSUE, [*_womb(rng), *parts])


def fetal_abdomen(rng: Generator, variety: str) -> Scene:
    """Abdominal circumference plane. Labels: 1 artery, 2 liver, 3 stomach, 4 vein."""
    x, y, angle = rng.uniform(-0.08, 0.08), rng.uniform(0.47, 0.55), rng.uniform(-0.5, 0.5)
    radius = rng.uniform(0.29, 0.36)
    abdomen = ellipse(x, y, radius * 1.05, radius, angle)
    parts = [Structure(abdomen, MUSCLE, edge=-2, edge_width=0.015)]
    lx, ly = _turned(x, y, 0.35 * radius, -0.1 * radius, angle)
    parts.append(Structure(both(abdomen, ellipse(lx, ly, radius * 0.6, radius * 0.75, angle)), -9, label=2))
    sx, sy = _turned(x, y, -0.45 * radius, 0.05 * radius, angle)
    size = rng.uniform(0.25, 0.34)
    parts.append(Structure(ellipse(sx, sy, radius * size, radius * size * 0.75, angle), FLUID, 3, -10, attenuation=0.2))
    start, end = _turned(x, y, 0.15 * radius, -0.6 * radius, angle), _turned(x, y, 0.4 * radius, -0.1 * radius, angle)
    parts.append(Structure(capsule(start, end, radius * 0.1), FLUID, 4, -10, attenuation=0.2))
    vx, vy = _turned(x, y, 0.0, 0.72 * radius, angle)
    parts.append(Structure(ellipse(vx, vy, radius * 0.13, radius * 0.1), BONE, edge=BONE, attenuation=8))
    ax, ay = _turned(x, y, -0.05 * radius, 0.42 * radius, angle)
    parts.append(Structure(ellipse(ax, ay, radius * 0.13, radius * 0.13), FLUID, 1, -6, attenuation=0.2))
    return Scene(_probe(rng), TISSUE, [*_womb(rng), *parts])


def _thorax(rng: Generator, label: int) -> list[Structure]:
    x, y, angle = rng.uniform(-0.08, 0.08), rng.uniform(0.45, 0.55), rng.uniform(0, 6.2)
    radius = rng.uniform(0.29, 0.35)
    parts = [Structure(ellipse(x, y, radius * 1.05, radius), -13, edge=0, edge_width=0.014)]
    hx, hy = _turned(x, y, 0.3 * radius, 0, angle)
    turn, size = angle + 0.7, radius * rng.uniform(0.48, 0.58)
    parts.append(Structure(ellipse(hx, hy, size * 1.2, size, turn), -19, label, -8))
    for along in (-1, 1):
        for across in (-1, 1):
            cx, cy = _turned(hx, hy, along * 0.52 * size, across * 0.42 * size, turn)
            parts.append(Structure(ellipse(cx, cy, size * 0.4, size * 0.3, turn), FLUID, label, -14, attenuation=0.2))
    return parts


def fetal_heart(rng: Generator, variety: str) -> Scene:
    """Four-chamber view: the heart within the thorax."""
    return Scene(_probe(rng), TISSUE, [*_womb(rng), *_thorax(rng, 1)])


def fetal_femur(rng: Generator, variety: str) -> Scene:
    """The thigh with its bone, a bright bar with a shadow; landmarks are the bone's ends, left then right."""
    x, y, angle = rng.uniform(-0.14, 0.14), rng.uniform(0.34, 0.62), rng.uniform(-0.6, 0.6)
    half = rng.uniform(0.15, 0.25)
    ends = _turned(x, y, -half, 0, angle), _turned(x, y, half, 0, angle)
    parts = [
        Structure(ellipse(x, y, half * 1.5, half * 0.75, angle), MUSCLE, edge=-12),
        Structure(capsule(*ends, 0.018), BONE, edge=BONE + 2, edge_width=0.012, attenuation=14),
    ]
    return Scene(_probe(rng), TISSUE, [*_womb(rng), *parts], landmarks=ends)


def _cervix(rng: Generator) -> tuple[list[Structure], tuple[Point, Point]]:
    """Labels: 1 anterior lip, 2 posterior lip; the two ends of the canal, from the inner to the outer one."""
    x, y, angle = rng.uniform(-0.1, 0.1), rng.uniform(0.4, 0.58), rng.uniform(-0.4, 0.4)
    half, thick = rng.uniform(0.17, 0.26), rng.uniform(0.12, 0.17)
    ends = _turned(x, y, -half, 0, angle), _turned(x, y, half, 0, angle)
    whole = capsule(*ends, thick)
    ux, uy = _turned(x, y, 0, -1.0, angle)
    upper = ellipse(ux, uy, 9.0, 1.0, angle)
    bladder = ellipse(x - 0.28, y - 0.26, 0.16, 0.09, 0.2)
    parts = [
        Structure(bladder, FLUID, edge=-10, attenuation=0.1),
        Structure(without(whole, upper), -11, label=2, edge=-6),
        Structure(both(whole, upper), -15, label=1, edge=-6),
        Structure(capsule(*ends, 0.014), FLUID + 6, edge=-1, edge_width=0.012),
    ]
    return parts, ends


def cervix(rng: Generator, variety: str) -> Scene:
    """Transvaginal view of the cervix; landmarks are the inner and the outer end of its canal."""
    parts, ends = _cervix(rng)
    return Scene(_probe(rng), -22, parts, landmarks=ends)


def head_and_symphysis(rng: Generator, variety: str) -> Scene:
    """Transperineal view. Labels: 1 symphysis, 2 head.

    Landmarks: the symphysis' upper and lower end, and the point of the head that a tangent from the lower end touches.
    """
    x, y, angle = rng.uniform(-0.34, -0.22), rng.uniform(0.22, 0.32), rng.uniform(0.2, 0.7)
    half = rng.uniform(0.1, 0.14)
    upper, lower = _turned(x, y, -half, 0, angle), _turned(x, y, half, 0, angle)
    hx, hy = rng.uniform(0.02, 0.14), rng.uniform(0.52, 0.64)
    rx = rng.uniform(0.24, 0.3)
    ry, turn = rx * rng.uniform(0.8, 0.9), rng.uniform(-0.5, 0.5)
    parts = [
        *_skull(hx, hy, rx, ry, turn, 2),
        Structure(ellipse(x, y, half, half * 0.42, angle), -12, label=1, edge=0, edge_width=0.014),
    ]
    touch = _tangent_point(lower, (hx, hy), rx, ry, turn)
    return Scene(_probe(rng), TISSUE - 2, parts, landmarks=(upper, lower, touch))


def _tangent_point(start: Point, centre: Point, rx: float, ry: float, angle: float) -> Point:
    """Where a line from a point touches an ellipse on the side away from the probe's left: the one more to the right.

    In the ellipse's own frame, scaled to a unit circle, tangents are found at an angle acos(1 / distance).
    """
    dx, dy = start[0] - centre[0], start[1] - centre[1]
    u = (dx * np.cos(angle) + dy * np.sin(angle)) / rx
    v = (-dx * np.sin(angle) + dy * np.cos(angle)) / ry
    bearing, spread = np.arctan2(v, u), np.arccos(min(1.0, 1 / max(np.hypot(u, v), 1.0)))
    points = [
        _turned(*centre, rx * np.cos(bearing + s * spread), ry * np.sin(bearing + s * spread), angle) for s in (-1, 1)
    ]
    return max(points)


def fetal_plane(rng: Generator, variety: str) -> Scene:
    """One of the standard planes; `other` shows tissue and fluid without a standard structure."""
    match variety:
        case "abdomen":
            return fetal_abdomen(rng, variety)
        case "brain":
            return fetal_head(rng, variety)
        case "femur":
            return fetal_femur(rng, variety)
        case "thorax":
            return fetal_heart(rng, variety)
        case "cervix":
            return cervix(rng, variety)
    parts: list[Structure] = []
    for _ in range(4):
        shape: Shape = ellipse(rng.uniform(-0.4, 0.4), rng.uniform(0.25, 0.8), *rng.uniform(0.06, 0.16, 2))
        parts.append(Structure(shape, rng.uniform(-22, -8), edge=-14))
    return Scene(_probe(rng), TISSUE, [*_womb(rng), *parts])
