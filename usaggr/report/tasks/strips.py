"""Strips: pictures of panels next to each other, each panel below its title, all above one legend.

PIL draws the text in the font of the report's figures. Matplotlib would take longer than all other steps together.
"""

import math
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

_MAX_WIDTH, _MAX_ASPECT = 250, 1.25
"""Largest width of a panel in pixels, and its largest height as a multiple of the width available to it."""
_MAX_COLUMNS = 6
"""Largest number of panels in a row."""
_GAP, _MARGIN = 8, 6
"""Pixels between panels, and around the strip."""
_TITLE, _NOTE, _TEXT = 17, 16, 12
"""Heights of the bold title and the plain note above a panel, and the size of letters, in pixels."""
_LEGEND_LINE = 18
"""Height of a line of the legend in pixels."""
_SIGN, _SIGN_GAP, _ENTRY_GAP = 24, 5, 16
"""Pixels of the legend: width of a sign, space from the sign to its text, space from the text to the next entry."""
_INK: Color = (0x1A, 0x1A, 0x1A)
_PALE: Color = (0x55, 0x55, 0x55)
_BAR: Color = (0xB5, 0xB5, 0xB5)
_RIGHT: Color = (0x00, 0x72, 0xB2)
_WRONG: Color = (0xD5, 0x5E, 0x00)
_DARK: Color = (0x30, 0x30, 0x30)
"""Colors: text, notes and axes, other bars, the true class, a wrong predicted class, background of signs."""
_ROW = 21
"""Height of a class's bar with the space around it, in pixels."""
_NUMBER_WIDTH = 46
"""Width of the number and the mark after a bar, in pixels."""


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
class LegendEntry:
    """Entry of the legend."""

    sign: str
    """Shape of the sign: `area`, `line`, `dashes`, `circle` or `cross`."""
    color: Color
    """Color of the sign."""
    text: str
    """Text after the sign."""


def compute_panel_size(count: int, height: int, width: int) -> tuple[int, int]:
    """Return the size of each panel of a strip that shows an image.

    Args:
        count: Number of panels in the strip.
        height: Height of the image.
        width: Width of the image.

    Returns:
        Height and width in pixels, each at least 1.
    """
    columns = _count_columns(count)
    available = min(_MAX_WIDTH, (WIDTH - 2 * _MARGIN - _GAP * (columns - 1)) // columns)
    scale = min(available / width, _MAX_ASPECT * available / height)
    return max(1, round(height * scale)), max(1, round(width * scale))


def compute_bars_height(count: int) -> int:
    """Return the height of a panel with bars for some number of classes, in pixels."""
    return count * _ROW + 2


def draw_strip(panels: Sequence[Panel], legend: Sequence[LegendEntry]) -> "Image.Image":
    """Return a picture of all panels in as few rows as possible, each centered in its column, above the legend."""
    columns = _count_columns(len(panels))
    panel_rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    row_heights = [_TITLE + _NOTE + max(panel.pixels.shape[0] for panel in row) for row in panel_rows]
    column_width = max(panel.pixels.shape[1] for panel in panels)
    width = 2 * _MARGIN + columns * column_width + (columns - 1) * _GAP
    lines = _wrap_legend(legend, width - 2 * _MARGIN)
    legend_height = len(lines) * _LEGEND_LINE + 4 if lines else 0
    height = 2 * _MARGIN + sum(row_heights) + _GAP * (len(panel_rows) - 1) + legend_height
    strip = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(strip)
    top = _MARGIN
    for row, row_height in zip(panel_rows, row_heights, strict=True):
        for column, panel in enumerate(row):
            left = _MARGIN + column * (column_width + _GAP)
            _draw_panel(strip, panel, (left, top), column_width)
        top += row_height + _GAP
    for line in lines:
        _draw_legend(draw, line, top - 4)
        top += _LEGEND_LINE
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
        draw.text(right_middle, text, _RIGHT if bold else _INK, _load_font(bold, _TEXT + bold), anchor="rm")
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
    longest = size[1] - _NUMBER_WIDTH
    draw.line([(0, 0), (0, len(probabilities) * _ROW)], _PALE)
    for row, share in enumerate(probabilities):
        top = row * _ROW + 3
        color = _RIGHT if row == true else _WRONG if row == predicted else _BAR
        length = round(float(share) * longest)
        draw.rectangle([1, top, max(1, length), top + _ROW - 7], color)
        check_mark, cross = " \u2713", " \u2717"
        mark = "" if row != predicted else check_mark if row == true else cross
        text = f"{share:.2f}{mark}"
        bold = row == predicted
        draw.text((length + 5, top + _ROW // 2 - 3), text, _INK, _load_font(bold, _TEXT - 1), anchor="lm")
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


def _count_columns(count: int) -> int:
    """Return the number of panels in a row that fills all rows evenly."""
    n_rows = math.ceil(count / _MAX_COLUMNS)
    return math.ceil(count / n_rows)


def _draw_panel(strip: "Image.Image", panel: Panel, corner: tuple[int, int], width: int) -> None:
    """Draw a panel below its two lines of text.

    Args:
        strip: The strip to draw on.
        panel: The panel.
        corner: Left and upper edge of the panel's column in pixels.
        width: Width of the column in pixels, in which the panel is centered.
    """
    left, top = corner
    draw = ImageDraw.Draw(strip)
    draw.text((left, top), _shorten(panel.title, width, True), _INK, _load_font(True, _TEXT + 1))
    draw.text((left, top + _TITLE), _shorten(panel.note, width, False), _PALE, _load_font(False, _TEXT))
    indent = (width - panel.pixels.shape[1]) // 2
    strip.paste(Image.fromarray(panel.pixels), (left + indent, top + _TITLE + _NOTE))


def _draw_legend(draw: "ImageDraw.ImageDraw", line: Sequence[LegendEntry], top: int) -> None:
    """Draw one line of the legend.

    Args:
        draw: The strip to draw on.
        line: Entries of the line.
        top: Upper edge of the line in pixels.
    """
    x, middle = float(_MARGIN), top + _LEGEND_LINE // 2
    for entry in line:
        # Signs have a dark background, as in the image, because white ones would be invisible on the page.
        draw.rectangle([x, middle - 6, x + _SIGN, middle + 6], entry.color if entry.sign == "area" else _DARK)
        match entry.sign:
            case "line":
                draw.line([(x + 2, middle), (x + 22, middle)], entry.color, 2)
            case "dashes":
                for start in (2, 9, 16):
                    draw.line([(x + start, middle), (x + start + 5, middle)], entry.color, 2)
            case "circle":
                draw.ellipse([x + 8, middle - 4, x + 16, middle + 4], outline=entry.color, width=2)
            case "cross":
                draw.line([(x + 8, middle - 4), (x + 16, middle + 4)], entry.color, 2)
                draw.line([(x + 8, middle + 4), (x + 16, middle - 4)], entry.color, 2)
        draw.text((x + _SIGN + _SIGN_GAP, middle), entry.text, _INK, _load_font(False, _TEXT - 1), anchor="lm")
        x += _compute_entry_width(entry)


def _wrap_legend(legend: Sequence[LegendEntry], width: int) -> list[list[LegendEntry]]:
    """Return the entries of the legend in lines that are at most `width` pixels wide."""
    lines: list[list[LegendEntry]] = []
    used = 0.0
    for entry in legend:
        needed = _compute_entry_width(entry)
        if not lines or used + needed > width:
            lines.append([])
            used = 0.0
        lines[-1].append(entry)
        used += needed
    return lines


def _compute_entry_width(entry: LegendEntry) -> float:
    """Return the width of an entry of the legend in pixels: sign, text, and space to the next entry."""
    return _SIGN + _SIGN_GAP + _load_font(False, _TEXT - 1).getlength(entry.text) + _ENTRY_GAP


def _shorten(text: str, width: int, bold: bool) -> str:
    """Return a text on one line, shortened with an ellipsis if it is too wide.

    Args:
        text: The text.
        width: Largest width in pixels.
        bold: Measures the text in bold letters.
    """
    text = " ".join(text.split())
    font = _load_font(bold, _TEXT + bold)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}\u2026") > width:
        text = text[:-1]
    return f"{text}\u2026"


@cache
def _load_font(bold: bool, size: int) -> "ImageFont.FreeTypeFont":
    """Return the font of the report's figures, which matplotlib contains."""
    import matplotlib  # only for its font files; the import is slow

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(folder / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"), size)
