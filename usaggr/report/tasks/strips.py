"""Panels side by side, each under its title and over one legend: a strip that is a picture file by itself.

PIL sets the text in the font of the report's figures; matplotlib would take longer for a strip than all else together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from usaggr.report.tasks.overlays import Canvas, Colour

WIDTH = 900
"""Pixels of a strip, at the most."""
MAX_BYTES = 60_000
"""What a strip's file is brought under, if need be by a coarser JPEG."""

_WIDEST, _TALLEST = 250, 1.25
"""Pixels of a panel's width, and its height as a multiple of that, at the most."""
_PER_ROW = 6
_GAP, _MARGIN = 8, 6
_TITLE, _LINE, _TEXT = 17, 16, 12
"""Heights of the bold line and the plain line over a panel, and the size of letters, in pixels."""
_INK: Colour = (0x1A, 0x1A, 0x1A)
_PALE: Colour = (0x55, 0x55, 0x55)
_BAR: Colour = (0xB5, 0xB5, 0xB5)
_RIGHT: Colour = (0x00, 0x72, 0xB2)
_WRONG: Colour = (0xD5, 0x5E, 0x00)
_DARK: Colour = (0x30, 0x30, 0x30)
_ROW = 21
"""Height of a class's bar with the space around it."""


@dataclass(frozen=True)
class Panel:
    """A picture under two lines of text; what does not fit is cut."""

    title: str
    note: str
    pixels: Canvas


@dataclass(frozen=True)
class Key:
    """An entry of the legend."""

    sign: str
    """`area`, `line`, `dashes`, `circle` or `cross`."""
    colour: Colour
    text: str


def panel_size(count: int, height: int, width: int) -> tuple[int, int]:
    """Height and width of each of `count` panels for an image of this height and width."""
    per_row = _per_row(count)
    room = min(_WIDEST, (WIDTH - 2 * _MARGIN - _GAP * (per_row - 1)) // per_row)
    scale = min(room / width, _TALLEST * room / height)
    return max(1, round(height * scale)), max(1, round(width * scale))


def rows_height(count: int) -> int:
    """Height of a panel with bars for `count` classes."""
    return count * _ROW + 2


def draw_strip(panels: Sequence[Panel], legend: Sequence[Key]) -> "Image.Image":
    """All panels in as few rows as there is room for, each row centred, over the legend."""
    per_row = _per_row(len(panels))
    cell = max(panel.pixels.shape[1] for panel in panels)
    rows = [panels[i : i + per_row] for i in range(0, len(panels), per_row)]
    heights = [_TITLE + _LINE + max(panel.pixels.shape[0] for panel in row) for row in rows]
    width = 2 * _MARGIN + per_row * cell + (per_row - 1) * _GAP
    lines = _wrapped(legend, width - 2 * _MARGIN)
    height = 2 * _MARGIN + sum(heights) + _GAP * (len(rows) - 1) + (len(lines) * 18 + 4 if lines else 0)
    strip = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(strip)
    top = _MARGIN
    for row, row_height in zip(rows, heights, strict=True):
        for place, panel in enumerate(row):
            left = _MARGIN + place * (cell + _GAP)
            draw.text((left, top), _fitted(panel.title, cell, True), _INK, _font(True, _TEXT + 1))
            draw.text((left, top + _TITLE), _fitted(panel.note, cell, False), _PALE, _font(False, _TEXT))
            aside = (cell - panel.pixels.shape[1]) // 2
            strip.paste(Image.fromarray(panel.pixels), (left + aside, top + _TITLE + _LINE))
        top += row_height + _GAP
    for line in lines:
        _draw_legend(draw, line, top - 4)
        top += 18
    return strip


def draw_class_names(names: Sequence[str], true: int, size: tuple[int, int]) -> Canvas:
    """Names of classes, a row each, as they stand beside bars of the same height; the true one in its colour."""
    canvas = Image.new("RGB", (size[1], size[0]), "white")
    draw = ImageDraw.Draw(canvas)
    for row, name in enumerate(names):
        bold = row == true
        text = _fitted(f"\u25ba {name}" if bold else name, size[1] - 4, bold)
        at = (size[1] - 4, row * _ROW + _ROW // 2)
        draw.text(at, text, _RIGHT if bold else _INK, _font(bold, _TEXT + bold), anchor="rm")
    return np.asarray(canvas)


def draw_bars(
    probabilities: NDArray[np.float64], true: int | None, predicted: int | None, size: tuple[int, int]
) -> Canvas:
    """A bar of its probability for each class, with its number; the true class and a wrong one have their colours."""
    canvas = Image.new("RGB", (size[1], size[0]), "white")
    draw = ImageDraw.Draw(canvas)
    room = size[1] - 46
    draw.line([(0, 0), (0, len(probabilities) * _ROW)], _PALE)
    for row, share in enumerate(probabilities):
        top, colour = row * _ROW + 3, _RIGHT if row == true else _WRONG if row == predicted else _BAR
        length = round(float(share) * room)
        draw.rectangle([1, top, max(1, length), top + _ROW - 7], colour)
        mark = "" if row != predicted else " \u2713" if row == true else " \u2717"
        text = f"{share:.2f}{mark}"
        bold = row == predicted
        draw.text((length + 5, top + _ROW // 2 - 3), text, _INK, _font(bold, _TEXT - 1), anchor="lm")
    return np.asarray(canvas)


def strip_bytes(strip: "Image.Image") -> bytes:
    """A JPEG as good as MAX_BYTES allow, the same bytes for the same picture."""
    pixels = np.asarray(strip)[:, :, ::-1]
    content = b""
    for quality in (88, 80, 72, 62, 50, 35, 20, 10):
        # Colours at full resolution: lines of one pixel would pale otherwise. PIL's encoder fails on the worst speckle.
        options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        content = cv2.imencode(".jpg", pixels, options)[1].tobytes()
        if len(content) <= MAX_BYTES:
            break
    return content


def _per_row(count: int) -> int:
    rows = -(-count // _PER_ROW)
    return -(-count // rows)


def _draw_legend(draw: "ImageDraw.ImageDraw", line: Sequence[Key], top: int) -> None:
    x, middle = float(_MARGIN), top + 9
    for key in line:
        # Signs stand on a dark ground, as in the image: white would not be seen else.
        draw.rectangle([x, middle - 6, x + 24, middle + 6], key.colour if key.sign == "area" else _DARK)
        match key.sign:
            case "line":
                draw.line([(x + 2, middle), (x + 22, middle)], key.colour, 2)
            case "dashes":
                for start in (2, 9, 16):
                    draw.line([(x + start, middle), (x + start + 5, middle)], key.colour, 2)
            case "circle":
                draw.ellipse([x + 8, middle - 4, x + 16, middle + 4], outline=key.colour, width=2)
            case "cross":
                draw.line([(x + 8, middle - 4), (x + 16, middle + 4)], key.colour, 2)
                draw.line([(x + 8, middle + 4), (x + 16, middle - 4)], key.colour, 2)
        draw.text((x + 29, middle), key.text, _INK, _font(False, _TEXT - 1), anchor="lm")
        x += _key_width(key)


def _wrapped(legend: Sequence[Key], width: int) -> list[list[Key]]:
    """Entries of the legend in lines of at most a width."""
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
    return 29 + _font(False, _TEXT - 1).getlength(key.text) + 16


def _fitted(text: str, width: int, bold: bool) -> str:
    """Text on one line that is at most so wide."""
    text = " ".join(text.split())
    font = _font(bold, _TEXT + bold)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}\u2026") > width:
        text = text[:-1]
    return f"{text}\u2026"


@cache
def _font(bold: bool, size: int) -> "ImageFont.FreeTypeFont":
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(folder / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"), size)
