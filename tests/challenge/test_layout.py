"""Records of predictions hold coordinates in pixels, and as fractions of the image's width and height."""

import numpy as np

from usaggr.challenge.layout import make_record
from usaggr.results.predictions import Prediction


def test_fractions_are_of_the_width_in_x_and_of_the_height_in_y() -> None:
    box = make_record("../a.png", Prediction("t", "a", "s", box=np.array([3.0, 4.0, 15.0, 10.0])), height=20, width=30)
    assert box["bbox_pixels"] == [3, 4, 15, 10]
    assert box["bbox_normalized"] == [0.1, 0.2, 0.5, 0.5]
    points = Prediction("t", "a", "s", points=np.array([[3.0, 4.0], [30.0, 20.0]]))
    record = make_record("../a.png", points, height=20, width=30)
    assert record["predicted_points_normalized"] == [0.1, 0.2, 1, 1]
