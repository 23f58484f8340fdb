"""Drawing of the fetal body in cross-section, under a curved probe: abdomen, chest with heart, spine, and thigh."""

import numpy as np

from usaggr.data.synthetic import cervix, fetal_head
from usaggr.data.synthetic.body import Body
from usaggr.data.synthetic.difficulty import CONTRAST
from usaggr.data.synthetic.drawing import Drawing, label_regions, pick_position, pick_side, pick_size
from usaggr.data.synthetic.fetal_head import DIRECTIONS, draw_womb
from usaggr.data.synthetic.geometry import Mask
from usaggr.data.synthetic.shapes import Ellipse, Point, compute_distance_to_curve, distance_to_segment, make_uneven
from usaggr.data.synthetic.tissue import BLOOD, BONE, FIBROUS, FLUID, LIVER, MUSCLE, PLACENTA, SKIN, SOFT

BACKGROUND = PLACENTA


def draw_plane(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw a standard plane; planes of the femur have landmarks.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: "abdomen", "brain", "femur", "thorax", "cervix" or "other".
    """
    match kind:
        case "abdomen":
            return draw_abdomen(body, rng, kind)
        case "brain":
            return fetal_head.draw(body, rng, kind)
        case "femur":
            return draw_femur(body, rng, kind)
        case "thorax":
            return draw_heart(body, rng, kind)
        case "cervix":
            return cervix.draw(body, rng, kind)
        case _:
            return _draw_other(body, rng)


def draw_abdomen(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw an abdomen; the classes are artery, liver, stomach and vein, in this order.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: Not used; there is one kind.
    """
    draw_womb(body, rng)
    trunk, _ = _draw_trunk(body, rng, rng.uniform(-45, 45))
    x, y = body.x, body.y
    u, v = trunk.to_local(x, y)
    liver = body.fill(
        (make_uneven(rng, trunk.scale(0.86), 0.03).get_radius(x, y) < 1) & (u < 0.2 + 0.3 * v), LIVER.brighten(3)
    )
    spine = _draw_spine(body, trunk.get_point(0, 0.82), trunk.angle)
    stomach = _draw_vessel(
        body, Ellipse(*trunk.get_point(0.48, -0.12), 0.2 * trunk.a, 0.27 * trunk.a, trunk.angle + 20)
    )
    path = [trunk.get_point(*p) for p in ((-0.1, -0.75), (-0.12, -0.4), (-0.3, -0.12))]
    distance = compute_distance_to_curve(x, y, path)
    body.fill(distance < 0.052, FIBROUS.brighten(-3))
    vein = body.fill(distance < 0.042, BLOOD)
    artery = _draw_vessel(body, Ellipse(*trunk.get_point(0.12, 0.42), 0.13 * trunk.a, 0.13 * trunk.a))
    body.draw_skin()
    covered = artery | stomach | vein | spine
    return Drawing(label_regions(body, artery, liver & ~covered, stomach, vein))


def draw_heart(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw a chest with the four chambers of the heart, which is the class.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: Not used; there is one kind.
    """
    draw_womb(body, rng)
    trunk, _ = _draw_trunk(body, rng, rng.uniform(-50, 50))
    for side in (-1, 1):
        ribs = compute_distance_to_curve(body.x, body.y, [trunk.get_point(side * 0.8, v) for v in (-0.45, 0.0, 0.45)])
        body.fill(ribs < 0.014, BONE.brighten(-6))
    _draw_spine(body, trunk.get_point(0, 0.82), trunk.angle)
    a = trunk.a * pick_size(rng, 0.46, 0.54)
    heart = Ellipse(
        *trunk.get_point(pick_position(rng, -0.2, 0.2), -0.12),
        a,
        0.8 * a,
        trunk.angle + pick_side(rng) * pick_size(rng, 25, 60),
    )
    radius = heart.get_radius(body.x, body.y)
    inside = body.fill(radius < 1, MUSCLE.brighten(4 * CONTRAST))
    for u, half in ((-0.4, 0.36), (0.36, 0.42)):
        for v in (-0.42, 0.42):
            chamber = Ellipse(*heart.get_point(u, v), half * heart.a, 0.34 * heart.b, heart.angle)
            body.fill(chamber.get_radius(body.x, body.y) < 1, BLOOD)
    body.draw_skin()
    return Drawing(label_regions(body, inside))


def draw_sacrum(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw a trunk with the spine in one of eight directions.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: Key of DIRECTIONS, the direction of the spine.
    """
    draw_womb(body, rng, pool=False)
    angle = DIRECTIONS[kind] + float(rng.uniform(-10, 10)) - 90
    trunk, inside = _draw_trunk(body, rng, angle)
    _draw_vessel(
        body,
        Ellipse(*trunk.get_point(pick_position(rng, -0.15, 0.15), -0.5), 0.42 * trunk.a, 0.26 * trunk.a, trunk.angle),
    )
    _draw_spine(body, trunk.get_point(0, 0.68), trunk.angle, 2.2 * CONTRAST)
    body.draw_skin()
    return Drawing(label_regions(body, inside))


def draw_femur(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw a thigh with the femur, whose ends are the landmarks, from left to right.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: Not used; there is one kind.
    """
    draw_womb(body, rng)
    half, angle = pick_size(rng, 0.2, 0.36), pick_position(rng, -50, 50)
    middle = (pick_position(rng, -0.16, 0.16), pick_position(rng, 0.42, 0.58))
    bone = Ellipse(*middle, half, half * 0.5, angle)
    body.fill(make_uneven(rng, bone.scale(1.35), 0.06).get_radius(body.x, body.y) < 1, SKIN.brighten(-6))
    body.fill(make_uneven(rng, bone.scale(1.28), 0.06).get_radius(body.x, body.y) < 1, SOFT.brighten(-5))
    start, end = bone.get_point(-1, 0), bone.get_point(1, 0)
    body.fill(distance_to_segment(body.x, body.y, start, end) < pick_size(rng, 0.018, 0.024), BONE)
    body.draw_skin()
    return Drawing(points=(start, end))


def _draw_other(body: Body, rng: np.random.Generator) -> Drawing:
    """Draw a pool of fluid with loops of the umbilical cord, below the placenta."""
    body.fill(body.y < pick_size(rng, 0.1, 0.14), MUSCLE)
    pool = make_uneven(rng, Ellipse(pick_position(rng, -0.1, 0.1), pick_position(rng, 0.6, 0.68), 0.6, 0.33), 0.1)
    inside = pool.get_radius(body.x, body.y) < 1
    body.fill(inside, FLUID)
    for _ in range(rng.integers(3, 6)):
        loop = Ellipse(*pool.ellipse.get_point(*rng.uniform(-0.6, 0.6, 2)), 0.06, 0.045, rng.uniform(0, 180))
        radius = loop.get_radius(body.x, body.y)
        body.fill((radius < 1) & inside, SOFT.brighten(5))
        body.fill((radius < 0.45) & inside, FLUID)
    body.draw_skin()
    return Drawing(np.zeros(body.echo.shape, np.uint8))


def _draw_trunk(body: Body, rng: np.random.Generator, angle: float) -> tuple[Ellipse, Mask]:
    """Draw skin and soft tissue of the trunk in cross-section; its back is in the direction of the second axis."""
    a = pick_size(rng, 0.33, 0.39)
    room = max(body.half_width - a - 0.02, 0.0)
    trunk = Ellipse(
        pick_position(rng, -room, room), pick_position(rng, 0.5, 0.56), a, a * pick_size(rng, 0.9, 1.0), float(angle)
    )
    radius = trunk.get_radius(body.x, body.y)
    body.fill(radius < 1.06, SKIN)
    return trunk, body.fill(radius < 1, SOFT.brighten(-3))


def _draw_spine(body: Body, middle: Point, angle: float, scale: float = 1.0) -> Mask:
    """Draw three ossification centers with their shadows, and return their pixels."""
    where = np.zeros(body.echo.shape, np.bool_)
    center = Ellipse(*middle, 0.05 * scale, 0.045 * scale, angle)
    for u, v in ((0.0, -1.0), (-0.9, 0.5), (0.9, 0.5)):
        spot = Ellipse(*center.get_point(u, v), 0.028 * scale, 0.02 * scale, angle)
        where |= body.fill(spot.get_radius(body.x, body.y) < 1, BONE)
    return where


def _draw_vessel(body: Body, outline: Ellipse) -> Mask:
    """Draw a bright wall filled with fluid, and return the pixels of the fluid."""
    radius = outline.get_radius(body.x, body.y)
    body.fill(radius < 1 + 0.012 / outline.a, FIBROUS.brighten(-3))
    return body.fill(radius < 1, FLUID)
