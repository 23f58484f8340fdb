"""Boxes and keypoints from COCO's JSON (https://cocodataset.org/#format-data): one category, one object an image."""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from usaggr.data.sources.table import SourceRow, SourceTable, refuse_task_name
from usaggr.errors import ConfigError, DataError, one_of

Kind = Literal["boxes", "keypoints"]
Several = Literal["refuse", "largest"]

_Thing = Mapping[str, Any]


def read_coco(
    annotations: Path,
    images: Path,
    task: str,
    kind: Kind,
    category: str | None = None,
    several: Several = "refuse",
) -> SourceTable:
    """One task from a COCO file: a box an image (detection), or an object's keypoints (landmarks).

    `images` is the folder that the file names are relative to. `category` chooses one where there are several. Of
    several objects in an image, `largest` takes the one with the largest box; `refuse` is an error, since a sample has
    one box. Images without an object, and objects with a keypoint that is not labelled, are left out and named.

    Raises:
        ConfigError: no such file, or a category that must be named, or is not in it.
        DataError: no COCO file, an image file that is not there, or several objects in one image.
    """
    refuse_task_name(task)
    content = _content(annotations)
    chosen = _category(annotations, content["categories"], category)
    objects: dict[int, list[_Thing]] = defaultdict(list)
    for thing in content["annotations"]:
        if thing.get("category_id") == chosen.get("id") and not thing.get("iscrowd"):
            objects[thing["image_id"]].append(thing)
    points = tuple(str(name) for name in chosen.get("keypoints", ()))
    if kind == "keypoints" and not points:
        raise DataError(f"{annotations}: the category {chosen.get('name')} has no list of keypoints")
    known = {entry["id"] for entry in content["images"]}
    left_out = [
        f"{annotations}: object of image {key}, which is not among the images" for key in objects.keys() - known
    ]
    rows: list[SourceRow] = []
    for entry in sorted(content["images"], key=lambda image: str(image["file_name"])):
        image = images / str(entry["file_name"])
        if not image.is_file():
            raise DataError(f"{annotations}: image {entry['file_name']} is not in {images}; --images is its folder")
        found = _one(annotations, image, objects.get(entry["id"], []), several)
        row = _row(image, found, kind, len(points)) if found is not None else "no object"
        if isinstance(row, str):
            left_out.append(f"{image}: {row}")
        else:
            rows.append(row)
    names = points if kind == "keypoints" else (str(chosen.get("name", "box")),)
    type_: Literal["detection", "regression"] = "detection" if kind == "boxes" else "regression"
    return SourceTable(task, type_, len(names), tuple(rows), names, tuple(left_out))


def as_kind(text: str) -> Kind:
    """What is read, by its name on the command line.

    Raises:
        ConfigError: neither boxes nor keypoints.
    """
    match text:
        case "boxes" | "keypoints":
            return text
        case _:
            raise ConfigError(one_of("--kind", text, get_args(Kind)))


def as_several(text: str) -> Several:
    """What is done with several objects in an image, by its name on the command line.

    Raises:
        ConfigError: neither refuse nor largest.
    """
    match text:
        case "refuse" | "largest":
            return text
        case _:
            raise ConfigError(one_of("--several", text, get_args(Several)))


def _content(path: Path) -> dict[str, list[_Thing]]:
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; give COCO's JSON file of annotations")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is no JSON ({error})") from error
    needed: dict[str, Callable[[Any], bool]] = {
        "images": lambda e: _is_id(e.get("id")) and isinstance(e.get("file_name"), str),
        "annotations": lambda e: _is_id(e.get("image_id")) and _is_id(e.get("category_id")),
        "categories": lambda e: _is_id(e.get("id")) and isinstance(e.get("keypoints", []), list),
    }
    for name, fits in needed.items():
        entries = content.get(name) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise DataError(f"{path}: has no list '{name}'; COCO's files of annotations have {', '.join(needed)}")
        for number, entry in enumerate(entries):
            if not isinstance(entry, dict) or not fits(entry):
                raise DataError(f"{path}: entry {number} of '{name}' is not as COCO's format has it")
    return dict(content)


def _is_id(value: object) -> bool:
    return isinstance(value, int | str)


def _category(path: Path, categories: Sequence[_Thing], name: str | None) -> _Thing:
    names = [str(entry.get("name", entry["id"])) for entry in categories]
    if name is None:
        if len(categories) != 1:
            raise ConfigError(f"--category: {path} has {len(names)}; choose one of {', '.join(sorted(names))}")
        return categories[0]
    if name not in names:
        raise ConfigError(one_of("--category", name, names))
    return categories[names.index(name)]


def _one(path: Path, image: Path, objects: Sequence[_Thing], several: Several) -> _Thing | None:
    if not objects:
        return None
    if len(objects) > 1 and several == "refuse":
        raise DataError(
            f"{path}: image {image.name} has {len(objects)} objects, a sample has one; "
            "--several largest takes the largest"
        )
    return max(objects, key=_area)


def _area(thing: _Thing) -> float:
    box = _numbers(thing.get("bbox"), 4)
    return box[2] * box[3] if box else -1.0


def _row(image: Path, thing: _Thing, kind: Kind, points: int) -> SourceRow | str:
    """The sample of an object, or why it is none."""
    if kind == "boxes":
        box = _numbers(thing.get("bbox"), 4)
        if box is None:
            return "bbox is not four numbers"
        x, y, width, height = box
        return SourceRow(image, box=(x, y, x + width, y + height))
    values = _numbers(thing.get("keypoints"), 3 * points)
    if values is None:
        return f"keypoints are not {points} times x, y, v"
    triples = [values[i : i + 3] for i in range(0, len(values), 3)]
    if any(triple[2] == 0 for triple in triples):
        return "a keypoint is not labelled (v=0)"
    # COCO counts from the corner of a pixel, as usaggr does.
    return SourceRow(image, points=tuple((x, y) for x, y, _ in triples))


def _numbers(value: object, count: int) -> list[float] | None:
    if not isinstance(value, list) or len(value) != count:
        return None
    numbers = [float(v) for v in value if isinstance(v, int | float)]
    return numbers if len(numbers) == count and all(math.isfinite(v) for v in numbers) else None
