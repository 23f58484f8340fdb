"""Draws a label or a prediction over an ultrasound image, so that it reads on dark speckle and without colour vision.

The truth is always white and dashed (landmarks: circles), a prediction always in colours (landmarks: crosses).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from usaggr.data.show.sample_sheet import COLORS

Canvas = NDArray[np.uint8]
"""(H, W, 3) RGB."""
Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
_FILL = 0.35
"""Opacity of a region."""
_FINE = 2
"""Lines are drawn at this multiple of the panel's size, and made smooth by reducing it."""
_SHIFT = 4
"""Bits after the point in OpenCV's coordinates."""
_RADIUS, _ARM = 6.5, 4.0
"""Pixels of a panel: a circle's radius, and half the side of the square that a cross fills, which fits in a circle."""
_DASH, _PERIOD = 5.0, 9.0
"""Pixels of a panel: a dash, and a dash with its gap."""


@dataclass(frozen=True)
class Marks:
    """What is drawn, in pixels of the original image, whose first pixel has its centre at (.5, .5)."""

    mask: NDArray[np.integer] | None = None
    """(H, W) class indices, 0 is background."""
    box: NDArray[np.float64] | None = None
    """(4,) x_min, y_min, x_max, y_max."""
    points: NDArray[np.float64] | None = None
    """(P, 2) x, y."""


def draw_marks(image: Canvas, size: tuple[int, int], truth: Marks | None, prediction: Marks | None) -> Canvas:
    """An image (H, W, 3) brought to a panel's size (height, width), a prediction over it, and the truth over both.

    Without a prediction the truth's regions are filled too, so that its classes have their colours.
    """
    height, width = size[0] * _FINE, size[1] * _FINE
    shrinks = height * width < image.shape[0] * image.shape[1]
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    canvas: Canvas = np.ascontiguousarray(resized, dtype=np.uint8)
    scale = np.array([width / image.shape[1], height / image.shape[0]])
    if prediction is not None:
        _draw_prediction(canvas, prediction, scale)
    if truth is not None:
        _draw_truth(canvas, truth, scale, filled=prediction is None)
        if prediction is not None:
            _draw_errors(canvas, truth, prediction, scale)
    return cv2.resize(canvas, (size[1], size[0]), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def colour_of(number: int) -> Colour:
    """Colour of a class or landmark, from 1 on."""
    text = COLORS[(number - 1) % len(COLORS)]
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def _draw_prediction(canvas: Canvas, marks: Marks, scale: NDArray[np.float64]) -> None:
    if marks.mask is not None:
        for label, region in _regions(marks.mask, canvas):
            _fill(canvas, region, colour_of(label))
            for outline in _outlines(region):
                _line(canvas, outline, colour_of(label), 1.6, closed=True)
    if marks.box is not None:
        _line(canvas, _corners(marks.box, scale), BLACK, 3.6, closed=True)
        _line(canvas, _corners(marks.box, scale), colour_of(1), 2.0, closed=True)


def _draw_truth(canvas: Canvas, marks: Marks, scale: NDArray[np.float64], filled: bool) -> None:
    if marks.mask is not None:
        regions = list(_regions(marks.mask, canvas))
        for label, region in regions if filled else ():
            _fill(canvas, region, colour_of(label))
        for _, region in regions:
            for outline in _outlines(region):
                _dashed(canvas, outline)
    if marks.box is not None:
        _dashed(canvas, _corners(marks.box, scale))
    for number, (x, y) in enumerate(_places(marks.points, scale), start=1):
        for colour, width in ((BLACK, 3.2), (colour_of(number), 1.6)):
            centre = (round(x * 2**_SHIFT), round(y * 2**_SHIFT))
            cv2.circle(canvas, centre, round(_RADIUS * _FINE * 2**_SHIFT), colour, _pixels(width), cv2.LINE_AA, _SHIFT)


def _draw_errors(canvas: Canvas, truth: Marks, prediction: Marks, scale: NDArray[np.float64]) -> None:
    """Predicted landmarks as crosses, each with a line from its true place."""
    ends = _places(prediction.points, scale)
    for start, end in zip(_places(truth.points, scale), ends, strict=False):
        _line(canvas, np.array([start, end]), BLACK, 2.4)
        _line(canvas, np.array([start, end]), WHITE, 1.0)
    for colours, width in ((False, 3.2), (True, 1.6)):
        for number, (x, y) in enumerate(ends, start=1):
            arm, colour = _ARM * _FINE, colour_of(number) if colours else BLACK
            _line(canvas, np.array([[x - arm, y - arm], [x + arm, y + arm]]), colour, width)
            _line(canvas, np.array([[x - arm, y + arm], [x + arm, y - arm]]), colour, width)


def _regions(mask: NDArray[np.integer], canvas: Canvas) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Each class of a mask but the background, as (H, W) 0 or 1 at the canvas' size."""
    height, width = canvas.shape[:2]
    shrinks = height * width < mask.size
    for label in np.flatnonzero(np.bincount(mask.ravel())):
        if label == 0:
            continue
        share = cv2.resize(
            (mask == label).astype(np.float32),
            (width, height),
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
        )
        region = share >= 0.5
        # What is too small for a pixel of its own is still shown.
        yield int(label), (region if region.any() else share > 0).astype(np.uint8)


def _fill(canvas: Canvas, region: NDArray[np.uint8], colour: Colour) -> None:
    inside = region.astype(bool)
    mixed = canvas[inside] * (1 - _FILL) + np.array(colour) * _FILL
    canvas[inside] = mixed.round().astype(np.uint8)


def _outlines(region: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    found, _ = cv2.findContours(region, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return [outline[:, 0].astype(float) for outline in found]


def _corners(box: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    x0, y0, x1, y1 = box
    return _places(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]), scale)


def _places(points: NDArray[np.float64] | None, scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points on the canvas; those far outside are brought near it, where OpenCV can count."""
    if points is None:
        return np.empty((0, 2))
    return np.clip(np.nan_to_num(points) * scale - 0.5, -4000.0, 8000.0)


def _dashed(canvas: Canvas, outline: NDArray[np.float64]) -> None:
    """A closed line of white dashes, each with a dark rim."""
    closed = np.concatenate([outline, outline[:1]])
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    if way[-1] == 0:
        return _line(canvas, np.array([outline[0], outline[0] + 1]), WHITE, 2.0)
    # Periods are stretched a little, so that the last gap is as long as the others.
    count = max(1, round(way[-1] / (_PERIOD * _FINE)))
    period = way[-1] / count
    starts = np.arange(count) * period
    steps = np.linspace(0.0, period * _DASH / _PERIOD, 8)
    at = starts[:, None] + steps
    dashes = np.stack([np.interp(at, way, closed[:, 0]), np.interp(at, way, closed[:, 1])], axis=-1)
    for colour, width in ((BLACK, 3.2), (WHITE, 1.6)):
        for dash in dashes:
            _line(canvas, dash, colour, width)
    return None


def _line(canvas: Canvas, line: NDArray[np.float64], colour: Colour, width: float, closed: bool = False) -> None:
    """A line (N, 2) on the canvas; `width` in pixels of the panel."""
    fixed = np.round(line * 2**_SHIFT).astype(np.int32).reshape(1, -1, 2)
    cv2.polylines(canvas, list(fixed), closed, colour, _pixels(width), cv2.LINE_AA, _SHIFT)


def _pixels(width: float) -> int:
    return max(1, round(width * _FINE))
