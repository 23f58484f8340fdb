"""Kinds of image and mask files: format, mode, bit depth, frames, orientation and transparency, from their headers.

A kind tells which files the current readers treat otherwise than the first version of the readers. Only the stored
facts of these files have to be read again.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from usaggr.io.bounded_content import parse_json

if TYPE_CHECKING:
    from PIL.Image import Image

KINDS_VERSION = 1
"""Version of the kinds. Raise it if a kind gets another value for the same file, or if a kind is read otherwise."""

MAX_FRAMES = 1000
"""Largest number of frames of a file that are counted, because a hostile file may have millions."""

ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
"""Pillow's modes with an alpha channel."""

_ORIENTATION = 0x0112
"""EXIF and TIFF tag of the orientation: 1 is upright, 2 to 8 are mirrored or turned."""
_SUBFILE_TYPE, _BITS_PER_SAMPLE, _PHOTOMETRIC = 254, 258, 262
"""TIFF tags. A page whose subfile type has bit 0 is a preview of another page; photometric 0: the value 0 is white."""


@dataclass(frozen=True, slots=True)
class FileKind:
    """Kind of an image or mask file. The defaults are those of a plain file; an empty format means unknown."""

    format: str = ""
    """Pillow's name of the format."""
    mode: str = ""
    """Pillow's mode, such as L (grayscale), P (palette), RGB, RGBA or I;16."""
    bits: int = 8
    """Bits per channel."""
    frames: int = 1
    """Number of frames or pages without previews, up to `MAX_FRAMES`."""
    orientation: int = 1
    """EXIF orientation, 1 to 8; 1 is upright."""
    alpha: bool = False
    """True if the file has an alpha channel or transparent colors."""
    hidden: bool = False
    """True for an image whose transparent pixels have other values than black."""
    maximum: int | None = None
    """Largest value of an image of more than 8 bits; None for other files."""
    drawn: bool = False
    """True for a mask whose classes are the gray values of its palette, not the indices."""
    colors: tuple[tuple[int, str], ...] = ()
    """Index and color (rrggbb) of each used entry of a mask's palette; empty if the colors are gray."""

    @property
    def stands_turned(self) -> bool:
        """Return whether viewers show the file mirrored or turned, while its pixels are read as stored.

        TIFF is excluded: its orientation belongs to the format, and Pillow applies it.
        """
        return self.orientation != 1 and self.format != "TIFF"

    @property
    def is_transposed(self) -> bool:
        """Return whether viewers show the file with height and width exchanged; see `stands_turned`."""
        return self.stands_turned and self.orientation >= 5

    def is_plain(self, is_mask: bool) -> bool:
        """Return whether the file is read as by the first version of the readers, as far as its header shows."""
        has_special_mode = self.mode not in ("1", "L", "RGB", "CMYK", "YCbCr", "F", "P") or (
            is_mask and self.mode == "P"
        )
        return (
            self.bits <= 8 and self.frames == 1 and not self.stands_turned and not self.alpha and not has_special_mode
        )

    def describe(self) -> str:
        """Return the kind in words, such as "PNG, palette" or "JPEG, RGB, EXIF orientation 6"."""
        modes = {"1": "1-bit", "L": "grayscale", "P": "palette", "LA": "grayscale + alpha", "PA": "palette + alpha"}
        words = [self.format, modes.get(self.mode, "grayscale" if self.mode.startswith("I") else self.mode)]
        if self.bits > 8:
            words.append(f"{self.bits} bits")
        if self.drawn:
            words.append("classes by gray value")
        if self.frames > 1:
            words.append(f"{self.frames} frames")
        if self.orientation != 1:
            words.append(f"{'' if self.format == 'TIFF' else 'EXIF '}orientation {self.orientation}")
        if self.alpha and self.mode not in ALPHA_MODES:
            words.append("transparent color")
        if self.hidden:
            words.append("transparent pixels that are not black")
        return ", ".join(words)


UNKNOWN_KIND = FileKind()
"""Kind of a file that was not read."""


@lru_cache(maxsize=4096)
def deduplicate_kind(kind: FileKind) -> FileKind:
    """Return an equal kind that all files of the kind share, to save memory."""
    return kind


def find_kind(image: "Image") -> FileKind:
    """Return the kind of an opened image from its header; `hidden`, `maximum`, `drawn` and `colors` need its pixels."""
    return FileKind(
        format="JPEG" if image.format == "MPO" else image.format or "",
        mode=image.mode,
        bits=_find_bits(image),
        frames=count_frames(image),
        orientation=find_orientation(image),
        alpha=has_alpha(image),
    )


def is_deep(image: "Image") -> bool:
    """Return whether an opened image, whose pixels are not loaded yet, has more than 8 bits per channel."""
    return _find_bits(image) > 8 and image.mode != "F"


def has_alpha(image: "Image") -> bool:
    """Return whether an image has an alpha channel or transparent colors."""
    return image.mode in ALPHA_MODES or "transparency" in image.info


def has_white_zero(image: "Image") -> bool:
    """Return whether an image is a TIFF file in which the value 0 is white."""
    tags = getattr(image, "tag_v2", None) if image.format == "TIFF" else None
    return tags is not None and tags.get(_PHOTOMETRIC) == 0


def count_frames(image: "Image") -> int:
    """Return the number of frames or pages of an opened image, without previews, up to `MAX_FRAMES`."""
    if image.format in ("MPO", "JPEG") or not getattr(image, "is_animated", False):
        return 1  # the further pictures in a JPEG file are previews and other views
    if image.format != "TIFF":
        return min(int(getattr(image, "n_frames", 1)), MAX_FRAMES)
    frames = 1
    # An error in a later page ends the file: the first page can be read without it.
    with suppress(Exception):
        for page in range(1, MAX_FRAMES):
            image.seek(page)
            subfile_type = image.tag_v2.get(_SUBFILE_TYPE, 0)  # type: ignore[attr-defined]
            frames += not (isinstance(subfile_type, int) and subfile_type & 1)
    image.seek(0)
    return frames


def find_orientation(image: "Image") -> int:
    """Return the orientation of an opened image, 1 to 8; invalid metadata count as upright."""
    try:
        if image.format == "TIFF":
            value: Any = image.tag_v2.get(_ORIENTATION, 1)  # type: ignore[attr-defined]
        elif image.format == "PNG" and image._im is None and not {"exif", "xmp"} & image.info.keys():
            return 1  # `getexif` would decode the pixels, to search metadata behind them
        else:
            value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # parsers of metadata raise many kinds of exception
        return 1
    return value if type(value) is int and 1 <= value <= 8 else 1


def store_kind(kind: FileKind) -> str:
    """Return a kind as JSON, without the values of a plain file."""
    plain = asdict(FileKind())
    return json.dumps({"version": KINDS_VERSION} | {k: v for k, v in asdict(kind).items() if v != plain[k]})


def restore_kind(text: str) -> FileKind | None:
    """Return a kind from JSON; None if another version of the readers has written it."""
    try:
        stored = parse_json(text)
        if stored.pop("version") != KINDS_VERSION:
            return None
        colors: Sequence[tuple[int, str]] = stored.pop("colors", ())
        kind = FileKind(**stored)
        return deduplicate_kind(replace(kind, colors=tuple((int(index), str(color)) for index, color in colors)))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _find_bits(image: "Image") -> int:
    """Return the bits per channel of an opened image, whose pixels are not loaded yet."""
    if image.mode == "1":
        return 1
    if image.mode == "F":
        return 32
    bits = 8
    if image.format == "TIFF":
        stored = image.tag_v2.get(_BITS_PER_SAMPLE, 8)  # type: ignore[attr-defined]
        depths = stored if isinstance(stored, tuple) else (stored,)
        bits = max((depth for depth in depths if isinstance(depth, int)), default=8)
    elif tiles := getattr(image, "tile", None):  # images that were made from arrays have none
        arguments = tiles[0][3]  # by position: in Pillow 10 a tile is a plain tuple
        raw_mode = arguments if isinstance(arguments, str) else arguments[0] if arguments else ""
        bits = 16 if isinstance(raw_mode, str) and ";16" in raw_mode else 8
    if image.mode.startswith("I"):
        return max(bits, 16)
    return bits if bits > 8 else 8
