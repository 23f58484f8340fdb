"""Reader of an export with several COCO files, one per subset: `train/_annotations.coco.json`, `test/...`."""

import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from usaggr.data.sources.coco import CocoOptions, read_coco, read_objects
from usaggr.data.sources.coco_file import read_coco_file, select_categories
from usaggr.data.sources.image_folder import get_suffix, list_files, parse_subset_folder
from usaggr.data.sources.left_out import LeftOut
from usaggr.data.sources.table import SourceTable
from usaggr.errors import ConfigError, DataError
from usaggr.results.split import SUBSETS, Subset


def read_coco_exports(annotations: Path, images: Path, task: str, options: CocoOptions) -> SourceTable:
    """Read one task from a COCO file, or from all COCO files of a folder.

    The images of `annotations/train/x.json` are in `images/train` if that folder exists, otherwise in `images`. Names
    of files such as `instances_train2017.json` give a split if there are a training and a test set.

    Args:
        annotations: COCO's JSON file, or a folder of them.
        images: Folder of the images.
        task: Id of the task.
        options: What to read.

    Raises:
        ConfigError: There is no file, or the category is missing or unknown.
        DataError: A file cannot be read as `read_coco`, files have other keypoints, or an image is in several files.
    """
    if not annotations.is_dir():
        return read_coco(annotations, images, task, **asdict(options))
    paths = [path for path in list_files(annotations).unread if get_suffix(path) == ".json"]
    if not paths:
        raise ConfigError(f"--annotations: {annotations} has no .json file; give COCO's JSON file, or their folder")
    files = [read_coco_file(path) for path in paths]
    # Over all files: a rare class may be missing in one subset, or a subset may have no object.
    categories = select_categories(files, annotations, options.category, options.kind == "masks")
    tables: list[SourceTable] = []
    subsets: list[Subset | None] = []
    for coco in files:
        folder = images / coco.path.parent.relative_to(annotations)
        tables.append(read_objects(coco, folder if folder.is_dir() else images, task, options, categories))
        folders = () if folder.is_dir() else coco.path.parent.relative_to(annotations).parts
        subsets.append(_find_subset(coco.path.stem, folders))
    first = next((table for table in tables if table.class_names), tables[0])
    for coco, table in zip(files, tables, strict=True):
        if table.class_names and table.class_names != first.class_names:
            raise DataError(
                f"{annotations}: the keypoints of {coco.path.name} are {', '.join(table.class_names)}, those of "
                f"another file {', '.join(first.class_names)}; their names and order must be the same"
            )
    return _join(annotations, first, tables, subsets)


def _join(
    annotations: Path, first: SourceTable, tables: Sequence[SourceTable], subsets: Sequence[Subset | None]
) -> SourceTable:
    """Return one table of all files, with the subsets of their images if the names of the files give a split.

    Args:
        annotations: Folder of the files, for messages.
        first: Table with the names of the task.
        tables: Table of each file.
        subsets: Subset that the name of each file gives.
    """
    notes = list(dict.fromkeys(note for table in tables for note in table.notes))
    is_split = {"train", "test"} <= set(subsets) and None not in subsets
    if is_split or any(subsets):
        counts = {name: sum(len(t.rows) for t, s in zip(tables, subsets, strict=True) if s == name) for name in SUBSETS}
        listed = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
        notes.append(
            f"split by names of COCO files: {listed}"
            if is_split
            else f"COCO files name subsets ({listed}), but not each of them, or no training and test set: the column "
            "split is not written, and usaggr draws the split"
        )
    source_rows = tuple(
        replace(row, columns={**row.columns, "split": str(subset)}) if is_split else row
        for table, subset in zip(tables, subsets, strict=True)
        for row in table.rows
    )
    used = {str(row.image) for row in source_rows}
    if len(used) < len(source_rows):
        raise DataError(f"{annotations}: an image is in several of the files; each image needs one file")
    left_out: dict[str, list[LeftOut]] = {}
    for table in tables:
        entries: dict[str, list[LeftOut]] = {}
        for entry in table.left_out:
            entries.setdefault(entry.file, []).append(entry)
        left_out = {**entries, **left_out}  # an image that several files do not list is left out once
    remaining = tuple(entry for file, entries in left_out.items() if file not in used for entry in entries)
    return replace(first, rows=source_rows, left_out=remaining, notes=tuple(notes))


def _find_subset(stem: str, folders: Sequence[str]) -> Subset | None:
    """Return the subset that the name of a file or one of its folders gives, as in `instances_train2017`."""
    words = re.split(r"[^a-z]+", stem.lower())
    named = {subset for word in (*words, *folders) if (subset := parse_subset_folder(word)) is not None}
    return named.pop() if len(named) == 1 else None
