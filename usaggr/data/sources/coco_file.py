"""Content of COCO's JSON: valid entries, categories that have objects, and the image file of each entry."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usaggr.data.read.similar_names import find_name_clash
from usaggr.data.read.subject_names import quote_name
from usaggr.data.sources.coco_ids import unify_ids
from usaggr.data.sources.image_folder import ImageFolder
from usaggr.errors import ConfigError, DataError, explain_unknown_name
from usaggr.io.bounded_content import parse_json
from usaggr.io.bounded_files import MEBIBYTE, UnusableContentError, read_bounded

Entry = Mapping[str, Any]
"""Entry of a list in COCO's JSON: an image, an annotation or a category."""
_MAX_BYTES = 512 * MEBIBYTE
"""Largest size of a file: that of COCO itself, with polygons of 860,000 objects."""
_MAX_VALUES = 60_000_000
"""Largest number of values of a file; most of them are coordinates of polygons."""

_REQUIRED = {
    "images": {"id": "id", "file_name": "text"},
    "annotations": {"image_id": "id", "category_id": "id"},
    "categories": {"id": "id", "keypoints": "list"},
}
"""Fields of the entries of each list, with the kind of their values (`_KINDS`)."""
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "id": ((int, str), "a number without decimals, or text"),
    "text": ((str,), "text"),
    "list": ((list,), "a list"),
}
"""Types of the values of each kind, and their description. A field of the kind "list" may be missing."""


@dataclass(frozen=True)
class CocoFile:
    """The lists of a COCO file."""

    path: Path
    images: tuple[Entry, ...]
    """Entries of images, sorted by file name; ids and file names occur once."""
    annotations: tuple[Entry, ...]
    """Objects, each once."""
    categories: tuple[Entry, ...]
    notes: tuple[str, ...] = ()
    """Messages about ids that were read as others."""

    def name_categories(self) -> dict[str, list[Entry]]:
        """Return the categories that have objects, by name and in the order of the file.

        Exports put an empty category before the others, which may have the name of one of them.
        """
        counts = Counter(annotation["category_id"] for annotation in self.annotations)
        named: dict[str, list[Entry]] = {}
        for category in self.categories:
            if counts[category["id"]]:
                named.setdefault(_get_category_name(category), []).append(category)
        return named

    def count_unknown_objects(self) -> int:
        """Return the number of objects whose category is not in the list of categories."""
        ids = {category["id"] for category in self.categories}
        return sum(annotation["category_id"] not in ids for annotation in self.annotations)

    def list_entries(self, name: str) -> list[Entry]:
        """Return the categories of a name: those with objects if there are any."""
        entries = [category for category in self.categories if _get_category_name(category) == name]
        return self.name_categories().get(name, entries)

    def list_names(self) -> list[str]:
        """Return the names of all categories, also of those without objects."""
        return [_get_category_name(category) for category in self.categories]

    def group_objects(self, categories: Sequence[Entry]) -> dict[int | str, list[Entry]]:
        """Return the objects of categories by the id of their image."""
        ids = {category["id"] for category in categories}
        objects: dict[int | str, list[Entry]] = defaultdict(list)
        for annotation in self.annotations:
            if annotation["category_id"] in ids:
                objects[annotation["image_id"]].append(annotation)
        return objects

    def find_images(self, folder: ImageFolder) -> dict[int | str, Path]:
        """Return the file of each image by its id.

        Raises:
            DataError: A file does not exist, or two entries have the same file.
        """
        files: dict[int | str, Path] = {}
        entries: dict[Path, Entry] = {}
        for entry in self.images:
            path = folder.find(entry["file_name"])
            if path is None:
                similar = folder.find_similar(entry["file_name"])
                hint = f"{similar.name} is; rename one of them" if similar else "give its folder as --images"
                raise DataError(f"{self.path}: image {entry['file_name']} is not in {folder.folder}; {hint}")
            if path in entries:
                raise DataError(
                    f"{self.path}: the images {entries[path]['file_name']} (id {entries[path]['id']}) and "
                    f"{entry['file_name']} (id {entry['id']}) are one file, {path}; keep one of them"
                )
            entries[path] = entry
            files[entry["id"]] = path
        return files


def select_categories(files: Sequence[CocoFile], place: Path, name: str | None, has_all: bool) -> tuple[str, ...]:
    """Return the names of the categories to read, in the order of the files.

    Args:
        files: The files of a task.
        place: The file, or the folder of the files, for messages.
        name: Requested category; None if only one has objects.
        has_all: True to select all categories with objects if no name is requested.

    Raises:
        ConfigError: The category is missing, unknown, or has no object; or two names differ only in letter case.
    """
    used = {name for coco in files for name in coco.name_categories()}
    named = [name for name in dict.fromkeys(name for coco in files for name in coco.list_names()) if name in used]
    if not named:
        raise ConfigError(f"--category: {place} has no object of any category")
    if name is not None:
        if name not in named and any(name in coco.list_names() for coco in files):
            raise ConfigError(
                f"--category: {place} has no object of {name}; categories with objects: {', '.join(sorted(named))}"
            )
        if name not in named:
            raise ConfigError(explain_unknown_name("--category", name, named))
        return (name,)
    if len(named) > 1 and not has_all:
        raise ConfigError(f"--category: {place} has {len(named)} categories; choose one of {', '.join(sorted(named))}")
    clash = find_name_clash(named)
    if clash is not None:
        first, second = map(quote_name, clash)
        raise ConfigError(
            f"--category: the categories {first} and {second} in {place} differ only in letter case, blanks or Unicode "
            "form, and would be two classes; give both the same name"
        )
    return tuple(named)


def read_coco_file(path: Path) -> CocoFile:
    """Read a COCO file, and check that its lists and entries have the required values.

    Raises:
        ConfigError: The file does not exist.
        DataError: The file is not a COCO file, or an id is used twice.
    """
    content, notes = unify_ids(_read_lists(path))
    for name in ("images", "categories"):
        content[name] = _unite_repeated_entries(path, name, content[name])
    images = sorted(content["images"], key=lambda image: str(image["file_name"]))
    annotations: dict[str, Entry] = {}
    for annotation in content["annotations"]:
        # Exports of several projects repeat objects under other ids.
        annotations.setdefault(repr(sorted((k, v) for k, v in annotation.items() if k != "id")), annotation)
    return CocoFile(path, tuple(images), tuple(annotations.values()), tuple(content["categories"]), notes)


def parse_numbers(value: object, count: int | None = None) -> list[float] | None:
    """Return a list of finite numbers; None for any other value, or another number of them than `count`."""
    if not isinstance(value, list) or (count is not None and len(value) != count):
        return None
    numbers = [float(v) for v in value if isinstance(v, int | float) and abs(v) < 1e9 and math.isfinite(v)]
    return numbers if len(numbers) == len(value) else None


def _get_category_name(category: Entry) -> str:
    return str(category.get("name", category["id"]))


def _read_lists(path: Path) -> dict[str, list[Entry]]:
    """Return the lists of a file, whose entries have the required values."""
    if not path.exists():
        raise ConfigError(f"{path}: this file does not exist; give COCO's JSON file of annotations")
    try:
        content = parse_json(read_bounded(path, _MAX_BYTES), _MAX_VALUES)
    except UnusableContentError as error:
        raise DataError(f"{path}: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    for name, fields in _REQUIRED.items():
        entries = content.get(name) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise DataError(f"{path}: has no list '{name}'; COCO's annotation files have {', '.join(_REQUIRED)}")
        for number, entry in enumerate(entries):
            if problem := _find_problem(entry, fields):
                raise DataError(f"{path}: entry {number} (from 0) of '{name}' is not valid in COCO's format: {problem}")
    return dict(content)


def _find_problem(entry: object, fields: Mapping[str, str]) -> str:
    """Return the first required field that an entry lacks, or whose value is not valid; empty if there is none.

    Args:
        entry: An entry of one of the file's lists.
        fields: The kind of each field (`_KINDS`).
    """
    if not isinstance(entry, dict):
        return "it is no object with named fields"
    for field, kind in fields.items():
        if field not in entry and kind != "list":
            return f"it has no {field}"
        value = entry.get(field, [])
        types, description = _KINDS[kind]
        if not isinstance(value, types):
            return f"{field} is {json.dumps(value):.80}, and must be {description}"
    return ""


def _unite_repeated_entries(path: Path, name: str, entries: Sequence[Entry]) -> list[Entry]:
    """Return images or categories without repeated ones.

    Raises:
        DataError: Two different entries have one id: an object would belong to both.
    """
    by_id: dict[int | str, Entry] = {}
    for entry in entries:
        first = by_id.setdefault(entry["id"], entry)
        if first is not entry and first != entry:
            first_name, second_name = (str(e.get("file_name", e.get("name", "?"))) for e in (first, entry))
            raise DataError(
                f"{path}: id {entry['id']} of '{name}' is used twice, for {first_name} and {second_name}; each needs "
                "its own id"
            )
    return list(by_id.values())
