"""Strips fit the width of a page and a limit of bytes for any content."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from usaggr.report.tasks.overlays import WHITE
from usaggr.report.tasks.strips import (
    MAX_BYTES,
    WIDTH,
    LegendEntry,
    Panel,
    compute_bars_height,
    compute_panel_size,
    draw_bars,
    draw_class_names,
    draw_strip,
    encode_strip,
)

BLUE, ORANGE = np.array([0x00, 0x72, 0xB2]), np.array([0xD5, 0x5E, 0x00])


def panels(count: int, height: int, width: int, seed: int = 0) -> list[Panel]:
    rng = np.random.default_rng(seed)
    size = compute_panel_size(count, height, width)
    return [Panel(f"panel {i}", "note", rng.integers(0, 256, (*size, 3)).astype(np.uint8)) for i in range(count)]


@given(st.integers(1, 14), st.integers(1, 3000), st.integers(1, 3000))
def test_panels_keep_the_aspect_ratio_of_the_image_and_fit_next_to_each_other(
    count: int, height: int, width: int
) -> None:
    tall, wide = compute_panel_size(count, height, width)
    assert tall >= 1
    assert wide >= 1
    if min(tall, wide) > 20:
        assert tall / wide == pytest.approx(height / width, rel=0.06)
    columns = count if count <= 6 else -(-count // -(-count // 6))
    assert columns * wide <= WIDTH


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 14), st.sampled_from([(100, 100), (100, 400), (400, 100)]))
def test_a_strip_shows_every_panel_completely(count: int, shape: tuple[int, int]) -> None:
    drawn = panels(count, *shape)
    strip = np.asarray(draw_strip(drawn, []))
    assert strip.shape[1] <= WIDTH
    for panel in drawn:
        assert _contains(strip, panel.pixels)


def _contains(strip: np.ndarray[Any, Any], pixels: np.ndarray[Any, Any]) -> bool:
    """Return true if a strip contains an array of pixels at any position."""
    height, width = pixels.shape[:2]
    corners = np.argwhere((strip == pixels[0, 0]).all(axis=2))
    return any(np.array_equal(strip[y : y + height, x : x + width], pixels) for y, x in corners)


def test_a_long_title_is_cut_before_the_next_panel() -> None:
    size = compute_panel_size(2, 100, 100)
    white = np.full((*size, 3), 255, dtype=np.uint8)
    strip = np.asarray(draw_strip([Panel("m" * 400, "m" * 400, white), Panel("", "", white)], []))
    assert (strip[:, size[1] + 12 :] == 255).all()
    assert (strip[:, : size[1]] < 100).any()


def test_a_long_legend_continues_on_the_next_line() -> None:
    short = draw_strip(panels(2, 50, 100), [LegendEntry("area", WHITE, f"class {i}") for i in range(2)])
    long = draw_strip(panels(2, 50, 100), [LegendEntry("area", WHITE, f"class {i}") for i in range(20)])
    assert long.width == short.width
    assert long.height > short.height + 50


@pytest.mark.parametrize("sign", ["line", "dashes", "circle", "cross"])
def test_white_signs_of_the_legend_are_visible_on_a_white_page(sign: str) -> None:
    strip = np.asarray(draw_strip(panels(1, 20, 100), [LegendEntry(sign, WHITE, "")]))
    ground = strip[-24:, 6:31].max(axis=2)
    assert (ground < 100).any()
    assert (ground[8:16, 4:20] > 200).any()


def test_the_strongest_speckle_stays_within_the_limit_of_bytes() -> None:
    strip = draw_strip(panels(6, 300, 300), [])
    content = encode_strip(strip)
    assert len(content) <= MAX_BYTES
    with Image.open(io.BytesIO(content)) as read:
        assert read.format == "JPEG"
        assert read.size == strip.size


def test_the_same_strip_has_the_same_bytes() -> None:
    first, second = (encode_strip(draw_strip(panels(3, 90, 120), [LegendEntry("area", WHITE, "x")])) for _ in range(2))
    assert first == second


def test_bars_have_the_length_of_their_probability_and_colors_for_the_true_and_the_wrong_class() -> None:
    size = (compute_bars_height(3), 200)
    bars = draw_bars(np.array([0.6, 0.3, 0.1]), true=1, predicted=0, size=size)
    orange, blue = (np.flatnonzero((bars == color).all(axis=2).any(axis=0)).size for color in (ORANGE, BLUE))
    assert orange == pytest.approx(0.6 * 154, abs=2)
    assert blue == pytest.approx(0.3 * 154, abs=2)
    right = draw_bars(np.array([0.6, 0.3, 0.1]), true=0, predicted=0, size=size)
    assert not (right == ORANGE).all(axis=2).any()


def test_the_true_class_is_marked_in_the_row_of_its_bar() -> None:
    size = (compute_bars_height(3), 120)
    names = draw_class_names(["one", "two", "three"], 1, size)
    blue_rows = np.flatnonzero((names == BLUE).all(axis=2).any(axis=1))
    third = compute_bars_height(3) // 3
    assert third <= blue_rows[0] <= blue_rows[-1] < 2 * third
