"""Drawing of the spinal cord along its length, under a linear probe: dura, fluid, cord and vertebrae."""

import numpy as np

from usaggr.data.synthetic.body import Body
from usaggr.data.synthetic.difficulty import CONTRAST
from usaggr.data.synthetic.drawing import Drawing, label_regions, pick_position, pick_size
from usaggr.data.synthetic.shapes import Ellipse, make_uneven
from usaggr.data.synthetic.tissue import BONE, FIBROUS, FLUID, MUSCLE, SOFT, Tissue

BACKGROUND = SOFT

_CORD = Tissue(-15, attenuation=14, impedance=0.3, mottle=1.5, fibres=2)


def draw(body: Body, rng: np.random.Generator, kind: str) -> Drawing:
    """Draw a cord with a bright bleeding that swells it, which is the class.

    Args:
        body: Body to draw into.
        rng: Generator of the subject.
        kind: Not used; there is one kind.
    """
    x, y = body.x, body.y
    phase, bow = rng.uniform(0, 2 * np.pi), pick_position(rng, -0.05, 0.05)
    level = pick_position(rng, 0.42, 0.52) + bow * np.sin(2.5 * x + phase)
    half = pick_size(rng, 0.13, 0.16)
    a, b = pick_size(rng, 0.2, 0.34), half * pick_size(rng, 0.75, 1.05)
    room = body.half_width - a - 0.05
    middle = pick_position(rng, -room, room)
    swollen = half + 0.05 * np.exp(-(((x - middle) / 0.35) ** 2))
    away = np.abs(y - level)
    body.fill(y < 0.2, MUSCLE)
    body.fill(away < swollen + 0.1, FIBROUS.brighten(2))
    body.fill(away < swollen + 0.08, FLUID)
    body.fill(away < swollen + 0.012, FIBROUS.brighten(-3))
    body.fill(away < swollen, _CORD)
    body.fill(away < 0.012, FIBROUS.brighten(-6))
    # The level of the cord at the injury. One row of the maps is enough: x changes little from row to row.
    height = float(np.interp(middle, x[x.shape[0] // 2], level[level.shape[0] // 2]))
    injury = make_uneven(rng, Ellipse(middle, height + pick_position(rng, -0.03, 0.03), a, b), 0.08)
    where = body.fill(
        (injury.get_radius(x, y) < 1) & (away < swollen), Tissue(-12 + 20 * CONTRAST, attenuation=24, mottle=3)
    )
    _draw_vertebrae(body, rng)
    body.draw_skin(0.03)
    return Drawing(label_regions(body, where))


def _draw_vertebrae(body: Body, rng: np.random.Generator) -> None:
    """Draw the bright surfaces of vertebrae below the cord, with shadows."""
    start = rng.uniform(-0.4, 0.0)
    for number in range(-3, 5):
        bone = Ellipse(start + 0.45 * number, 0.86, 0.17, 0.035).get_radius(body.x, body.y)
        body.fill(bone < 1, BONE)
