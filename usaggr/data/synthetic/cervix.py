"""Drawing of the cervix in pregnancy along its canal, under a curved probe: bladder, lips, and the head in fluid."""

import numpy as np

from usaggr.data.synthetic.body import Body
from usaggr.data.synthetic.difficulty import CONTRAST
from usaggr.data.synthetic.drawing import Drawing, label_regions, pick_position, pick_size
from usaggr.data.synthetic.shapes import Ellipse, distance_to_segment, make_uneven, rotate
from usaggr.data.synthetic.tissue import FIBROUS, FLUID, PLACENTA, SOFT, THIN_BONE, Tissue

BACKGROUND = PLACENTA

_LIP = Tissue(-11, attenuation=20, impedance=0.3, mottle=2)


def draw(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw a cervix; the classes are anterior and posterior lip, the landmarks inner and outer end of the canal.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: Not used; there is one kind.
    """
    x, y = body.x, body.y
    middle = (pick_position(rng, -0.12, 0.14), pick_position(rng, 0.42, 0.58))
    half, thickness, angle = pick_size(rng, 0.25, 0.33), pick_size(rng, 0.11, 0.15), pick_position(rng, -28, 28)
    inner, outer = (rotate((middle[0] + side * half, middle[1]), angle, middle) for side in (-1, 1))
    sac = Ellipse(*rotate((inner[0] - 0.33, inner[1] + 0.03), angle, inner), 0.36, 0.3, angle + 90)
    _draw_fetus(body, rng, sac)
    bladder = Ellipse(middle[0] - 0.1, middle[1] - thickness - 0.24, 0.2, 0.1, angle)
    body.fill(make_uneven(rng, bladder, 0.08).get_radius(x, y) < 1, FLUID)
    outline = Ellipse(*middle, half * 1.12, thickness * 1.25, angle)
    body.fill(outline.get_radius(x, y) < 1.08, FIBROUS.brighten(-3))
    cervix = body.fill(outline.get_radius(x, y) < 1, _LIP.brighten(6 * (1 - CONTRAST)))
    canal = distance_to_segment(x, y, inner, outer)
    body.fill(canal < 0.02, _LIP.brighten(-8))
    body.fill(canal < 0.009, FIBROUS.brighten(3))
    for end, radius in ((inner, 0.022), (outer, 0.03)):
        body.fill(distance_to_segment(x, y, end, (end[0] + 0.001, end[1])) < radius, FIBROUS.brighten(8))
    body.draw_skin()
    _, across = outline.to_local(x, y)
    return Drawing(label_regions(body, cervix & (across < 0), cervix & (across >= 0)), (inner, outer))


def draw_whole(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw a cervix with one class for both lips.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: Not used; there is one kind.
    """
    drawing = draw(body, rng, kind)
    assert drawing.mask is not None
    return Drawing(np.minimum(drawing.mask, 1).astype(np.uint8), drawing.points)


def _draw_fetus(body: Body, rng: np.random.Generator, sac: Ellipse) -> None:
    """Draw fluid at the inner end of the canal, and the bright arc of the head in it."""
    body.fill(make_uneven(rng, sac, 0.04).get_radius(body.x, body.y) < 1, FLUID)
    head = Ellipse(sac.x - 0.08, sac.y + 0.02, 0.27, 0.24, sac.angle).get_radius(body.x, body.y)
    body.fill(head < 1, THIN_BONE)
    body.fill(head < 0.9, SOFT.brighten(-14))
