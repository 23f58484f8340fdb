"""Image files that would fill the memory, that contain no image, or that are incomplete."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

from tests.data.factories import disc, noise, write_image
from usaggr.data.read.images import decode_mask_values, decode_pixels, open_image, read_image
from usaggr.errors import DataError

LIMIT = 10**6


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


def size(side: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))


def zero_pixels(amount: int) -> bytes:
    return chunk(b"IDAT", zlib.compress(bytes(amount), 9))


def jpeg(side: int) -> bytes:
    """Return a complete small file whose header gives another size."""
    file = io.BytesIO()
    Image.fromarray(disc()).save(file, "JPEG")
    content = file.getvalue()
    position = content.index(b"\xff\xc0") + 5
    return content[:position] + struct.pack(">HH", side, side) + content[position + 4 :]


def tiff(side: int, tile: int | None = None) -> bytes:
    """Return a TIFF file of compressed zeros, in one strip or one tile."""
    data = zlib.compress(bytes(1 << 26), 9)
    fields = [(256, side), (257, side), (258, 8), (259, 8), (262, 1)]
    if tile is None:
        fields += [(273, 300), (277, 1), (278, side), (279, len(data))]
    else:
        fields += [(277, 1), (322, tile), (323, tile), (324, 300), (325, len(data))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
    head = b"II*\0" + struct.pack("<IH", 8, len(fields)) + entries + bytes(4)
    return head.ljust(300, b"\0") + data


def webp(side: int) -> bytes:
    """Return a lossless WebP file whose only color takes no space."""
    bits = (side - 1) | (side - 1) << 14
    payload = b"\x2f" + struct.pack("<I", bits) + bytes(5)
    payload += b"\0" * (len(payload) % 2)
    body = b"WEBPVP8L" + struct.pack("<I", len(payload)) + payload
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bmp(side: int) -> bytes:
    return b"BM" + struct.pack("<IHHI", 100, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, *[0] * 6)


BOMBS = {
    "a.png": png(size(60000), zero_pixels(1 << 20)),
    "b.png": png(size(60000), size(10), zero_pixels(1 << 20)),
    "text.png": png(size(10), chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 29), 9)), zero_pixels(110)),
    "profile.png": png(size(10), chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 29), 9)), zero_pixels(110)),
    "a.jpg": jpeg(65500),
    "a.tif": tiff(60000),
    "tiles.tif": tiff(16, tile=30000),
    "a.webp": webp(16383),
    "a.bmp": bmp(60000),
}
MEASURE = """
import re, sys
from pathlib import Path
from usaggr.data.read.images import decode_distinct_channels, read_image, read_mask
from usaggr.data.read.file_facts import ProbeKey, probe_files
from usaggr.data.read.paths import ListedFile
from usaggr.errors import DataError
from usaggr.progress import NoProgress
path, way = Path(sys.argv[1]), sys.argv[2]
peak = lambda: int(re.search("VmHWM:\\\\s+(\\\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
import PIL.Image, PIL.PngImagePlugin, cv2
before = peak()
try:
    match way:
        case "image": read_image(path, 1, 10**8)
        case "mask": read_mask(path, False, 10**8)
        case "cache": decode_distinct_channels(path.read_bytes(), "x", 1, 10**8)
        case "probe":
            key = ProbeKey(ListedFile(str(path), 1, 1), False)
            found = probe_files([key], path.parent / "cache", 10**8, 1, NoProgress())[key]
            print(found.error, file=sys.stderr)
except DataError as error:
    print(error, file=sys.stderr)
print(peak() - before)
"""


def memory_of(path: Path, reader: str) -> int:
    """Return the largest amount of memory, in MiB, that reading a file takes in a separate process."""
    path.write_bytes(BOMBS[path.name])
    assert len(BOMBS[path.name]) < 2**20
    completed = subprocess.run([sys.executable, "-c", MEASURE, path, reader], capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr
    return int(completed.stdout)


on_linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured by Linux's /proc")


@on_linux
@pytest.mark.parametrize("name", ["b.png", "tiles.tif"])
def test_a_bomb_takes_no_memory_when_it_is_read(tmp_path: Path, name: str) -> None:
    assert memory_of(tmp_path / name, "cache") < 100


@pytest.mark.slow
@on_linux
@pytest.mark.parametrize("reader", ["image", "mask", "probe", "cache"])
@pytest.mark.parametrize("name", BOMBS)
def test_no_kind_of_bomb_takes_memory_with_any_reader(tmp_path: Path, name: str, reader: str) -> None:
    assert memory_of(tmp_path / name, reader) < 100


@pytest.mark.parametrize("name", [name for name in BOMBS if name != "b.png"])
def test_a_bomb_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=name):
        decode_pixels(open_image(BOMBS[name], name, 10**8), name, 1)


def test_tiles_that_fit_are_read(tmp_path: Path) -> None:
    """Small images have tiles larger than themselves; 256 pixels are common."""
    small = tiff(16, tile=256)
    assert decode_pixels(open_image(small, "a.tif", LIMIT), "a.tif", 1).shape == (16, 16, 1)


@pytest.mark.parametrize("kind", ["GIF", "ICO", "PPM", "PDF", "EPS", "TGA"])
def test_other_kinds_of_files_are_refused_regardless_of_their_name(tmp_path: Path, kind: str) -> None:
    Image.fromarray(disc()).save(tmp_path / "a.png", kind)
    with pytest.raises(DataError, match="is none of PNG, JPEG"):
        read_image(tmp_path / "a.png", 1, LIMIT)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_a_file_of_many_frames_is_refused(kind: str) -> None:
    frames = [Image.fromarray(noise(seed)) for seed in range(300)]
    file = io.BytesIO()
    frames[0].save(
        file, kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
    )
    with pytest.raises(DataError, match=r"^a: has 300 frames or pages; save the one that the label belongs to"):
        decode_pixels(open_image(file.getvalue(), "a", noise(0).size), "a", 1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_an_incomplete_file_is_refused(tmp_path: Path, kind: str, share: float) -> None:
    file = io.BytesIO()
    Image.fromarray(noise(0)).save(file, kind)
    content = file.getvalue()[: int(len(file.getvalue()) * share)]
    with pytest.raises(DataError, match=r"a: cannot be (read|decoded)"):
        decode_pixels(open_image(content, "a", LIMIT), "a", 1)


def test_images_with_16_bits_and_with_palettes_are_read(tmp_path: Path) -> None:
    write_image(tmp_path / "deep.png", (disc(200).astype("uint16") * 257))
    assert (read_image(tmp_path / "deep.png", 1, LIMIT)[:, :, 0] == disc(200)).all()
    inside = (disc() > 100).astype("uint8")
    indices = Image.fromarray(inside, "P")
    indices.putpalette([0, 0, 0, 200, 200, 200])
    indices.save(tmp_path / "palette.png")
    assert (read_image(tmp_path / "palette.png", 1, LIMIT)[:, :, 0] == inside * 200).all()
    with Image.open(tmp_path / "palette.png") as image:
        assert (decode_mask_values(image, "a", foreground_255=False) == inside).all()
