"""The commands of `usaggr data index`: from data in another layout to an index. cli.py has all others."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from usaggr.data.sources.table import SourceTable

Task = Annotated[str, typer.Option(help="Id of the task: a name for it.")]
Out = Annotated[
    Path,
    typer.Option(metavar="ROOT", help="Folder that holds the images; csv_files/ is made in it, nothing is copied."),
]
Images = Annotated[Path, typer.Option(metavar="DIR", help="Folder of images; folders in it are searched too.")]
Subject = Annotated[
    str | None, typer.Option(metavar="REGEX", help="Finds the subject in an image's name: its first group, or all.")
]

index_app = typer.Typer(help="Write the index of data in another layout.", no_args_is_help=True)


@index_app.command("folder")
def folder(
    images: Images,
    masks: Annotated[Path, typer.Option(metavar="DIR", help="Folder of masks, in folders as the images are.")],
    task: Task,
    out: Out,
    classes: Annotated[int, typer.Option(help="Classes of the masks, the background counted.")] = 2,
    mask_name: Annotated[str, typer.Option(help="How a mask's name is made of its image's.")] = "{name}",
    subject: Subject = None,
) -> None:
    """Segmentation: a folder of images and one of masks, with the same names."""
    from usaggr.data.sources.masks import read_masks

    _write(read_masks(images, masks, task, classes, mask_name), out, subject)


@index_app.command("classes")
def classes(
    images: Annotated[Path, typer.Option(metavar="DIR", help="Folder that holds a folder for each class.")],
    task: Task,
    out: Out,
    names: Annotated[
        str | None, typer.Option(help="Classes in their order, with commas between; else by name.")
    ] = None,
    subject: Subject = None,
) -> None:
    """Classification: a folder for each class."""
    from usaggr.data.sources.classes import read_classes

    _write(read_classes(images, task, tuple(names.split(",")) if names else ()), out, subject)


@index_app.command("coco")
def coco(
    annotations: Annotated[Path, typer.Option(metavar="FILE", help="COCO's JSON file.")],
    images: Annotated[Path, typer.Option(metavar="DIR", help="Folder that its file names are relative to.")],
    task: Task,
    out: Out,
    kind: Annotated[str, typer.Option(help="boxes or keypoints.")] = "boxes",
    category: Annotated[str | None, typer.Option(help="The one to take, where there are several.")] = None,
    several: Annotated[str, typer.Option(help="Several objects in an image: refuse, or take the largest.")] = "refuse",
    subject: Subject = None,
) -> None:
    """Detection or landmarks: COCO's JSON file of boxes or keypoints."""
    from usaggr.data.sources.coco import as_kind, as_several, read_coco

    _write(read_coco(annotations, images, task, as_kind(kind), category, as_several(several)), out, subject)


def _write(table: "SourceTable", root: Path, subject: str | None) -> None:
    """Write the index, and say what was left out and what to do next."""
    from dataclasses import replace

    from usaggr.data.sources.table import with_subjects, write_index
    from usaggr.data.subject_names import normalise_subject

    table = replace(table, rows=tuple(with_subjects(table.rows, subject)))
    path = write_index(table, root)
    for line in table.left_out:
        print(f"left out: {line}")
    subjects = {normalise_subject(row.columns.get("subject_id", "")) or str(row.image) for row in table.rows}
    print(f"{path}: {len(table.rows)} samples of {len(subjects)} subjects, {len(table.left_out)} files left out")
    names = f" 'data.class_names={{{table.task}: [{', '.join(map(_quoted, table.class_names))}]}}'"
    print(f"next: usaggr data check data=fmuia data.root={root}" + (names if table.class_names else ""))


def _quoted(name: str) -> str:
    return name if name.replace("_", "").isalnum() else '"' + name.replace('"', "") + '"'
