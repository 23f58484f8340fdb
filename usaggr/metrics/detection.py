"""Score of a box: intersection over union."""

import numpy as np
from numpy.typing import NDArray


def iou(truth: NDArray[np.floating], predicted: NDArray[np.floating]) -> float:
    """Return the intersection over union, in [0, 1], of two boxes (4,): x_min, y_min, x_max, y_max.

    Coordinates are continuous: a box from 0 to 10 has a side of 10. A box without area, or with exchanged sides,
    intersects nothing. NaN coordinates give NaN.
    """
    low = np.maximum(truth[:2], predicted[:2])
    high = np.minimum(truth[2:], predicted[2:])
    shared = float(np.prod(np.maximum(high - low, 0)))
    areas = [float(np.prod(np.maximum(box[2:] - box[:2], 0))) for box in (truth, predicted)]
    union = sum(areas) - shared
    return shared / union if union != 0 else 0.0
