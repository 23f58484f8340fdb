"""Score of landmarks: mean radial error."""

import numpy as np
from numpy.typing import NDArray


def mean_radial_error(truth: NDArray[np.floating], predicted: NDArray[np.floating]) -> float:
    """Return the mean Euclidean distance between true and predicted points (P, 2), in the unit of the points."""
    return float(np.linalg.norm(truth - predicted, axis=1).mean())
