"""Reader of an export with several COCO files, one per subset: `train/_annotations.coco.json`, `test/...`."""

from dataclasses import asdict, replace
from pathlib import Path

from usaggr.data.sources.coco import CocoOptions, read_coco
from usaggr.data.sources.image_folder import list_files, suffix_of
from usaggr.data.sources.left_out import LeftOut
from usaggr.data.sources.table import SourceTable
from usaggr.errors import ConfigError, DataError


def read_coco_exports(annotations: Path, images: Path, task: str, options: CocoOptions) -> SourceTable:
    """Read one task from a COCO file, or from all COCO files of a folder.

    The images of `annotations/train/x.json` are in `images/train` if that folder exists, otherwise in `images`.

    Args:
        annotations: COCO's JSON file, or a folder of them.
        images: Folder of the images.
        task: Id of the task.
        options: What to read.

    Raises:
        ConfigError: There is no file, or the category is missing or unknown.
        DataError: A file cannot be read as `read_coco`, or files have different categories.
    """
    arguments = asdict(options)
    if not annotations.is_dir():
        return read_coco(annotations, images, task, **arguments)
    files = [path for path in list_files(annotations).unread if suffix_of(path) == ".json"]
    if not files:
        raise ConfigError(f"--annotations: {annotations} has no .json file; give COCO's JSON file, or their folder")
    tables: list[SourceTable] = []
    for path in files:
        folder = images / path.parent.relative_to(annotations)
        tables.append(read_coco(path, folder if folder.is_dir() else images, task, **arguments))
        if tables[-1].class_names != tables[0].class_names:
            names = [", ".join(table.class_names) for table in (tables[0], tables[-1])]
            raise DataError(
                f"{files[0]} has the names {names[0]}, but {path} has {names[1]}; their order must be the same"
            )
    source_rows = tuple(row for table in tables for row in table.rows)
    used = {str(row.image) for row in source_rows}
    if len(used) < len(source_rows):
        raise DataError(f"{annotations}: an image is in several of the files {', '.join(path.name for path in files)}")
    left_out: dict[str, LeftOut] = {}
    for entry in (entry for table in tables for entry in table.left_out):
        if entry.file not in used:
            left_out.setdefault(entry.file, entry)
    notes = tuple(dict.fromkeys(note for table in tables for note in table.notes))
    return replace(tables[0], rows=source_rows, left_out=tuple(left_out.values()), notes=notes)
