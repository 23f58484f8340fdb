"""Drawing of labor in a transperineal view, under a curved probe: pubic symphysis and fetal head below it."""

import numpy as np

from usaggr.data.synthetic.body import Body
from usaggr.data.synthetic.difficulty import CONTRAST
from usaggr.data.synthetic.drawing import Drawing, label_regions, pick_position, pick_size
from usaggr.data.synthetic.fetal_head import draw_skull
from usaggr.data.synthetic.shapes import Ellipse, Point, rotate
from usaggr.data.synthetic.tissue import CARTILAGE, FIBROUS, PLACENTA

BACKGROUND = PLACENTA.brighten(-4)


def draw(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw symphysis and head, which are the classes.

    The landmarks are both ends of the symphysis, and the point where a tangent from its lower end touches the head. The
    angle between the symphysis and this tangent is the angle of progression (Barbera et al., Ultrasound in Obstetrics
    and Gynecology 33, 2009).

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: Not used; there is one kind.
    """
    b = pick_size(rng, 0.21, 0.26)
    head = Ellipse(pick_position(rng, 0.06, 0.26), pick_position(rng, 0.58, 0.66), 1.15 * b, b, rng.uniform(0, 180))
    lower = rotate(
        (head.x + head.a + pick_size(rng, 0.03, 0.08), head.y), pick_position(rng, 212, 262), (head.x, head.y)
    )
    upper = rotate((lower[0] - 2 * pick_size(rng, 0.13, 0.16), lower[1]), pick_position(rng, 0, 45), lower)
    symphysis = _span_ellipse(upper, lower, pick_size(rng, 0.44, 0.54))
    inside = draw_skull(body, rng, head)
    radius = symphysis.get_radius(body.x, body.y)
    body.fill(radius < 1.16, FIBROUS.brighten(4))
    bone = body.fill(radius < 1, CARTILAGE.brighten(6 * (1 - CONTRAST)))
    body.draw_skin()
    return Drawing(label_regions(body, bone, inside & ~bone), (upper, lower, max(head.find_tangents(lower))))


def _span_ellipse(start: Point, end: Point, aspect: float) -> Ellipse:
    """Return the ellipse whose long axis ends at two points; `aspect` is the ratio of short to long axis."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    a = float(np.hypot(dx, dy)) / 2
    angle = float(np.degrees(np.arctan2(dy, dx)))
    return Ellipse((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, a, a * aspect, angle)
