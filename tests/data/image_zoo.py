"""Image files of every kind that users have, and a simple reference for reading and resizing them."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, PngImagePlugin

from tests.data.factories import noise


def plain_row(path: Path, channels: int, size: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Return the resized image without any shortcut: Pillow decodes, and all channels are resized."""
    image = Image.open(path)
    image.load()
    if image.mode.startswith("I"):
        stored = np.asarray(image).astype(int)
        gray = stored // 257 if stored.max() > 255 else stored
        pixels = np.repeat(gray.astype(np.uint8)[:, :, None], channels, 2)
    else:
        image = image.convert("RGBA") if "transparency" in image.info else image
        pixels = np.asarray(image.convert("RGB" if channels == 3 else "L")).reshape(image.height, image.width, channels)
    smaller = (min(size[1], image.width), min(size[0], image.height))
    row = cv2.resize(pixels, smaller, interpolation=cv2.INTER_AREA)
    if smaller != (size[1], size[0]):
        row = cv2.resize(row, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return row.reshape(*size, channels)


def zoo(folder: Path) -> list[Path]:
    """Write an image file of every kind, in two sizes: one is reduced to 32 x 40 pixels, the other partly enlarged."""
    for name, height, width in (("large", 91, 67), ("small", 25, 71)):
        gray = cv2.GaussianBlur(noise(7, height, width), (0, 0), 1.5)
        color = cv2.GaussianBlur(noise(8, height, width, 3), (0, 0), 1.5)
        marked = np.repeat(gray[:, :, None], 3, 2)
        marked[5, 6] = (200, 30, 0)
        alpha = noise(9, height, width)
        exif = Image.Exif()
        exif[0x0112] = 6
        kinds: dict[str, tuple[Image.Image, dict[str, Any]]] = {
            "gray.png": (Image.fromarray(gray), {}),
            "gray.jpg": (Image.fromarray(gray), {"quality": 80}),
            "gray.bmp": (Image.fromarray(gray), {}),
            "gray.tif": (Image.fromarray(gray), {}),
            "color.png": (Image.fromarray(color), {}),
            "color.jpg": (Image.fromarray(color), {"subsampling": 2}),
            "turned.jpg": (Image.fromarray(color), {"exif": exif}),
            "turned.png": (Image.fromarray(color), {"exif": exif}),
            "color.bmp": (Image.fromarray(color), {}),
            "color.webp": (Image.fromarray(color), {}),
            "cmyk.jpg": (Image.fromarray(color).convert("CMYK"), {}),
            "ycc.tif": (Image.fromarray(color).convert("YCbCr"), {}),
            "alike.png": (Image.fromarray(np.repeat(gray[:, :, None], 3, 2)), {}),
            "alike.jpg": (Image.fromarray(np.repeat(gray[:, :, None], 3, 2)), {}),
            "marked.png": (Image.fromarray(marked), {"optimize": True}),
            "alpha.png": (Image.fromarray(np.dstack([color, alpha])), {}),
            "gray_alpha.png": (Image.fromarray(np.dstack([gray, alpha])), {}),
            "transparent.png": (Image.fromarray(color), {"transparency": tuple(map(int, color[0, 0]))}),
            "transparent_gray.png": (Image.fromarray(gray), {"transparency": int(gray[0, 0])}),
            "palette.png": (Image.fromarray(color).quantize(40), {}),
            "gray_palette.png": (Image.fromarray(gray).quantize(40), {}),
            "transparent_palette.png": (Image.fromarray(color).quantize(40), {"transparency": 3}),
            "bits.png": (Image.fromarray(gray > 127), {}),
            "wide.png": (Image.fromarray(gray.astype(np.uint16) * 200), {}),
            "wide_low.png": (Image.fromarray(gray.astype(np.uint16)), {}),
            "gamma.png": (Image.fromarray(color), {"pnginfo": _chunks()}),
        }
        for kind, (image, options) in kinds.items():
            image.save(folder / f"{name}_{kind}", **options)
        wide_color = cv2.imencode(".png", color.astype(np.uint16) * 200 + 99)[1]
        (folder / f"{name}_wide_color.png").write_bytes(wide_color.tobytes())
        filtered = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH]
        (folder / f"{name}_paeth.png").write_bytes(cv2.imencode(".png", color, filtered)[1].tobytes())
    return sorted(folder.iterdir())


def _chunks() -> PngImagePlugin.PngInfo:
    """Return PNG chunks that tell a viewer to show other colors than the stored ones."""
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", (100000).to_bytes(4, "big"))
    info.add(b"cHRM", b"".join(v.to_bytes(4, "big") for v in (31270, 32900, 30000, 60000, 64000, 33000, 15000, 6000)))
    info.add(b"sBIT", bytes([5, 6, 5]))
    info.add(b"bKGD", bytes([0, 200, 0, 100, 0, 50]))
    info.add(b"cICP", bytes([9, 16, 0, 1]))
    return info
