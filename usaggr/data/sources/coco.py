"""Reader of one task from COCO's JSON (https://cocodataset.org/#format-data): boxes, keypoints or masks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar, get_args

from usaggr.data.sources.coco_file import CocoFile, Entry, parse_numbers, read_coco_file, select_categories
from usaggr.data.sources.coco_masks import draw_objects
from usaggr.data.sources.coco_sizes import BoxFormat, ImageSize, Sizes, check_boxes, compare_sizes
from usaggr.data.sources.image_folder import list_images
from usaggr.data.sources.left_out import LeftOut
from usaggr.data.sources.masks import Several
from usaggr.data.sources.table import SourceRow, SourceTable, check_task_name
from usaggr.errors import ConfigError, DataError, explain_unknown_name
from usaggr.tasks import TaskType

Kind = Literal["boxes", "keypoints", "masks"]
"""Labels to read."""
Crowd = Literal["leave_out", "object", "ignore"]
"""Treatment of images with objects that have iscrowd=1: a crowd of objects, or in CVAT one drawn with a brush."""

_Name = TypeVar("_Name", bound=str)


@dataclass(frozen=True)
class CocoOptions:
    """Selection of what is read from a COCO file, and treatment of what one sample cannot have."""

    kind: Kind
    category: str | None = None
    """Name of the category; None if only one has objects. Masks can have all categories."""
    several: Several = "refuse"
    """Treatment of several objects in one image: "largest" selects the one with the largest box, "union" takes the box
    around all; "refuse" raises an error. Masks have all objects."""
    crowd: Crowd = "leave_out"
    """Treatment of images with crowds; masks have them."""
    sizes: Sizes = "refuse"
    """Treatment of images with another size than in the JSON."""
    box_format: BoxFormat = "xywh"


def read_coco(
    annotations: Path,
    images: Path,
    task: str,
    kind: Kind,
    category: str | None = None,
    several: Several = "refuse",
    crowd: Crowd = "leave_out",
    sizes: Sizes = "refuse",
    box_format: BoxFormat = "xywh",
) -> SourceTable:
    """Read one task from a COCO file: one box per image, the keypoints of one object, or the masks of all objects.

    Images without an object, and objects with an unlabeled keypoint, are left out and listed.

    Args:
        annotations: COCO's JSON file.
        images: Folder that the file names are relative to.
        task: Id of the task.
        kind: Labels to read.
        category: Name of the category; required if several have objects, except for masks of all categories.
        several: See `CocoOptions`.
        crowd: See `CocoOptions`.
        sizes: See `CocoOptions`.
        box_format: "xywh" as COCO defines it, or "xyxy" for corners.

    Raises:
        ConfigError: The file does not exist, or the category is missing or unknown.
        DataError: The file is not a COCO file, an image does not exist or has several objects or another size, or the
            boxes are corners.
    """
    options = CocoOptions(kind, category, several, crowd, sizes, box_format)
    coco = read_coco_file(annotations)
    names = select_categories([coco], annotations, category, kind == "masks")
    return read_objects(coco, images, task, options, names)


def read_objects(
    coco: CocoFile, images: Path, task: str, options: CocoOptions, categories: Sequence[str]
) -> SourceTable:
    """Read one task from the content of a COCO file, as `read_coco`.

    Args:
        coco: The content.
        images: Folder that the file names are relative to.
        task: Id of the task.
        options: What to read.
        categories: Names of the categories, of which the file may lack some.

    Raises:
        DataError: As for `read_coco`.
    """
    check_task_name(task)
    kind = options.kind
    classes = {name: coco.list_entries(name) for name in categories}
    keypoints = _find_keypoints(coco, classes) if kind == "keypoints" and any(classes.values()) else ()
    folder = list_images(images)
    files = coco.find_images(folder)
    objects = coco.group_objects([entry for entries in classes.values() for entry in entries])
    scales, notes = compare_sizes(coco, files, options.sizes)
    if kind == "boxes" and options.box_format == "xywh":
        check_boxes(coco, objects)
    reader = _RowReader(coco, options, classes, len(keypoints))
    left_out = _list_unused_objects(coco, objects, files)
    source_rows: list[SourceRow] = []
    for key, image in files.items():
        row = reader.read_row(image, objects.get(key, []), scales.get(key))
        if isinstance(row, str):
            left_out.append(LeftOut(str(image), row))
        else:
            source_rows.append(row)
    listed_images = set(files.values())
    left_out += [LeftOut(str(path), f"is not in {coco.path}") for path in folder.images if path not in listed_images]
    task_type, names = _describe_task(kind, tuple(classes), keypoints)
    return SourceTable(task, task_type, len(names), tuple(source_rows), names, tuple(left_out), (*coco.notes, *notes))


def parse_kind(text: str) -> Kind:
    """Return the kind of labels for a name on the command line.

    Raises:
        ConfigError: The name is unknown.
    """
    return _parse("--kind", text, get_args(Kind))


def parse_crowd(text: str) -> Crowd:
    """Return the treatment of crowds for a name on the command line.

    Raises:
        ConfigError: The name is unknown.
    """
    return _parse("--crowd", text.replace("-", "_"), get_args(Crowd))


def parse_sizes(text: str) -> Sizes:
    """Return the treatment of other sizes for a name on the command line.

    Raises:
        ConfigError: The name is unknown.
    """
    return _parse("--sizes", text, get_args(Sizes))


def parse_box_format(text: str) -> BoxFormat:
    """Return the format of boxes for a name on the command line.

    Raises:
        ConfigError: The name is unknown.
    """
    return _parse("--box-format", text, get_args(BoxFormat))


def _parse(option: str, text: str, allowed: tuple[_Name, ...]) -> _Name:
    """Return the allowed name that equals a text."""
    for name in allowed:
        if name == text:
            return name
    raise ConfigError(explain_unknown_name(option, text, allowed))


def _list_unused_objects(
    coco: CocoFile, objects: Mapping[int | str, Sequence[Entry]], files: Mapping[int | str, Path]
) -> list[LeftOut]:
    """Return the objects whose image or category is not in the lists of the file."""
    left_out = [
        LeftOut(str(coco.path), f"an object of image {key}, which is not in the list of images")
        for key in sorted(objects.keys() - files.keys(), key=str)  # ids can be of two types
    ]
    if unknown := coco.count_unknown_objects():
        reason = "objects of categories that are not in the list of categories"
        left_out.append(LeftOut(str(coco.path), reason, unknown))
    return left_out


def _describe_task(
    kind: Kind, classes: tuple[str, ...], keypoints: tuple[str, ...]
) -> tuple[TaskType, tuple[str, ...]]:
    """Return the type of a task and the names of its classes or landmarks."""
    match kind:
        case "boxes":
            return "detection", classes
        case "keypoints":
            return "regression", keypoints
        case "masks":
            return "segmentation", ("background", *classes)


def _find_keypoints(coco: CocoFile, classes: dict[str, list[Entry]]) -> tuple[str, ...]:
    """Return the names of the keypoints of a category."""
    keypoint_lists = {
        tuple(str(name) for name in entry.get("keypoints", ())) for (name, es) in classes.items() for entry in es
    }
    keypoint_lists.discard(())
    if len(keypoint_lists) != 1:
        problem = "has no list of keypoints" if not keypoint_lists else "has several lists of keypoints"
        raise DataError(f"{coco.path}: the category {', '.join(classes)} {problem}")
    return keypoint_lists.pop()


def _compute_area(box: tuple[float, float, float, float]) -> float:
    """Return the area of a box; 0 if it is reversed, although both of its sides may be negative."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


class _RowReader:
    """Reader of the row of one image from its objects.

    Attributes:
        coco: The file, for messages.
        options: What to read.
        class_indices: Class index of each category id, from 1, for masks.
        n_keypoints: Number of keypoints of an object.
        images: Entry of each image by its id.
    """

    def __init__(self, coco: CocoFile, options: CocoOptions, classes: dict[str, list[Entry]], n_keypoints: int) -> None:
        self.coco, self.options, self.n_keypoints = coco, options, n_keypoints
        self.images = {entry["id"]: entry for entry in coco.images}
        self.class_indices = {
            entry["id"]: number for number, entries in enumerate(classes.values(), start=1) for entry in entries
        }

    def read_row(self, image: Path, objects: Sequence[Entry], scale: ImageSize | None) -> SourceRow | str:
        """Return the row of an image, or the reason why it is left out.

        Args:
            image: The file.
            objects: Its objects.
            scale: Factors of x and y from the JSON to the file; None for 1.
        """
        if not objects:
            return "no object"
        if self.options.kind == "masks":
            return self._read_mask(image, objects)
        crowds = [annotation for annotation in objects if annotation.get("iscrowd")]
        if crowds and self.options.crowd == "leave_out":
            return (
                f"{len(crowds)} of its {len(objects)} objects have iscrowd=1 (a crowd, or drawn with CVAT's brush); "
                "add --crowd object to use them, or --crowd ignore to use the others"
            )
        if self.options.crowd == "ignore":
            objects = [annotation for annotation in objects if not annotation.get("iscrowd")]
            if not objects:
                return "no object without iscrowd=1"
        if len(objects) > 1 and (self.options.several == "refuse" or self._is_union_of_points()):
            remedy = "add --several largest to select the largest, or --several union for the box around all"
            raise DataError(
                f"{self.coco.path}: image {image.name} has {len(objects)} objects, but a sample has one; "
                f"{remedy if self.options.kind == 'boxes' else 'add --several largest to select the largest'}"
            )
        factors = scale or ImageSize(1, 1)
        if self.options.kind == "keypoints":
            return self._read_keypoints(image, max(objects, key=self._compute_area), factors)
        return self._read_box(image, objects, factors)

    def _is_union_of_points(self) -> bool:
        return self.options.several == "union" and self.options.kind == "keypoints"

    def _read_mask(self, image: Path, objects: Sequence[Entry]) -> SourceRow | str:
        shapes = [(self.class_indices[entry["category_id"]], entry.get("segmentation")) for entry in objects]
        if any(not shape for _, shape in shapes):
            return "an object has no segmentation"
        drawing = partial(
            draw_objects, image, shapes, self._get_stated_size(objects[0]["image_id"]), str(self.coco.path)
        )
        return SourceRow(image, drawing=drawing)

    def _get_stated_size(self, key: int | str) -> tuple[int, int] | None:
        entry = self.images[key]
        width, height = entry.get("width"), entry.get("height")
        return (width, height) if isinstance(width, int) and isinstance(height, int) and width and height else None

    def _read_box(self, image: Path, objects: Sequence[Entry], factors: ImageSize) -> SourceRow | str:
        corners = [box for entry in objects if (box := self._get_corners(entry)) is not None]
        if not corners or (len(corners) < len(objects) and self.options.several == "union"):
            return "bbox is not four numbers"
        x_min, y_min, x_max, y_max = (
            max(corners, key=_compute_area)
            if self.options.several != "union"
            else tuple(
                choose(values) for choose, values in zip((min, min, max, max), zip(*corners, strict=True), strict=True)
            )
        )
        width, height = factors
        return SourceRow(image, box=(x_min * width, y_min * height, x_max * width, y_max * height))

    def _get_corners(self, annotation: Entry) -> tuple[float, float, float, float] | None:
        box = parse_numbers(annotation.get("bbox"), 4)
        if box is None:
            return None
        x, y, third, fourth = box
        return (x, y, third, fourth) if self.options.box_format == "xyxy" else (x, y, x + third, y + fourth)

    def _compute_area(self, annotation: Entry) -> float:
        """Return the area of an object's box; -1 if it has no valid box, so that any other object is larger."""
        box = self._get_corners(annotation)
        return _compute_area(box) if box else -1.0

    def _read_keypoints(self, image: Path, annotation: Entry, factors: ImageSize) -> SourceRow | str:
        values = parse_numbers(annotation.get("keypoints"), 3 * self.n_keypoints)
        if values is None:
            return f"keypoints are not {self.n_keypoints} times x, y, v"
        triples = [values[i : i + 3] for i in range(0, len(values), 3)]
        # v is 0 (not labeled; x and y are 0, too), 1 (labeled but not visible) or 2 (labeled and visible).
        if any(visibility == 0 for _, _, visibility in triples):
            return "a keypoint is not labeled (v=0)"
        # COCO's coordinates start at the corner of the first pixel, as in usaggr, so they need no shift.
        return SourceRow(image, points=tuple((x * factors.width, y * factors.height) for x, y, _ in triples))
