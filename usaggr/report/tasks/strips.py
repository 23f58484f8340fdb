"""Strips: pictures of panels next to each other, each panel below its title, all above one legend.

PIL draws the text in the font of the report's figures. Matplotlib would take longer than all other steps together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from usaggr.report.tasks.overlays import Canvas, Color

WIDTH = 900
"""Largest width of a strip in pixels."""
MAX_BYTES = 60_000
"""Largest size of a strip's file; a larger JPEG is encoded again with a lower quality."""

_WIDEST, _TALLEST = 250, 1.25
"""Largest width of a panel in pixels, and its largest height as a multiple of the width available to it."""
_PER_ROW = 6
"""Largest number of panels in a row."""
_GAP, _MARGIN = 8, 6
"""Pixels between panels, and around the strip."""
_TITLE, _LINE, _TEXT = 17, 16, 12
"""Heights of the bold and the plain line of text above a panel, and the size of letters, in pixels."""
_INK: Color = (0x1A, 0x1A, 0x1A)
_PALE: Color = (0x55, 0x55, 0x55)
_BAR: Color = (0xB5, 0xB5, 0xB5)
_RIGHT: Color = (0x00, 0x72, 0xB2)
_WRONG: Color = (0xD5, 0x5E, 0x00)
_DARK: Color = (0x30, 0x30, 0x30)
_ROW = 21
"""Height of a class's bar with the space around it, in pixels."""


@dataclass(frozen=True)
class Panel:
    """A picture below two lines of text, which are shortened to its width."""

    title: str
    """Bold first line."""
    note: str
    """Second line."""
    pixels: Canvas
    """(H, W, 3) picture."""


@dataclass(frozen=True)
class Key:
    """Entry of the legend."""

    sign: str
    """Shape of the sign: `area`, `line`, `dashes`, `circle` or `cross`."""
    color: Color
    """Color of the sign."""
    text: str
    """Text after the sign."""


def panel_size(count: int, height: int, width: int) -> tuple[int, int]:
    """Return the size of each panel of a strip that shows an image.

    Args:
        count: Number of panels in the strip.
        height: Height of the image.
        width: Width of the image.

    Returns:
        Height and width in pixels, each at least 1.
    """
    per_row = _per_row(count)
    room = min(_WIDEST, (WIDTH - 2 * _MARGIN - _GAP * (per_row - 1)) // per_row)
    scale = min(room / width, _TALLEST * room / height)
    return max(1, round(height * scale)), max(1, round(width * scale))


def bars_height(count: int) -> int:
    """Return the height of a panel with bars for some number of classes, in pixels."""
    return count * _ROW + 2


def draw_strip(panels: Sequence[Panel], legend: Sequence[Key]) -> "Image.Image":
    """Return a picture of all panels in as few rows as possible, each centered in its column, above the legend."""
    per_row = _per_row(len(panels))
    cell = max(panel.pixels.shape[1] for panel in panels)
    panel_rows = [panels[i : i + per_row] for i in range(0, len(panels), per_row)]
    heights = [_TITLE + _LINE + max(panel.pixels.shape[0] for panel in row) for row in panel_rows]
    width = 2 * _MARGIN + per_row * cell + (per_row - 1) * _GAP
    lines = _wrap(legend, width - 2 * _MARGIN)
    height = 2 * _MARGIN + sum(heights) + _GAP * (len(panel_rows) - 1) + (len(lines) * 18 + 4 if lines else 0)
    strip = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(strip)
    top = _MARGIN
    for row, row_height in zip(panel_rows, heights, strict=True):
        for column, panel in enumerate(row):
            left = _MARGIN + column * (cell + _GAP)
            draw.text((left, top), _shorten(panel.title, cell, True), _INK, _font(True, _TEXT + 1))
            draw.text((left, top + _TITLE), _shorten(panel.note, cell, False), _PALE, _font(False, _TEXT))
            indent = (cell - panel.pixels.shape[1]) // 2
            strip.paste(Image.fromarray(panel.pixels), (left + indent, top + _TITLE + _LINE))
        top += row_height + _GAP
    for line in lines:
        _draw_legend(draw, line, top - 4)
        top += 18
    return strip


def draw_class_names(names: Sequence[str], true: int, size: tuple[int, int]) -> Canvas:
    """Return a picture of the names of classes, one per row, aligned with the bars of a panel of the same height.

    Args:
        names: Names of the classes.
        true: Index of the true class, which is bold and colored.
        size: Height and width of the picture in pixels.
    """
    canvas = Image.new("RGB", (size[1], size[0]), "white")
    draw = ImageDraw.Draw(canvas)
    for row, name in enumerate(names):
        bold = row == true
        text = _shorten(f"\u25ba {name}" if bold else name, size[1] - 4, bold)
        right_middle = (size[1] - 4, row * _ROW + _ROW // 2)
        draw.text(right_middle, text, _RIGHT if bold else _INK, _font(bold, _TEXT + bold), anchor="rm")
    return np.asarray(canvas)


def draw_bars(
    probabilities: NDArray[np.float64], true: int | None, predicted: int | None, size: tuple[int, int]
) -> Canvas:
    """Return a picture with a bar and a number for the probability of each class.

    The bar of the true class has one color, that of a wrong predicted class another; other bars are gray.

    Args:
        probabilities: (K,) probability of each class.
        true: Index of the true class; None if it is not among them.
        predicted: Index of the predicted class; None if it is not among them.
        size: Height and width of the picture in pixels.
    """
    canvas = Image.new("RGB", (size[1], size[0]), "white")
    draw = ImageDraw.Draw(canvas)
    room = size[1] - 46  # for the number and the mark after the longest bar
    draw.line([(0, 0), (0, len(probabilities) * _ROW)], _PALE)
    for row, share in enumerate(probabilities):
        top, color = row * _ROW + 3, _RIGHT if row == true else _WRONG if row == predicted else _BAR
        length = round(float(share) * room)
        draw.rectangle([1, top, max(1, length), top + _ROW - 7], color)
        mark = "" if row != predicted else " \u2713" if row == true else " \u2717"
        text = f"{share:.2f}{mark}"
        bold = row == predicted
        draw.text((length + 5, top + _ROW // 2 - 3), text, _INK, _font(bold, _TEXT - 1), anchor="lm")
    return np.asarray(canvas)


def encode_strip(strip: "Image.Image") -> bytes:
    """Return a JPEG of the highest quality that MAX_BYTES allows; the same picture always gives the same bytes."""
    pixels = np.asarray(strip)[:, :, ::-1]  # OpenCV expects BGR
    content = b""
    for quality in (88, 80, 72, 62, 50, 35, 20, 10):
        # Colors have full resolution, because lines of one pixel would lose their color with subsampling.
        # OpenCV encodes, because PIL's encoder fails on the strongest speckle.
        options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        content = cv2.imencode(".jpg", pixels, options)[1].tobytes()
        if len(content) <= MAX_BYTES:
            break
    return content


def _per_row(count: int) -> int:
    """Return the number of panels in a row that fills all rows evenly."""
    row_count = -(-count // _PER_ROW)
    return -(-count // row_count)


def _draw_legend(draw: "ImageDraw.ImageDraw", line: Sequence[Key], top: int) -> None:
    """Draw one line of the legend.

    Args:
        draw: The strip to draw on.
        line: Entries of the line.
        top: Upper edge of the line in pixels.
    """
    x, middle = float(_MARGIN), top + 9
    for key in line:
        # Signs have a dark background, as in the image, because white ones would be invisible on the page.
        draw.rectangle([x, middle - 6, x + 24, middle + 6], key.color if key.sign == "area" else _DARK)
        match key.sign:
            case "line":
                draw.line([(x + 2, middle), (x + 22, middle)], key.color, 2)
            case "dashes":
                for start in (2, 9, 16):
                    draw.line([(x + start, middle), (x + start + 5, middle)], key.color, 2)
            case "circle":
                draw.ellipse([x + 8, middle - 4, x + 16, middle + 4], outline=key.color, width=2)
            case "cross":
                draw.line([(x + 8, middle - 4), (x + 16, middle + 4)], key.color, 2)
                draw.line([(x + 8, middle + 4), (x + 16, middle - 4)], key.color, 2)
        draw.text((x + 29, middle), key.text, _INK, _font(False, _TEXT - 1), anchor="lm")
        x += _key_width(key)


def _wrap(legend: Sequence[Key], width: int) -> list[list[Key]]:
    """Return the entries of the legend in lines that are at most `width` pixels wide."""
    lines: list[list[Key]] = []
    used = 0.0
    for key in legend:
        needed = _key_width(key)
        if not lines or used + needed > width:
            lines.append([])
            used = 0.0
        lines[-1].append(key)
        used += needed
    return lines


def _key_width(key: Key) -> float:
    """Return the width of an entry of the legend in pixels: sign, text, and space to the next entry."""
    return 29 + _font(False, _TEXT - 1).getlength(key.text) + 16


def _shorten(text: str, width: int, bold: bool) -> str:
    """Return a text on one line, shortened with an ellipsis if it is too wide.

    Args:
        text: The text.
        width: Largest width in pixels.
        bold: Measures the text in bold letters.
    """
    text = " ".join(text.split())
    font = _font(bold, _TEXT + bold)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}\u2026") > width:
        text = text[:-1]
    return f"{text}\u2026"


@cache
def _font(bold: bool, size: int) -> "ImageFont.FreeTypeFont":
    """Return the font of the report's figures, which matplotlib contains."""
    import matplotlib  # only for its font files; the import is slow

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(folder / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"), size)
