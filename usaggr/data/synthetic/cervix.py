"""Drawing of a cervix in pregnancy, in a section along its canal, under a curved probe.

It shows the anterior and the posterior lip with the canal between them, the bladder above, and the head of the fetus in
fluid at the inner end of the canal. Lengths are in image heights; x is 0 in the middle of the image, y is 0 at its top.
A changed number needs a new GENERATOR_VERSION (`writer.py`).
"""

import numpy as np

from usaggr.data.synthetic.body import Body
from usaggr.data.synthetic.difficulty import CONTRAST
from usaggr.data.synthetic.drawing import Drawing, label_regions, pick_position, pick_size
from usaggr.data.synthetic.shapes import Ellipse, distance_to_segment, make_uneven, rotate
from usaggr.data.synthetic.tissue import FIBROUS, FLUID, PLACENTA, SOFT, THIN_BONE, Tissue

BACKGROUND = PLACENTA
"""Tissue around all structures."""

_LIP = Tissue(-11, attenuation=20, impedance=0.3, mottle=2)
"""Tissue of both lips, darker than that around them."""


def draw(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw a cervix; the classes are anterior and posterior lip, the landmarks inner and outer end of the canal.

    The order of the statements matters: later shapes cover earlier ones, and each random draw changes those after it.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: Not used, because there is one kind of cervix; all drawing functions have this parameter.
    """
    x, y = body.x, body.y
    center = (pick_position(rng, -0.12, 0.14), pick_position(rng, 0.42, 0.58))
    half_length, thickness = pick_size(rng, 0.25, 0.33), pick_size(rng, 0.11, 0.15)
    angle = pick_position(rng, -28, 28)  # of the canal, in degrees
    inner_end = rotate((center[0] - half_length, center[1]), angle, center)
    outer_end = rotate((center[0] + half_length, center[1]), angle, center)
    sac_center = rotate((inner_end[0] - 0.33, inner_end[1] + 0.03), angle, inner_end)
    _draw_fetus(body, rng, Ellipse(*sac_center, 0.36, 0.3, angle + 90))
    bladder = Ellipse(center[0] - 0.1, center[1] - thickness - 0.24, 0.2, 0.1, angle)
    body.fill(make_uneven(rng, bladder, 0.08).get_radius(x, y) < 1, FLUID)
    # Both lips together, in a bright border. With less CONTRAST, their brightness is closer to that of the background.
    outline = Ellipse(*center, half_length * 1.12, thickness * 1.25, angle)
    body.fill(outline.get_radius(x, y) < 1.08, FIBROUS.brighten(-3))
    lips = body.fill(outline.get_radius(x, y) < 1, _LIP.brighten(6 * (1 - CONTRAST)))
    # The canal is a bright line between two dark ones, with a bright spot at each end.
    canal_distance = distance_to_segment(x, y, inner_end, outer_end)
    body.fill(canal_distance < 0.02, _LIP.brighten(-8))
    body.fill(canal_distance < 0.009, FIBROUS.brighten(3))
    for end, radius in ((inner_end, 0.022), (outer_end, 0.03)):
        # The segment is almost a point, because its length must not be 0.
        body.fill(distance_to_segment(x, y, end, (end[0] + 0.001, end[1])) < radius, FIBROUS.brighten(8))
    body.draw_skin()
    # The canal divides the lips: the anterior lip is above it, on the side of the bladder and the probe.
    _, depth_from_canal = outline.to_local(x, y)
    mask = label_regions(body, lips & (depth_from_canal < 0), lips & (depth_from_canal >= 0))
    return Drawing(mask, (inner_end, outer_end))


def draw_whole(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw a cervix with one class, which joins both lips.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: Not used, as in `draw`.
    """
    drawing = draw(body, rng, kind)
    assert drawing.mask is not None
    return Drawing(np.minimum(drawing.mask, 1).astype(np.uint8), drawing.points)


def _draw_fetus(body: Body, rng: np.random.Generator, sac: Ellipse) -> None:
    """Draw the amniotic sac with its fluid, and in it the head of the fetus: dark tissue in a bright skull.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        sac: Mean outline of the sac.
    """
    body.fill(make_uneven(rng, sac, 0.04).get_radius(body.x, body.y) < 1, FLUID)
    head_radius = Ellipse(sac.x - 0.08, sac.y + 0.02, 0.27, 0.24, sac.angle).get_radius(body.x, body.y)
    body.fill(head_radius < 1, THIN_BONE)
    body.fill(head_radius < 0.9, SOFT.brighten(-14))
