"""Checks of COCO's sizes and boxes: the size of each image in the JSON and in its file, and corners for sizes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from usaggr.data.read import readers_version
from usaggr.data.read.pixel_sizes import format_pixels
from usaggr.data.sources.coco_file import CocoFile, Entry, parse_numbers
from usaggr.errors import DataError

Sizes = Literal["refuse", "scale"]
"""Treatment of images with another size than in the JSON."""
BoxFormat = Literal["xywh", "xyxy"]
"""Boxes as x, y, width, height, or as the corners x_min, y_min, x_max, y_max."""

_ORIENTATION = 0x0112
"""EXIF tag of the orientation: from 5 to 8, width and height are exchanged."""


class ImageSize(NamedTuple):
    """Width and height: of an image in pixels, or as factors."""

    width: float
    height: float


def compare_sizes(
    coco: CocoFile, files: Mapping[int | str, Path], sizes: Sizes
) -> tuple[dict[int | str, ImageSize], tuple[str, ...]]:
    """Compare the sizes in the JSON, which its coordinates belong to, with those of the files.

    Args:
        coco: The file.
        files: File of each image by id.
        sizes: "scale" returns factors for coordinates; "refuse" raises an error.

    Returns:
        The factors of images with another size, by id, and notes for the user.

    Raises:
        DataError: A size differs and `sizes` is "refuse", or an image is turned.
    """
    factors: dict[int | str, ImageSize] = {}
    examples: list[str] = []
    turned = 0
    for entry in coco.images:
        path = files[entry["id"]]
        stated = _get_stated_size(entry)
        size = read_size(path) if stated else None
        if stated is None or size is None or stated == size:
            continue
        description = (
            f"{path.name}: {format_pixels(size.height, size.width)}, the JSON says "
            f"{stated.height:.0f} x {stated.width:.0f}"
        )
        if (stated.height, stated.width) == size and is_marked_as_turned(path):
            turned += 1  # viewers and labeling programs show it turned, as `data.exif_orientation=apply` reads it
            continue
        if (stated.height, stated.width) == size:
            raise DataError(
                f"{coco.path}: {description}: the image is turned, so its labels do not fit; save the images as they "
                "were when they were labeled"
            )
        examples.append(description)
        factors[entry["id"]] = ImageSize(size.width / stated.width, size.height / stated.height)
    notes: tuple[str, ...] = ()
    if turned:
        notes = (
            f"{turned} of {len(coco.images)} images are stored turned (EXIF orientation), and the labels are those of "
            "the images as viewers show them",
        )
    if not factors:
        return {}, notes
    count = f"{len(factors)} of {len(coco.images)} images have another size than in the JSON"
    if sizes == "refuse":
        raise DataError(
            f"{coco.path}: {count}, such as {examples[0]}; add --sizes scale to scale the labels, or give the images "
            "that were labeled"
        )
    return factors, (*notes, f"{count}, such as {examples[0]}; their labels are scaled")


def read_size(path: Path) -> ImageSize | None:
    """Return the size of an image as it is stored; None if it cannot be read, which `data check` reports."""
    from PIL import Image

    try:
        with Image.open(path, formats=tuple(readers_version.FORMATS)) as image:
            return ImageSize(*image.size)
    except Exception:  # decoders raise many kinds of exception on broken files
        return None


def is_marked_as_turned(path: Path) -> bool:
    """Return whether the EXIF orientation of an image exchanges its width and height."""
    from PIL import Image

    try:
        with Image.open(path, formats=tuple(readers_version.FORMATS)) as image:
            return image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    except Exception:  # decoders raise many kinds of exception on broken files
        return False


def check_boxes(coco: CocoFile, objects: Mapping[int | str, Sequence[Entry]]) -> None:
    """Refuse boxes that are corners (x_min, y_min, x_max, y_max) instead of x, y, width, height.

    Boxes are taken for corners if all can be corners inside their images, and some are outside as x, y, width, height;
    or if the areas in the JSON are those of corners.

    Raises:
        DataError: The boxes are corners.
    """
    stated = {entry["id"]: _get_stated_size(entry) for entry in coco.images}
    outside = fitting = 0
    example = ""
    for key, entries in objects.items():
        size = stated.get(key)
        for entry in entries:
            box = parse_numbers(entry.get("bbox"), 4)
            if box is None:
                continue
            x, y, third, fourth = box
            if third <= x or fourth <= y or (size and (third > size.width + 1 or fourth > size.height + 1)):
                return
            area = entry.get("area")
            if isinstance(area, int | float) and area > 0:
                as_corners, as_size = (third - x) * (fourth - y), third * fourth
                if abs(as_size - area) <= 0.02 * area:
                    return
                fitting += abs(as_corners - area) <= 0.02 * area
            if size and (x + third > size.width + 1 or y + fourth > size.height + 1):
                outside += 1
                example = example or f"image {key}: [{x:g}, {y:g}, {third:g}, {fourth:g}]"
            elif not example and fitting:
                example = f"image {key}: [{x:g}, {y:g}, {third:g}, {fourth:g}]"
    if outside or fitting:
        raise DataError(
            f"{coco.path}: the boxes look like corners x_min, y_min, x_max, y_max instead of x, y, width, height "
            f"({example}); add --box-format xyxy"
        )


def _get_stated_size(entry: Entry) -> ImageSize | None:
    width, height = (entry.get(name) for name in ("width", "height"))
    if not isinstance(width, int | float) or not isinstance(height, int | float) or width <= 0 or height <= 0:
        return None
    return ImageSize(width, height)
