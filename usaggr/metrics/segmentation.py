"""Scores of label maps: overlap (DSC), regions (HD) and surfaces (HD95, NSD), in pixels of the original image.

The three distances of a class share two distance transforms. MONAI, whose definitions HD95 and NSD follow and which is
the oracle of the tests, takes transforms anew for each score, some 9 ms a score and class at 256 x 256 against 3 ms for
all of them here, and its import would cost every training process 5 s.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Labels = NDArray[np.integer]

EXACT_SIDE = 700
"""Up to this side of the crop, OpenCV's single-precision transform gives each squared distance, a whole number, to
within a quarter; beyond it SciPy's slower one is taken."""

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
    if not truth.any() or not predicted.any():
        if truth.any() == predicted.any():
            return 0.0, 0.0, 1.0
        diagonal = float(np.hypot(*truth.shape))
        return diagonal, diagonal, 0.0
    truth, predicted = _crop(truth, predicted)
    edge_t, edge_p = _edge(truth), _edge(predicted)
    to_t, to_p = _Distances(edge_t), _Distances(edge_p)
    # From a pixel outside a region, the nearest pixel of it is one of its edge: no transform of the region is needed.
    hd = max(to_p.farthest(truth & ~predicted), to_t.farthest(predicted & ~truth))
    from_t, from_p = to_p.at(edge_t), to_t.at(edge_p)
    hd95 = max(float(np.percentile(from_t, 95)), float(np.percentile(from_p, 95)))
    near = int(np.count_nonzero(from_t <= tolerance) + np.count_nonzero(from_p <= tolerance))
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


def _crop(truth: Mask, predicted: Mask) -> tuple[Mask, Mask]:
    """Both regions within their common bounding box: what lies outside changes no distance."""
    x, y, width, height = cv2.boundingRect((truth | predicted).view(np.uint8))
    box = (slice(y, y + height), slice(x, x + width))
    return truth[box], predicted[box]


def _edge(region: Mask) -> Mask:
    """Pixels of a region with one of their four neighbours outside of it, or outside of the image."""
    inside = cv2.erode(region.view(np.uint8), _NEIGHBOURS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return region & ~inside.view(np.bool_)


class _Distances:
    """Exact Euclidean distance of each pixel to the nearest one of a set (H, W) that is not empty."""

    def __init__(self, pixels: Mask) -> None:
        self._exact = max(pixels.shape) > EXACT_SIDE
        self._map: NDArray[np.float64] | NDArray[np.float32]
        if self._exact:
            from scipy import ndimage  # most images are smaller: not worth half a second for each process

            self._map = ndimage.distance_transform_edt(~pixels)
        else:
            found = cv2.distanceTransform((~pixels).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            self._map = found.astype(np.float32, copy=False)

    def at(self, pixels: Mask) -> NDArray[np.float64]:
        """Distances of chosen pixels, row by row."""
        found = self._map[pixels].astype(np.float64)
        return found if self._exact else np.sqrt(np.rint(found**2))

    def farthest(self, pixels: Mask) -> float:
        """The largest distance of chosen pixels; 0 where none is chosen."""
        return float(self.at(pixels).max(initial=0.0))
