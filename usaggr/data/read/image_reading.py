"""Conversion of an image file to pixels of 8 bits: bit depth, orientation and transparency.

The readers' first version scaled each file of 16 bits by its own largest value, and ignored orientation and
transparency. Where an image is read otherwise now, `describe_change` returns a text, which is part of the key of cached
pixels and of the fingerprints of runs. All other files keep both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from usaggr.config.study import DataConfig
from usaggr.data.read.file_kinds import FileKind

BIT_DEPTHS = (8, 10, 12, 16)
"""Bit depths to which images of more than 8 bits are assigned: that of a task is the smallest that holds its values."""
FIRST_DEPTHS = (8, 16)
"""The same for runs of versions that knew these two depths only."""

Orientation = Literal["apply", "ignore"]
Transparency = Literal["black", "ignore"]


@dataclass(frozen=True, slots=True)
class ImageReading:
    """Rules by which the pixels of an image are read; the defaults are those of a file on its own."""

    depths: tuple[int, ...] = BIT_DEPTHS
    """Allowed bit depths, ascending; the smallest that holds the file's largest value is used, otherwise the last."""
    orientation: Orientation = "ignore"
    """apply: turn the image as its EXIF orientation says; ignore: return the pixels as stored."""
    transparency: Transparency = "ignore"
    """black: draw the image on black; ignore: return the stored values of transparent pixels, too."""

    def choose_depth(self, maximum: int) -> int:
        """Return the bit depth for a file with this largest value."""
        return next((depth for depth in self.depths if maximum < 2**depth), self.depths[-1])

    def describe_change(self, kind: FileKind) -> str:
        """Return in words how a file is read otherwise than by the first version; empty if it is read as before."""
        changes = []
        if kind.maximum is not None:
            depth = self.choose_depth(kind.maximum)
            first = 16 if kind.maximum > 255 or not kind.mode.startswith("I") else 8
            if depth != first:
                changes.append(f"bits {depth}")
        if kind.stands_turned and self.orientation == "apply":
            changes.append(f"orientation {kind.orientation}")
        if kind.hidden and self.transparency == "black":
            changes.append("transparent pixels black")
        return ", ".join(changes)


FILE_READING = ImageReading()
"""Reading of a file on its own."""
FIRST_READING = ImageReading(FIRST_DEPTHS)
"""Reading of the first version, with which older runs were trained."""


@dataclass(frozen=True)
class Ambiguity:
    """An image that can be read in two ways."""

    kind: str
    """Short name, as in `Fault.kind`."""
    reason: str
    remedy: str
    """Keys of the configuration that decide for all images."""
    remedy_for_file: str
    """Change of the file, where no configuration can be changed, as in predictions."""


@dataclass(frozen=True)
class ReadingRules:
    """Settings that decide how the images of a task are read, as a run keeps them for `predict`."""

    bit_depth: int | None = None
    """Bit depth of the task's images of more than 8 bits; None if it has none."""
    exif_orientation: Orientation | None = None
    """Value of `data.exif_orientation`."""
    transparency: Transparency | None = None
    """Value of `data.transparency`."""

    def find_ambiguity(self, kind: FileKind) -> Ambiguity | None:
        """Return the reason why an image cannot be read without a decision of the user; None if it can."""
        if kind.stands_turned and self.exif_orientation is None:
            return Ambiguity(
                "orientation",
                f"is marked as turned (EXIF orientation {kind.orientation}): viewers show it turned, other programs do "
                "not",
                "set data.exif_orientation=apply if the labels belong to what viewers show, or "
                "data.exif_orientation=ignore if they belong to the stored pixels",
                "save it upright, without this mark",
            )
        if kind.hidden and self.transparency is None:
            return Ambiguity(
                "transparency",
                "has transparent pixels that are not black: its alpha channel may cover a part of the image, or hold a "
                "label",
                "set data.transparency=black to draw such images on black, or data.transparency=ignore to leave their "
                "alpha channel out",
                "save it without an alpha channel",
            )
        return None

    def make_reading(self) -> ImageReading:
        """Return how images are read with these settings."""
        depths = BIT_DEPTHS if self.bit_depth is None else (self.bit_depth,)
        return ImageReading(depths, self.exif_orientation or "ignore", self.transparency or "ignore")


FIRST_RULES = ReadingRules(None, "ignore", "ignore")
"""Rules of runs of versions that stored none; their reading is `FIRST_READING`."""


def make_rules(data: DataConfig, kinds: Sequence[FileKind]) -> ReadingRules:
    """Return the rules of a task with images of these kinds."""
    maxima = [kind.maximum for kind in kinds if kind.maximum is not None]
    depth: int | None = data.bit_depth if maxima else None
    if maxima and depth is None:
        depth = ImageReading().choose_depth(max(maxima))
    return ReadingRules(depth, data.exif_orientation, data.transparency)


def describe_depth(task_id: str, kinds: Sequence[FileKind], rules: ReadingRules) -> str | None:
    """Return a note about the bit depth of a task's images; None if each file alone would be read alike.

    Args:
        task_id: Task.
        kinds: Kinds of the task's images.
        rules: Rules of the task.
    """
    maxima: list[Any] = sorted(kind.maximum for kind in kinds if kind.maximum is not None)
    if not maxima or rules.bit_depth is None:
        return None
    depth, count = rules.bit_depth, len(maxima)
    images = "1 image of more than 8 bits has" if count == 1 else f"{count} images of more than 8 bits have"
    text = f"task {task_id}: {images} values up to {maxima[-1]} and"
    text += f" {'is' if count == 1 else 'are'} read as {depth} bits; data.bit_depth sets another depth"
    larger = sum(maximum >= 2**depth for maximum in maxima)
    if larger:
        return f"{text}; {larger} of them {'has' if larger == 1 else 'have'} larger values, which become white"
    usual = maxima[count // 2]
    if usual < 2 ** (depth - 3):
        levels = max(usual >> (depth - 8), 1)
        return f"{text}; half of them have values up to {usual} only, which leaves {levels} gray levels"
    is_first = depth in (8, 16) and all((maximum > 255) == (depth == 16) for maximum in maxima)
    return None if is_first else text
