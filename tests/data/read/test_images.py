from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.data.factories import disc, noise, write_image
from tests.data.image_zoo import plain_row, zoo
from usaggr.data.batches.resizing import resize_image
from usaggr.data.read.images import decode_distinct_channels, read_image, read_mask
from usaggr.errors import DataError

LIMIT = 10**6


@pytest.mark.parametrize("suffix", ["png", "bmp", "jpg"])
@pytest.mark.parametrize("channels", [1, 3])
def test_colors_are_read_as_opencv_reads_them(tmp_path: Path, suffix: str, channels: int) -> None:
    smooth = cv2.GaussianBlur(noise(0, channels=3), (0, 0), 3)
    path = write_image(tmp_path / f"a.{suffix}", smooth)
    expected = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR_RGB)
    assert expected is not None
    pixels = read_image(path, channels, LIMIT)
    assert pixels.shape == (*smooth.shape[:2], channels)
    assert pixels.dtype == np.uint8
    # JPEG decoders and the conversion to luma may differ by rounding.
    assert np.abs(pixels.squeeze().astype(int) - expected.astype(int)).max() <= (3 if suffix == "jpg" else 1)


def test_grayscale_is_repeated_for_three_channels(tmp_path: Path) -> None:
    gray = noise(1)
    path = write_image(tmp_path / "a.png", gray)
    assert (read_image(path, 3, LIMIT) == gray[:, :, None]).all()
    assert (read_image(path, 1, LIMIT) == gray[:, :, None]).all()


def test_palette_and_alpha_become_plain_colors(tmp_path: Path) -> None:
    colors = np.zeros((4, 4, 4), np.uint8)
    colors[:2] = (200, 10, 10, 0)
    colors[2:] = (10, 200, 10, 255)
    image = Image.fromarray(colors)
    image.save(tmp_path / "alpha.png")
    image.convert("RGB").quantize(2).save(tmp_path / "palette.png")
    for name in ("alpha.png", "palette.png"):
        assert (read_image(tmp_path / name, 3, LIMIT) == colors[:, :, :3]).all()


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ([[0, 65535], [257, 514]], [[0, 255], [1, 2]]),
        ([[0, 255], [7, 9]], [[0, 255], [7, 9]]),
        ([[0, 256], [7, 9]], [[0, 64], [1, 2]]),
        ([[0, 1023], [512, 3]], [[0, 255], [128, 0]]),
        ([[0, 1024], [16, 4095]], [[0, 64], [1, 255]]),
        ([[0, 4096], [256, 257]], [[0, 15], [0, 1]]),
    ],
)
def test_16_bits_are_scaled_by_the_smallest_bit_depth_that_holds_the_values(
    tmp_path: Path, stored: Any, expected: Any
) -> None:
    path = write_image(tmp_path / "a.png", np.array(stored, np.uint16))
    assert (read_image(path, 1, LIMIT)[:, :, 0] == expected).all()
    assert (read_image(path, 3, LIMIT) == np.array(expected)[:, :, None]).all()


def test_pixels_are_read_as_stored_whatever_the_exif_orientation(tmp_path: Path) -> None:
    image = Image.fromarray(noise(2))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    image.save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg", 1, LIMIT).shape[:2] == (image.height, image.width)


@pytest.mark.parametrize("suffix", ["png", "bmp", "jpg"])
@pytest.mark.parametrize("read", [lambda path: read_image(path, 3, LIMIT), lambda path: read_mask(path, False, LIMIT)])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, read: Any) -> None:
    path = write_image(tmp_path / f"a.{suffix}", noise(3))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"a\.{suffix}: cannot be decoded"):
        read(path)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_a_file_that_is_not_an_image_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as an image"):
        read_image(tmp_path / "a.png", 3, LIMIT)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.png: cannot be read"):
        read_image(tmp_path / "nowhere.png", 3, LIMIT)


def test_an_image_that_exceeds_the_limit_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", noise(4, 20, 20))
    path.write_bytes(path.read_bytes()[:60])  # decoding would fail
    with pytest.raises(DataError, match=r"has 20 x 20 pixels \(height x width\), more than data\.max_pixels=399"):
        read_image(path, 3, 399)


def test_a_mask_has_the_same_values_in_every_kind_of_file(tmp_path: Path) -> None:
    classes = disc(2)
    write_image(tmp_path / "gray.png", classes)
    write_image(tmp_path / "rgb.png", np.repeat(classes[:, :, None], 3, 2))
    write_image(tmp_path / "wide.png", classes.astype(np.uint16))
    palette = Image.fromarray(classes, mode="P")
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    palette.save(tmp_path / "palette.png")
    for name in ("gray", "rgb", "wide", "palette"):
        assert (read_mask(tmp_path / f"{name}.png", False, LIMIT) == classes).all(), name


def test_a_16_bit_mask_keeps_its_values(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", np.array([[0, 300], [65535, 1]], np.uint16))
    assert read_mask(path, False, LIMIT).tolist() == [[0, 300], [65535, 1]]


def test_a_1_bit_mask_holds_0_and_1(tmp_path: Path) -> None:
    Image.fromarray(disc() > 0).save(tmp_path / "a.png")
    assert (read_mask(tmp_path / "a.png", False, LIMIT) == disc()).all()


def test_a_color_mask_is_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", noise(5, channels=3))
    with pytest.raises(DataError, match="is a color mask"):
        read_mask(path, False, LIMIT)


def test_255_is_read_as_1_only_if_requested_and_without_other_values(tmp_path: Path) -> None:
    white = write_image(tmp_path / "white.png", disc(255))
    assert set(np.unique(read_mask(white, False, LIMIT))) == {0, 255}
    assert (read_mask(white, True, LIMIT) == disc(1)).all()
    mixed = disc(255)
    mixed[0, 0] = 1
    path = write_image(tmp_path / "mixed.png", mixed)
    assert (read_mask(path, True, LIMIT) == mixed).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_of_file_is_cached_with_the_pixels_of_the_reference(tmp_path: Path, channels: int) -> None:
    size = (32, 40)
    paths = zoo(tmp_path)
    for path in paths:
        pixels = decode_distinct_channels(path.read_bytes(), str(path), channels, 10**6)
        row = resize_image(pixels, size, channels)
        assert row.dtype == np.uint8
        assert np.array_equal(row, plain_row(path, channels, size)), path.name
        assert np.array_equal(row, resize_image(read_image(path, channels, 10**6), size)), path.name


@pytest.mark.parametrize("kind", ["gray.png", "gray.jpg", "alike.png", "alike.jpg", "gray_palette.png", "bits.png"])
def test_grayscale_files_are_resized_in_one_channel(tmp_path: Path, kind: str) -> None:
    path = next(path for path in zoo(tmp_path) if path.name == f"large_{kind}")
    assert decode_distinct_channels(path.read_bytes(), str(path), 3, 10**6).shape == (91, 67, 1)


def test_one_color_pixel_keeps_three_channels(tmp_path: Path) -> None:
    path = next(path for path in zoo(tmp_path) if path.name == "large_marked.png")
    assert decode_distinct_channels(path.read_bytes(), str(path), 3, 10**6).shape == (91, 67, 3)
