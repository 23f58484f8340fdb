"""Score of landmarks: mean radial error."""

import numpy as np
from numpy.typing import NDArray


def mean_radial_error(truth: NDArray[np.floating], predicted: NDArray[np.floating]) -> float:
    """Mean Euclidean distance between points (P, 2) and their counterparts, in their unit."""
    return float(np.linalg.norm(truth - predicted, axis=1).mean())
