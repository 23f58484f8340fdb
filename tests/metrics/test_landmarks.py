import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from usaggr.metrics.landmarks import mean_radial_error

pairs = st.integers(1, 6).flatmap(lambda n: st.tuples(*[arrays(float, (n, 2), elements=st.floats(-1e3, 1e3))] * 2))


@given(pairs)
def test_mean_radial_error_is_the_mean_distance_of_the_points(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, predicted = pair
    expected = sum(math.dist(a, b) for a, b in zip(truth, predicted, strict=True)) / len(truth)
    assert mean_radial_error(truth, predicted) == pytest.approx(expected, abs=1e-9)
    assert mean_radial_error(predicted, truth) == mean_radial_error(truth, predicted)
    assert mean_radial_error(truth, truth) == 0


@given(pairs, st.integers(-500, 500), st.randoms(use_true_random=False))
def test_the_order_of_points_and_the_origin_do_not_matter(
    pair: tuple[np.ndarray, np.ndarray], shift: int, random: object
) -> None:
    truth, predicted = pair
    order = list(range(len(truth)))
    random.shuffle(order)  # type: ignore[attr-defined]
    moved = mean_radial_error(truth[order] + shift, predicted[order] + shift)
    assert moved == pytest.approx(mean_radial_error(truth, predicted), abs=1e-9)


def test_points_are_matched_by_their_number_not_by_distance() -> None:
    truth = np.array([[0.0, 0.0], [3.0, 4.0]])
    assert mean_radial_error(truth, truth[::-1]) == 5


def test_a_nan_point_is_not_left_out() -> None:
    assert np.isnan(mean_radial_error(np.zeros((2, 2)), np.array([[0.0, 0.0], [np.nan, 0.0]])))
