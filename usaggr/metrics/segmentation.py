"""Scores of label maps: overlap (DSC), regions (HD) and surfaces (HD95, NSD), in pixels of the original image.

Written here rather than taken from MONAI, which is the oracle of the tests: its import costs seconds in every process
and it computes each distance transform anew for each score, on one pair of masks at a time.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Labels = NDArray[np.integer]

EXACT_SIDE = 700
"""Up to this side of the crop, OpenCV's single-precision transform gives each squared distance, a whole number, to
within a quarter; beyond it SciPy's is taken."""


def dsc(truth: Mask, predicted: Mask) -> float:
    """Dice similarity coefficient of two regions (H, W); 1 where both are empty."""
    total = int(truth.sum()) + int(predicted.sum())
    return 1.0 if total == 0 else 2.0 * int((truth & predicted).sum()) / total


def distances(truth: Mask, predicted: Mask, tolerance: float) -> tuple[float, float, float]:
    """HD, HD95 and NSD of two regions (H, W), sharing their distance transforms.

    HD is the largest distance from a pixel of either region to the other region (the challenge's: filled regions).
    HD95 is the larger of the two 95th percentiles of distances between the regions' edges, and NSD the share of edge
    pixels within `tolerance` pixels of the other edge (Nikolov et al. 2018); edges are what erosion takes away, as in
    MONAI. Where both are empty: 0, 0, 1. Where one is: the image's diagonal twice, and 0.
    """
    if not truth.any() or not predicted.any():
        if truth.any() == predicted.any():
            return 0.0, 0.0, 1.0
        diagonal = float(np.hypot(*truth.shape))
        return diagonal, diagonal, 0.0
    truth, predicted = _crop(truth, predicted)
    hd = max(_farthest(truth, predicted), _farthest(predicted, truth))
    edge_t, edge_p = (region & ~ndimage.binary_erosion(region) for region in (truth, predicted))
    to_p, to_t = _distance_to(edge_p)[edge_t], _distance_to(edge_t)[edge_p]
    hd95 = max(float(np.percentile(to_p, 95)), float(np.percentile(to_t, 95)))
    near = int((to_p <= tolerance).sum()) + int((to_t <= tolerance).sum())
    return hd, hd95, near / (to_p.size + to_t.size)


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


def _crop(truth: Mask, predicted: Mask) -> tuple[Mask, Mask]:
    """Both regions within their common bounding box: what lies outside changes no distance."""
    union = truth | predicted
    rows, columns = np.flatnonzero(union.any(axis=1)), np.flatnonzero(union.any(axis=0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return truth[box], predicted[box]


def _farthest(region: Mask, other: Mask) -> float:
    """Largest distance from a pixel of a region to the other region."""
    outside = region & ~other
    return float(_distance_to(other)[outside].max()) if outside.any() else 0.0


def _distance_to(region: Mask) -> NDArray[np.float64]:
    """Euclidean distance of each pixel (H, W) to the nearest one of a region that is not empty."""
    if max(region.shape) > EXACT_SIDE:
        found: NDArray[np.float64] = ndimage.distance_transform_edt(~region)
        return found
    rough = cv2.distanceTransform((~region).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.sqrt(np.rint(rough.astype(np.float64) ** 2))
