"""Reader of boxes or keypoints in COCO's JSON format (https://cocodataset.org/#format-data).

One category is read, with one object per image, because a sample has one box or one set of landmarks.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from usaggr.data.sources.table import SourceRow, SourceTable, check_task_name
from usaggr.errors import ConfigError, DataError, one_of

Kind = Literal["boxes", "keypoints"]
"""Labels to read."""
SeveralObjects = Literal["refuse", "largest"]
"""Treatment of images with several objects."""

_Entry = Mapping[str, Any]
"""Entry of a list in COCO's JSON: an image, an annotation or a category."""


def read_coco(
    annotations: Path,
    images: Path,
    task: str,
    kind: Kind,
    category: str | None = None,
    several: SeveralObjects = "refuse",
) -> SourceTable:
    """Read one task from a COCO file: one box per image (detection), or the keypoints of one object (landmarks).

    Images without an object, and objects with an unlabeled keypoint, are left out and listed.

    Args:
        annotations: COCO's JSON file.
        images: Folder that the file names are relative to.
        task: Id of the task.
        kind: Labels to read.
        category: Name of the category; required if the file has several.
        several: Treatment of several objects in one image: "largest" selects the one with the largest box; "refuse"
            raises an error, because a sample has one box.

    Raises:
        ConfigError: The file does not exist, or the category is missing or unknown.
        DataError: The file is not a COCO file, an image does not exist, or an image has several objects.
    """
    check_task_name(task)
    content = _read_content(annotations)
    selected = _select_category(annotations, content["categories"], category)
    objects = _group_objects(content["annotations"], selected)
    keypoints = tuple(str(name) for name in selected.get("keypoints", ()))
    if kind == "keypoints" and not keypoints:
        raise DataError(f"{annotations}: the category {selected.get('name')} has no list of keypoints")
    image_ids = {entry["id"] for entry in content["images"]}
    left_out = [
        f"{annotations}: object of image {key}, which is not in the list of images"
        for key in sorted(objects.keys() - image_ids, key=str)  # a set has no fixed order, and ids may be of two types
    ]
    source_rows: list[SourceRow] = []
    for entry in sorted(content["images"], key=lambda image: str(image["file_name"])):
        image = images / str(entry["file_name"])
        if not image.is_file():
            raise DataError(
                f"{annotations}: image {entry['file_name']} is not in {images}; give its folder as --images"
            )
        annotated = _select_object(annotations, image, objects.get(entry["id"], []), several)
        row = _make_row(image, annotated, kind, len(keypoints)) if annotated is not None else "no object"
        if isinstance(row, str):
            left_out.append(f"{image}: {row}")
        else:
            source_rows.append(row)
    names = keypoints if kind == "keypoints" else (str(selected.get("name", "box")),)
    task_type: Literal["detection", "regression"] = "detection" if kind == "boxes" else "regression"
    return SourceTable(task, task_type, len(names), tuple(source_rows), names, tuple(left_out))


def parse_kind(text: str) -> Kind:
    """Return the kind of labels for a name on the command line.

    Raises:
        ConfigError: The name is neither boxes nor keypoints.
    """
    match text:
        case "boxes" | "keypoints":
            return text
        case _:
            raise ConfigError(one_of("--kind", text, get_args(Kind)))


def parse_several(text: str) -> SeveralObjects:
    """Return the treatment of several objects for a name on the command line.

    Raises:
        ConfigError: The name is neither refuse nor largest.
    """
    match text:
        case "refuse" | "largest":
            return text
        case _:
            raise ConfigError(one_of("--several", text, get_args(SeveralObjects)))


def _read_content(path: Path) -> dict[str, list[_Entry]]:
    """Read a COCO file, and check that its lists and entries have the required values."""
    if not path.is_file():
        raise ConfigError(f"{path}: this file does not exist; give COCO's JSON file of annotations")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:  # RecursionError: deeply nested lists
        raise DataError(f"{path}: is not valid JSON ({error})") from error
    required: dict[str, Callable[[Any], bool]] = {
        "images": lambda e: _is_id(e.get("id")) and isinstance(e.get("file_name"), str),
        "annotations": lambda e: _is_id(e.get("image_id")) and _is_id(e.get("category_id")),
        "categories": lambda e: _is_id(e.get("id")) and isinstance(e.get("keypoints", []), list),
    }
    for name, is_valid in required.items():
        entries = content.get(name) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise DataError(f"{path}: has no list '{name}'; COCO's annotation files have {', '.join(required)}")
        for number, entry in enumerate(entries):
            if not isinstance(entry, dict) or not is_valid(entry):
                raise DataError(f"{path}: entry {number} (from 0) of '{name}' is not valid in COCO's format")
    return dict(content)


def _is_id(value: object) -> bool:
    return isinstance(value, int | str)


def _select_category(path: Path, categories: Sequence[_Entry], name: str | None) -> _Entry:
    """Return the category to read.

    Args:
        path: The file, for messages.
        categories: Categories of the file.
        name: Requested category; None if the file has only one.
    """
    names = [str(entry.get("name", entry["id"])) for entry in categories]
    if name is None:
        if len(categories) != 1:
            raise ConfigError(
                f"--category: {path} has {len(names)} categories; choose one of {', '.join(sorted(names))}"
            )
        return categories[0]
    if name not in names:
        raise ConfigError(one_of("--category", name, names))
    return categories[names.index(name)]


def _group_objects(annotations: Sequence[_Entry], category: _Entry) -> dict[int, list[_Entry]]:
    """Return the objects of a category by the id of their image."""
    objects: dict[int, list[_Entry]] = defaultdict(list)
    for annotation in annotations:
        # A crowd annotation is a region with many objects.
        if annotation["category_id"] == category["id"] and not annotation.get("iscrowd"):
            objects[annotation["image_id"]].append(annotation)
    return objects


def _select_object(path: Path, image: Path, objects: Sequence[_Entry], several: SeveralObjects) -> _Entry | None:
    """Return the object of an image, or None if it has none.

    Args:
        path: The COCO file, for messages.
        image: The image, for messages.
        objects: Annotations of the image.
        several: Treatment of several objects.
    """
    if not objects:
        return None
    if len(objects) > 1 and several == "refuse":
        raise DataError(
            f"{path}: image {image.name} has {len(objects)} objects, but a sample has one; add --several largest to "
            "select the largest"
        )
    return max(objects, key=_compute_box_area)


def _compute_box_area(annotation: _Entry) -> float:
    """Return the area of an object's box; -1 if it has no valid box, so that any other object is larger."""
    box = _parse_numbers(annotation.get("bbox"), 4)
    return box[2] * box[3] if box else -1.0


def _make_row(image: Path, annotation: _Entry, kind: Kind, points: int) -> SourceRow | str:
    """Return the row of an annotation, or the reason why it is left out.

    Args:
        image: The image file.
        annotation: Annotation of the object.
        kind: Labels to read.
        points: Number of keypoints of the category.
    """
    if kind == "boxes":
        box = _parse_numbers(annotation.get("bbox"), 4)
        if box is None:
            return "bbox is not four numbers"
        x, y, width, height = box
        return SourceRow(image, box=(x, y, x + width, y + height))
    values = _parse_numbers(annotation.get("keypoints"), 3 * points)
    if values is None:
        return f"keypoints are not {points} times x, y, v"
    triples = [values[i : i + 3] for i in range(0, len(values), 3)]
    # v is 0 (not labeled; x and y are 0, too), 1 (labeled but not visible) or 2 (labeled and visible).
    if any(visibility == 0 for _, _, visibility in triples):
        return "a keypoint is not labeled (v=0)"
    # COCO's coordinates start at the corner of the first pixel, as in usaggr, so they need no shift.
    return SourceRow(image, points=tuple((x, y) for x, y, _ in triples))


def _parse_numbers(value: object, count: int) -> list[float] | None:
    """Return a list of a given number of finite numbers; None for any other value."""
    if not isinstance(value, list) or len(value) != count:
        return None
    numbers = [float(v) for v in value if isinstance(v, int | float)]
    return numbers if len(numbers) == count and all(math.isfinite(v) for v in numbers) else None
