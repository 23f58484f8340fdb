"""Scores of label maps: overlap (DSC), regions (HD) and surfaces (HD95, NSD), in pixels of the original image.

The three distances of a class share two distance transforms of the regions' common bounding box, whose squared
distances are whole numbers: they are compared as such, and a root is taken of the few that are reported. MONAI, whose
definitions HD95 and NSD follow and which is the oracle of the tests, takes transforms anew for each score, and its
import would cost every training process 5 s.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Labels = NDArray[np.integer]

EXACT_SIDE = 1400
"""Up to this side of the crop OpenCV's transform, which computes in single precision, gives every squared distance once
rounded; beyond it SciPy's slower one is taken.

It takes the lower envelope of parabolas f + (x - p)^2 along each row of width W, f being squared distances along
columns. All sums are of whole numbers under 2^24, hence exact. Where the parabolas of p and q meet, s = N / (2 (q - p))
is rounded twice, so it is off by at most |s| 2^-23. A wrong choice at a whole x between two such numbers loses less
than 2 (q - p) * 2 W * 2^-23 <= W^2 2^-21, under 1 for W < 1448; and as it loses a whole number, it loses nothing. The
root is rounded once, so its square is off by at most d^2 2^-23, under one half for a diagonal d < 2048.
"""

_NEIGHBOURS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def dsc(truth: Mask, predicted: Mask) -> float:
    """Dice similarity coefficient of two regions (H, W), in [0, 1]; 1 where both are empty."""
    total = int(np.count_nonzero(truth) + np.count_nonzero(predicted))
    return 1.0 if total == 0 else 2 * int(np.count_nonzero(truth & predicted)) / total


def distances(truth: Mask, predicted: Mask, tolerance: float) -> tuple[float, float, float]:
    """HD and HD95 in pixels, and NSD in [0, 1], of two regions (H, W).

    HD is the largest distance from a pixel of either region to the other region (the challenge's: filled regions, so
    that one inside the other is at distance 0 one way). HD95 is the larger of the two 95th percentiles of distances
    between the regions' edges, and NSD the share of edge pixels within `tolerance` pixels of the other edge (Nikolov et
    al. 2018, arXiv:1809.04430); an edge is what erosion by the four neighbours takes away, as in MONAI, and the border
    of the image is one. Where both regions are empty: 0, 0, 1. Where one is: the image's diagonal twice, and 0.
    """
    boxes = [cv2.boundingRect(region.view(np.uint8)) for region in (truth, predicted)]
    found = [width > 0 for _, _, width, _ in boxes]
    if not all(found):
        diagonal = float(np.hypot(*truth.shape))
        return (diagonal, diagonal, 0.0) if any(found) else (0.0, 0.0, 1.0)
    box = _around(*boxes)
    truth, predicted = truth[box], predicted[box]
    edge_t, edge_p = _edge(truth), _edge(predicted)
    to_t, to_p = distance_transform(edge_t), distance_transform(edge_p)
    # From a pixel outside a region, the nearest pixel of it is one of its edge: no transform of the region is needed.
    hd = max(_farthest(to_p, truth & ~predicted), _farthest(to_t, predicted & ~truth))
    from_t, from_p = _squares(to_p[edge_t]), _squares(to_t[edge_p])
    hd95 = max(_percentile_95(from_t), _percentile_95(from_p))
    within = _largest_square(min(tolerance, float(np.hypot(*truth.shape))))
    near = int(np.count_nonzero(from_t <= within) + np.count_nonzero(from_p <= within))
    return hd, hd95, near / (from_t.size + from_p.size)


def class_scores(truth: Labels, predicted: Labels, num_classes: int, tolerance: float) -> dict[str, float]:
    """DSC, HD, HD95 and NSD of two label maps (H, W), each a mean over the foreground classes 1..num_classes-1."""
    rows = []
    for label in range(1, num_classes):
        t, p = truth == label, predicted == label
        rows.append((dsc(t, p), *distances(t, p, tolerance)))
    return dict(zip(("dsc", "hd", "hd95", "nsd"), np.mean(rows, axis=0).tolist(), strict=True))


def mean_dsc(truth: Labels, predicted: Labels, num_classes: int) -> float:
    """DSC of two label maps (H, W), a mean over the foreground classes."""
    return float(np.mean([dsc(truth == label, predicted == label) for label in range(1, num_classes)]))


def distance_transform(pixels: Mask) -> NDArray[np.floating]:
    """Euclidean distance of each pixel to the nearest one of a set (H, W) that is not empty; exact once `_squares`."""
    if max(pixels.shape) > EXACT_SIDE:
        from scipy import ndimage  # few images are so large: not worth half a second for each process

        far: NDArray[np.floating] = ndimage.distance_transform_edt(~pixels)
        return far
    vendor = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)  # of this thread: the vendor's transform is slower by a fifth, and rounds in its own way
    try:
        return np.asarray(cv2.distanceTransform((~pixels).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
    finally:
        cv2.ipp.setUseIPP(vendor)


def _around(first: Sequence[int], second: Sequence[int]) -> tuple[slice, slice]:
    """Rows and columns of the bounding box of two boxes x, y, width, height: what lies outside changes no distance."""
    left, top = (min(first[i], second[i]) for i in (0, 1))
    right, bottom = (max(first[i] + first[i + 2], second[i] + second[i + 2]) for i in (0, 1))
    return slice(top, bottom), slice(left, right)


def _edge(region: Mask) -> Mask:
    """Pixels of a region with one of their four neighbours outside of it, or outside of the image."""
    inside = cv2.erode(region.view(np.uint8), _NEIGHBOURS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return region & ~inside.view(np.bool_)


def _squares(distances: NDArray[np.floating]) -> NDArray[np.float64]:
    """Squared distances of a transform, whole numbers."""
    squares: NDArray[np.float64] = np.rint(distances.astype(np.float64) ** 2)
    return squares


def _farthest(transform: NDArray[np.floating], pixels: Mask) -> float:
    """The largest distance of chosen pixels; 0 where none is chosen."""
    return math.sqrt(round(cv2.norm(transform, cv2.NORM_INF, pixels.view(np.uint8)) ** 2))


def _percentile_95(squares: NDArray[np.float64]) -> float:
    """95th percentile of the distances whose squares are given, between two of them linearly, as NumPy takes it."""
    place = 0.95 * (squares.size - 1)
    below = int(place)
    ordered = np.partition(squares, below)
    low = math.sqrt(ordered[below])
    high = math.sqrt(ordered[below + 1 :].min(initial=np.inf)) if place > below else low
    return low + (high - low) * (place - below)


def _largest_square(tolerance: float) -> int:
    """The largest whole number whose root is within a tolerance; -1 where none is."""
    square = math.ceil(tolerance**2)  # one too many at most, but for rounding
    while square >= 0 and math.sqrt(square) > tolerance:
        square -= 1
    return square
