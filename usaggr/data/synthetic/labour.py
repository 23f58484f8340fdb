"""Drawing of labor in a transperineal view, under a curved probe: pubic symphysis and fetal head below it."""

import numpy as np

from usaggr.data.synthetic.body import Body
from usaggr.data.synthetic.difficulty import CONTRAST
from usaggr.data.synthetic.drawing import Drawing, labeled, place, size
from usaggr.data.synthetic.fetal_head import skull
from usaggr.data.synthetic.shapes import Ellipse, Point, turned
from usaggr.data.synthetic.tissue import CARTILAGE, FIBROUS, PLACENTA

BACKGROUND = PLACENTA.brighter(-4)


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
    b = size(rng, 0.21, 0.26)
    head = Ellipse(place(rng, 0.06, 0.26), place(rng, 0.58, 0.66), 1.15 * b, b, rng.uniform(0, 180))
    lower = turned((head.x + head.a + size(rng, 0.03, 0.08), head.y), place(rng, 212, 262), (head.x, head.y))
    upper = turned((lower[0] - 2 * size(rng, 0.13, 0.16), lower[1]), place(rng, 0, 45), lower)
    symphysis = _between(upper, lower, size(rng, 0.44, 0.54))
    inside = skull(body, rng, head)
    radius = symphysis.radius(body.x, body.y)
    body.fill(radius < 1.16, FIBROUS.brighter(4))
    bone = body.fill(radius < 1, CARTILAGE.brighter(6 * (1 - CONTRAST)))
    body.skin()
    return Drawing(labeled(body, bone, inside & ~bone), (upper, lower, max(head.tangents(lower))))


def _between(start: Point, end: Point, aspect: float) -> Ellipse:
    """Return the ellipse whose long axis ends at two points; `aspect` is the ratio of short to long axis."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    a = float(np.hypot(dx, dy)) / 2
    angle = float(np.degrees(np.arctan2(dy, dx)))
    return Ellipse((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, a, a * aspect, angle)
