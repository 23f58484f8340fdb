"""Scores of label maps: overlap (DSC), regions (HD) and surfaces (HD95, NSD), in pixels of the original image.

The three distances of a class share two distance transforms of the regions' common bounding box. Their squared
distances are whole numbers: these are compared, and the root is taken only of the reported ones. HD95 and NSD follow
the definitions of MONAI, which is the oracle of the tests. MONAI itself is not used here, because it computes the
transforms again for each score, and its import would take 5 s in every training process.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Labels = NDArray[np.integer]

EXACT_SIDE = 1400
"""Largest side of a crop, in pixels, for which OpenCV's distance transform is exact after rounding its squares.

OpenCV's transform computes in single precision; larger crops use SciPy's slower transform.

Why it is exact: the transform takes the lower envelope of parabolas f + (x - p)^2 along each row of width W, where f is
the squared distance along columns. All sums are of whole numbers below 2^24, so they are exact. The parabolas of p and
q intersect at s = N / (2 (q - p)), which is rounded twice, so its error is at most |s| 2^-23. A wrong choice of
parabola at a whole x changes the squared distance by less than 2 (q - p) * 2 W * 2^-23 <= W^2 2^-21, which is below 1
for W < 1448. The change is a whole number, so it is 0. The root is rounded once, so the error of its square is at most
d^2 2^-23, which is below one half for a diagonal d < 2048.
"""

_NEIGHBORS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def dsc(truth: Mask, predicted: Mask) -> float:
    """Return the Dice similarity coefficient of two regions (H, W), in [0, 1]; 1 if both are empty."""
    total = int(np.count_nonzero(truth) + np.count_nonzero(predicted))
    return 1.0 if total == 0 else 2 * int(np.count_nonzero(truth & predicted)) / total


def compute_distances(truth: Mask, predicted: Mask, tolerance: float) -> tuple[float, float, float]:
    """Return HD and HD95 in pixels, and NSD in [0, 1], of two regions.

    HD is the largest distance from a pixel of either region to the other region. As in the challenge, regions are
    filled: from a region inside another one, the distance is 0. HD95 is the larger of the two 95th percentiles of the
    distances between the regions' edges. NSD is the share of edge pixels within `tolerance` of the other edge (Nikolov
    et al. 2018, arXiv:1809.04430). An edge has the pixels that erosion by the four neighbors removes, as in MONAI; this
    includes pixels at the border of the image.

    Args:
        truth: (H, W) true region.
        predicted: (H, W) predicted region.
        tolerance: Tolerance of NSD, in pixels.

    Returns:
        HD, HD95 and NSD. If both regions are empty: 0, 0, 1. If one is empty: the image's diagonal twice, and 0.
    """
    boxes = [cv2.boundingRect(region.view(np.uint8)) for region in (truth, predicted)]
    is_present = [width > 0 for _, _, width, _ in boxes]
    if not all(is_present):
        diagonal = float(np.hypot(*truth.shape))
        return (diagonal, diagonal, 0.0) if any(is_present) else (0.0, 0.0, 1.0)
    box = _make_bounding_slices(*boxes)
    truth, predicted = truth[box], predicted[box]
    edge_t, edge_p = _find_edge(truth), _find_edge(predicted)
    to_t, to_p = distance_transform(edge_t), distance_transform(edge_p)
    # The nearest pixel of a region from outside is on its edge: the transforms of the edges are sufficient.
    hd = max(_find_largest_distance(to_p, truth & ~predicted), _find_largest_distance(to_t, predicted & ~truth))
    from_t, from_p = _round_squares(to_p[edge_t]), _round_squares(to_t[edge_p])
    hd95 = max(_compute_percentile_95(from_t), _compute_percentile_95(from_p))
    within = _find_largest_square(min(tolerance, float(np.hypot(*truth.shape))))
    near = int(np.count_nonzero(from_t <= within) + np.count_nonzero(from_p <= within))
    return hd, hd95, near / (from_t.size + from_p.size)


def score_classes(truth: Labels, predicted: Labels, num_classes: int, tolerance: float) -> dict[str, float]:
    """Return DSC, HD, HD95 and NSD of two label maps, each averaged over the foreground classes.

    Args:
        truth: (H, W) true classes.
        predicted: (H, W) predicted classes.
        num_classes: Number of classes with the background, which is class 0.
        tolerance: Tolerance of NSD, in pixels.
    """
    by_class = []
    for label in range(1, num_classes):
        t, p = truth == label, predicted == label
        by_class.append((dsc(t, p), *compute_distances(t, p, tolerance)))
    return dict(zip(("dsc", "hd", "hd95", "nsd"), np.mean(by_class, axis=0).tolist(), strict=True))


def mean_dsc(truth: Labels, predicted: Labels, num_classes: int) -> float:
    """Return the DSC of two label maps, averaged over the foreground classes.

    Args:
        truth: (H, W) true classes.
        predicted: (H, W) predicted classes.
        num_classes: Number of classes with the background, which is class 0.
    """
    return float(np.mean([dsc(truth == label, predicted == label) for label in range(1, num_classes)]))


def distance_transform(pixels: Mask) -> NDArray[np.floating]:
    """Return the Euclidean distance (H, W) of each pixel to the nearest pixel of a non-empty set (H, W).

    The squares of the distances are exact after rounding (`_round_squares`).
    """
    if max(pixels.shape) > EXACT_SIDE:
        from scipy import ndimage  # imported here, because few images are so large and the import takes half a second

        far: NDArray[np.floating] = ndimage.distance_transform_edt(~pixels)
        return far
    uses_ipp = cv2.ipp.useIPP()
    # For this thread only: Intel's IPP takes 20 % longer and rounds differently, so EXACT_SIDE would not hold.
    cv2.ipp.setUseIPP(False)
    try:
        return np.asarray(cv2.distanceTransform((~pixels).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
    finally:
        cv2.ipp.setUseIPP(uses_ipp)


def _make_bounding_slices(first: Sequence[int], second: Sequence[int]) -> tuple[slice, slice]:
    """Return the rows and columns that contain two boxes x, y, width, height; other pixels change no distance."""
    left, top = (min(first[i], second[i]) for i in (0, 1))
    right, bottom = (max(first[i] + first[i + 2], second[i] + second[i + 2]) for i in (0, 1))
    return slice(top, bottom), slice(left, right)


def _find_edge(region: Mask) -> Mask:
    """Return the pixels of a region that have one of their four neighbors outside the region or the image."""
    inside = cv2.erode(region.view(np.uint8), _NEIGHBORS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return region & ~inside.view(np.bool_)


def _round_squares(distances: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the squared distances of a transform, rounded to whole numbers, which they are."""
    squares: NDArray[np.float64] = np.rint(distances.astype(np.float64) ** 2)
    return squares


def _find_largest_distance(transform: NDArray[np.floating], pixels: Mask) -> float:
    """Return the largest distance of selected pixels; 0 if none is selected."""
    # The norm with a mask finds the maximum without copying the selected values.
    return math.sqrt(round(cv2.norm(transform, cv2.NORM_INF, pixels.view(np.uint8)) ** 2))


def _compute_percentile_95(squares: NDArray[np.float64]) -> float:
    """Return the 95th percentile of the distances with these squares, with linear interpolation as in numpy."""
    position = 0.95 * (squares.size - 1)
    lower = int(position)
    ordered = np.partition(squares, lower)
    low = math.sqrt(ordered[lower])
    high = math.sqrt(ordered[lower + 1 :].min(initial=np.inf)) if position > lower else low
    return low + (high - low) * (position - lower)


def _find_largest_square(tolerance: float) -> int:
    """Return the largest whole number whose root is at most a tolerance; -1 for a negative tolerance."""
    square = math.ceil(tolerance**2)  # too large by at most one, apart from rounding
    while square >= 0 and math.sqrt(square) > tolerance:
        square -= 1
    return square
