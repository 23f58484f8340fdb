"""Geometry of beams and shapes, and the agreement of anatomy, pixels and landmarks under motion."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usaggr.data.synthetic.body import Body, Motion, draw_motion
from usaggr.data.synthetic.geometry import Probe, View, convert_to_map
from usaggr.data.synthetic.shapes import (
    Ellipse,
    compute_distance_to_curve,
    distance_to_segment,
    draw_bezier_curve,
    rotate,
)
from usaggr.data.synthetic.tissue import BONE, SOFT

LINEAR = View(Probe(), 120, 160)
CURVED = View(Probe(0.5, 33.0, 0.02), 120, 160)
angles = st.floats(-180, 180)
halves = st.floats(0.05, 0.5)
positions = st.floats(-0.6, 0.6)


def test_a_linear_probe_sees_all_of_the_image() -> None:
    assert LINEAR.visible.all()


def test_a_curved_probe_leaves_the_corners_black() -> None:
    visible = CURVED.visible
    assert not visible[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert visible[60, 80]
    image = CURVED.to_image(np.ones(CURVED.grid, np.float32))
    assert (image[~visible] == 0).all()
    assert image[visible] == pytest.approx(1)


@pytest.mark.parametrize("view", [LINEAR, CURVED], ids=["linear", "curved"])
def test_scan_conversion_undoes_sampling_along_the_beams(view: View) -> None:
    smooth = convert_to_map(np.sin(5 * view.x) + np.cos(4 * view.y))
    restored = view.to_image(view.to_beams(smooth))
    inner = view.visible & (view.beam > 0.05) & (view.beam < 0.95) & (view.depth > 0.03) & (view.depth < 0.97)
    # A curved probe's widest beams leave the image at its sides.
    inner[:, [0, 1, -2, -1]] = False
    assert restored[inner] == pytest.approx(smooth[inner], abs=0.02)


def test_beams_of_a_curved_probe_spread_and_depth_is_counted_from_its_surface() -> None:
    beams = CURVED.to_beams(convert_to_map(CURVED.x))
    assert np.ptp(beams[-1]) > 1.5 * np.ptp(beams[0])
    assert CURVED.depth[int(0.02 * 120), 80] == pytest.approx(0, abs=0.02)


@given(positions, positions, halves, halves, angles, st.floats(0, 2 * np.pi))
def test_points_at_unit_distance_lie_on_the_ellipse(
    x: float, y: float, a: float, b: float, angle: float, t: float
) -> None:
    ellipse = Ellipse(x, y, a, b, angle)
    on = ellipse.get_point(float(np.cos(t)), float(np.sin(t)))
    assert float(ellipse.get_radius(convert_to_map(on[0]), convert_to_map(on[1]))) == pytest.approx(1, abs=1e-3)
    assert np.hypot(on[0] - x, on[1] - y) <= max(a, b) * 1.0001


@given(halves, halves, angles, angles, st.floats(1.05, 4))
def test_tangents_touch_an_ellipse_and_do_not_cut_it(
    a: float, b: float, angle: float, bearing: float, distance: float
) -> None:
    ellipse = Ellipse(0.1, 0.5, a, b, angle)
    point = ellipse.get_point(distance * float(np.cos(bearing)), distance * float(np.sin(bearing)))
    for touching in ellipse.find_tangents(point):
        along = np.linspace(-1, 3, 401)
        x = convert_to_map(point[0] + along * (touching[0] - point[0]))
        y = convert_to_map(point[1] + along * (touching[1] - point[1]))
        radius = ellipse.get_radius(x, y)
        assert radius.min() == pytest.approx(1, abs=2e-3)


def test_a_point_inside_an_ellipse_has_no_tangent() -> None:
    with pytest.raises(ValueError, match="inside"):
        Ellipse(0, 0.5, 0.2, 0.1).find_tangents((0.05, 0.5))


def test_distances_to_lines_are_those_of_geometry() -> None:
    x, y = convert_to_map([0.5, -0.3, 1.4]), convert_to_map([0.2, 0.4, 0.0])
    assert distance_to_segment(x, y, (0, 0), (1, 0)) == pytest.approx([0.2, 0.5, 0.4])
    assert compute_distance_to_curve(x, y, [(0, 0), (1, 0), (1.4, 0)]) == pytest.approx([0.2, 0.5, 0.0], abs=1e-6)
    line = draw_bezier_curve((0, 0), (0.5, 1.0), (1, 0))
    assert (line[0], line[-1]) == ((0, 0), (1, 0))
    assert max(y for _, y in line) == pytest.approx(0.5)


def test_turning_is_clockwise_on_the_image() -> None:
    assert rotate((1.0, 0.0), 90) == pytest.approx((0.0, 1.0))
    assert rotate((1.0, 0.5), 180, (0.5, 0.5)) == pytest.approx((0.0, 0.5))


@given(st.integers(0, 10_000), positions, st.floats(0.1, 0.9))
def test_a_landmark_moves_with_the_tissue_around_it(seed: int, x: float, y: float) -> None:
    motion = draw_motion(np.random.default_rng(seed))
    on_image = motion.to_image((x, y))
    back = motion.to_anatomy(convert_to_map(on_image[0]), convert_to_map(on_image[1]))
    assert (float(back[0]), float(back[1])) == pytest.approx((x, y), abs=1e-4)
    assert np.hypot(on_image[0] - x, on_image[1] - y) < 0.15


def test_a_filled_shape_is_at_its_center() -> None:
    body = Body(LINEAR, Motion(3, 1.02, (0.02, -0.01), (0.005, 0.004, 1.0, 2.0)), SOFT, np.random.default_rng(0))
    where = body.fill(Ellipse(0.2, 0.4, 0.1, 0.05, 30).get_radius(body.x, body.y) < 1, BONE)
    y, x = np.nonzero(where)
    assert (x.mean() + 0.5, y.mean() + 0.5) == pytest.approx(body.to_pixels((0.2, 0.4)), abs=0.6)
    assert (body.attenuation[where] == BONE.attenuation).all()
    assert (body.attenuation[~where] == SOFT.attenuation).all()
