"""The challenge's scores in plain numpy, straight from their definitions: slow, but easy to check by reading."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def nearest(mask: Array, height: int, width: int) -> Array:
    """Return a mask at another size by nearest neighbor: pixel i takes the value at floor(i * old / new)."""
    row_indices = [int(np.floor(i * mask.shape[0] / height)) for i in range(height)]
    columns = [int(np.floor(j * mask.shape[1] / width)) for j in range(width)]
    return mask[np.ix_(row_indices, columns)]


def dice(truth: Array, predicted: Array) -> float:
    if not truth.any() and not predicted.any():
        return 1.0
    return 2 * float((truth & predicted).sum()) / float(truth.sum() + predicted.sum())


def hausdorff(truth: Array, predicted: Array) -> float:
    """Return the Hausdorff distance of filled regions: the largest distance from a pixel of either to the other."""
    if not truth.any() and not predicted.any():
        return 0.0
    if not truth.any() or not predicted.any():
        return float(np.sqrt(truth.shape[0] ** 2 + truth.shape[1] ** 2))
    a, b = np.argwhere(truth).astype(float), np.argwhere(predicted).astype(float)
    distances = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2))
    return float(max(distances.min(axis=1).max(), distances.min(axis=0).max()))


def segmentation(truths: list[Array], predictions: list[Array], classes: int) -> dict[str, float]:
    """Return the mean over images for each class, then over foreground classes."""
    scores = {}
    for name, metric in (("dsc", dice), ("hd", hausdorff)):
        by_class = [
            np.mean([metric(t == c, nearest(p, *t.shape) == c) for t, p in zip(truths, predictions, strict=True)])
            for c in range(1, classes)
        ]
        scores[name] = float(np.mean(by_class))
    return scores


def auc(positive: Array, values: Array) -> float:
    """Return the share of pairs in which the positive sample has the higher value; ties count half."""
    high, low = values[positive], values[~positive]
    won = sum(1.0 if h > n else 0.5 if h == n else 0.0 for h in high for n in low)
    return won / (len(high) * len(low))


def classification(labels: list[int], predicted: list[int], probs: Array) -> dict[str, float]:
    t, p = np.array(labels), np.array(predicted)
    classes = probs.shape[1]
    present = sorted({*labels, *predicted})
    f1 = []
    for c in present:
        hits, wrong, lost = ((t == c) & (p == c)).sum(), ((t != c) & (p == c)).sum(), ((t == c) & (p != c)).sum()
        f1.append(2 * hits / (2 * hits + wrong + lost))
    support = np.array([(t == c).sum() for c in present])
    if len(set(labels)) < classes:
        area = 0.0
    elif classes == 2:
        area = auc(t == 1, probs[:, 1])
    else:
        area = float(np.mean([auc(t == c, probs[:, c]) for c in range(classes)]))
    return {
        "auc": area,
        "accuracy": float(np.mean(t == p)),
        "f1_macro": float(np.mean(f1)),
        "f1_weighted": float((np.array(f1) * support).sum() / support.sum()),
        "mcc": matthews(t, p, classes),
    }


def matthews(t: Array, p: Array, classes: int) -> float:
    """Return Gorodkin's correlation of two labelings; 0 if either of them has a single class."""
    x, y = np.eye(classes)[t], np.eye(classes)[p]
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    spread = np.sqrt((x * x).sum() * (y * y).sum())
    return float((x * y).sum() / spread) if spread > 0 else 0.0


def overlap(truth: Array, predicted: Array) -> float:
    """Return the intersection over union of two boxes."""
    width = min(truth[2], predicted[2]) - max(truth[0], predicted[0])
    height = min(truth[3], predicted[3]) - max(truth[1], predicted[1])
    if width <= 0 or height <= 0:
        return 0.0
    intersection = width * height
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (truth, predicted)]
    return float(intersection / (sum(areas) - intersection))


def detection(truths: list[Array], predictions: list[Array]) -> dict[str, float]:
    return {"iou": float(np.mean([overlap(t, p) for t, p in zip(truths, predictions, strict=True)]))}


def regression(truths: list[Array], predictions: list[Array]) -> dict[str, float]:
    distances = [np.sqrt(((t - p) ** 2).sum(axis=1)).mean() for t, p in zip(truths, predictions, strict=True)]
    return {"mre": float(np.mean(distances))}
