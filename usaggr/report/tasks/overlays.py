"""Drawing of labels and predictions over ultrasound images, legible on dark speckle and without color vision.

True outlines and boxes are white and dashed; predicted ones are colored. Each landmark has its color: a circle marks
the truth, a cross the prediction.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from usaggr.data.show.sample_sheet import COLORS

Canvas = NDArray[np.uint8]
"""(H, W, 3) RGB image."""
Color = tuple[int, int, int]
"""Red, green and blue, each from 0 to 255."""

WHITE: Color = (255, 255, 255)
BLACK: Color = (0, 0, 0)
_FILL = 0.35
"""Opacity of a filled region, from 0 to 1."""
_OVERSAMPLING = 2
"""Multiple of the panel's size at which marks are drawn; the reduction afterwards makes lines smooth."""
_SHIFT = 4
"""Number of fractional bits in OpenCV's coordinates, which are integers: a position is multiplied by 2**_SHIFT."""
_RADIUS, _ARM = 6.5, 4.0
"""Radius of a circle, and half the side of the square around a cross, in pixels of a panel.

The cross fits into the circle.
"""
_LOWEST, _HIGHEST = -4000.0, 8000.0
"""Smallest and largest coordinate that is drawn, in pixels of the canvas: far outside any panel."""
_DASH, _PERIOD = 5.0, 9.0
"""Length of a dash, and of a dash with its gap, in pixels of a panel."""


@dataclass(frozen=True)
class Marks:
    """Label or prediction in pixels of the original image, whose first pixel has its center at (.5, .5)."""

    mask: NDArray[np.integer] | None = None
    """(H, W) class indices; 0 is background."""
    box: NDArray[np.float64] | None = None
    """(4,) box as x_min, y_min, x_max, y_max."""
    points: NDArray[np.float64] | None = None
    """(P, 2) landmarks as x, y."""


def draw_marks(image: Canvas, size: tuple[int, int], truth: Marks | None, prediction: Marks | None) -> Canvas:
    """Return an image at a panel's size with the prediction over it, and the truth over both.

    Without a prediction, the regions of the truth are filled too, so that its classes have their colors.

    Args:
        image: (H, W, 3) RGB image.
        size: Height and width of the panel in pixels.
        truth: Label, if it is drawn.
        prediction: Prediction, if it is drawn.
    """
    height, width = size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING
    shrinks = height * width < image.shape[0] * image.shape[1]
    # Averaging over areas avoids aliasing of speckle, but it would show blocks if the image is enlarged.
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


def get_color(number: int) -> Color:
    """Return the color of a class or landmark; numbers start at 1."""
    hex_color = COLORS[(number - 1) % len(COLORS)]  # such as #0072b2
    return int(hex_color[1:3], 16), int(hex_color[3:5], 16), int(hex_color[5:7], 16)


def _draw_prediction(canvas: Canvas, marks: Marks, scale: NDArray[np.float64]) -> None:
    """Draw the regions and the box of a prediction; landmarks follow in `_draw_errors`, above those of the truth.

    Args:
        canvas: Image to draw on.
        marks: The prediction.
        scale: (2,) canvas pixels per image pixel, in x and y.
    """
    if marks.mask is not None:
        for label, region in _find_regions(marks.mask, canvas):
            _fill_region(canvas, region, get_color(label))
            for outline in _find_outlines(region):
                _draw_line(canvas, outline, get_color(label), 1.6, closed=True)
    if marks.box is not None:
        _draw_line(canvas, _list_corners(marks.box, scale), BLACK, 3.6, closed=True)
        _draw_line(canvas, _list_corners(marks.box, scale), get_color(1), 2.0, closed=True)


def _draw_truth(canvas: Canvas, marks: Marks, scale: NDArray[np.float64], filled: bool) -> None:
    """Draw dashed outlines of the true regions and box, and circles around the true landmarks.

    Args:
        canvas: Image to draw on.
        marks: The truth.
        scale: (2,) canvas pixels per image pixel, in x and y.
        filled: Also fills the regions with the colors of their classes.
    """
    if marks.mask is not None:
        regions = list(_find_regions(marks.mask, canvas))
        for label, region in regions if filled else ():
            _fill_region(canvas, region, get_color(label))
        for _, region in regions:
            for outline in _find_outlines(region):
                _draw_dashes(canvas, outline)
    if marks.box is not None:
        _draw_dashes(canvas, _list_corners(marks.box, scale))
    # A wider black line below each colored one makes a dark rim, so that the mark is visible on bright tissue.
    radius = round(_RADIUS * _OVERSAMPLING * 2**_SHIFT)
    for number, (x, y) in enumerate(_scale_points(marks.points, scale), start=1):
        for color, width in ((BLACK, 3.2), (get_color(number), 1.6)):
            center = (round(x * 2**_SHIFT), round(y * 2**_SHIFT))
            cv2.circle(canvas, center, radius, color, _scale_width(width), cv2.LINE_AA, _SHIFT)


def _draw_errors(canvas: Canvas, truth: Marks, prediction: Marks, scale: NDArray[np.float64]) -> None:
    """Draw predicted landmarks as crosses, each with a line from its true position.

    Args:
        canvas: Image to draw on.
        truth: The truth.
        prediction: The prediction.
        scale: (2,) canvas pixels per image pixel, in x and y.
    """
    ends = _scale_points(prediction.points, scale)
    for start, end in zip(_scale_points(truth.points, scale), ends, strict=False):
        _draw_line(canvas, np.array([start, end]), BLACK, 2.4)
        _draw_line(canvas, np.array([start, end]), WHITE, 1.0)
    # The dark rims of all crosses come first, so that none covers the color of a neighbor.
    for is_colored, width in ((False, 3.2), (True, 1.6)):
        for number, (x, y) in enumerate(ends, start=1):
            arm, color = _ARM * _OVERSAMPLING, get_color(number) if is_colored else BLACK
            _draw_line(canvas, np.array([[x - arm, y - arm], [x + arm, y + arm]]), color, width)
            _draw_line(canvas, np.array([[x - arm, y + arm], [x + arm, y - arm]]), color, width)


def _find_regions(mask: NDArray[np.integer], canvas: Canvas) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield each class of a mask except the background, with its (H, W) region of 0 and 1 at the canvas' size."""
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
        # A structure that covers less than half of every canvas pixel would vanish, so all its pixels are shown.
        yield int(label), (region if region.any() else share > 0).astype(np.uint8)


def _fill_region(canvas: Canvas, region: NDArray[np.uint8], color: Color) -> None:
    """Mix a color into a region of the canvas.

    Args:
        canvas: Image to draw on.
        region: (H, W) 1 inside the region and 0 outside.
        color: Color of the region.
    """
    inside = region.astype(bool)
    mixed = canvas[inside] * (1 - _FILL) + np.array(color) * _FILL
    canvas[inside] = mixed.round().astype(np.uint8)


def _find_outlines(region: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """Return the (N, 2) pixels of each outer and inner boundary of a region."""
    contours, _ = cv2.findContours(region, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return [contour[:, 0].astype(float) for contour in contours]  # OpenCV returns (N, 1, 2)


def _list_corners(box: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (4, 2) corners of a box in pixels of the canvas."""
    x0, y0, x1, y1 = box
    return _scale_points(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]), scale)


def _scale_points(points: NDArray[np.float64] | None, scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points in pixels of the canvas, clipped because OpenCV's integers overflow far outside of it."""
    if points is None:
        return np.empty((0, 2))
    # OpenCV's first pixel has its center at 0, that of the marks at 0.5.
    return np.clip(np.nan_to_num(points) * scale - 0.5, _LOWEST, _HIGHEST)


def _draw_dashes(canvas: Canvas, outline: NDArray[np.float64]) -> None:
    """Draw a closed line of white dashes, each with a dark rim."""
    closed = np.concatenate([outline, outline[:1]])
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    if lengths[-1] == 0:
        _draw_line(canvas, np.array([outline[0], outline[0] + 1]), WHITE, 2.0)
        return
    # Periods are adjusted a little, so that the last gap is as long as the others.
    count = max(1, round(lengths[-1] / (_PERIOD * _OVERSAMPLING)))
    period = lengths[-1] / count
    starts = np.arange(count) * period
    steps = np.linspace(0.0, period * _DASH / _PERIOD, 8)  # 8 points follow a curved outline
    distances = starts[:, None] + steps
    dashes = np.stack([np.interp(distances, lengths, closed[:, axis]) for axis in (0, 1)], axis=-1)
    for color, width in ((BLACK, 3.2), (WHITE, 1.6)):
        for dash in dashes:
            _draw_line(canvas, dash, color, width)


def _draw_line(canvas: Canvas, line: NDArray[np.float64], color: Color, width: float, closed: bool = False) -> None:
    """Draw a line on the canvas.

    Args:
        canvas: Image to draw on.
        line: (N, 2) points in pixels of the canvas.
        color: Color of the line.
        width: Width in pixels of the panel.
        closed: Also connects the last point with the first.
    """
    fixed = np.round(line * 2**_SHIFT).astype(np.int32).reshape(1, -1, 2)
    cv2.polylines(canvas, list(fixed), closed, color, _scale_width(width), cv2.LINE_AA, _SHIFT)


def _scale_width(width: float) -> int:
    """Return a width in pixels of the canvas for one in pixels of the panel, at least 1."""
    return max(1, round(width * _OVERSAMPLING))
