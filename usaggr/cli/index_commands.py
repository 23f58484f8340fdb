"""The commands of `usaggr data index`, which write the index of data in other layouts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from usaggr.cli.arguments import Command, Group

if TYPE_CHECKING:
    from usaggr.data.sources.made_masks import MaskChanges
    from usaggr.data.sources.table import SourceTable

Task = Annotated[str, typer.Option(help="Name of the task.")]
Out = Annotated[
    Path,
    typer.Option(
        metavar="ROOT",
        help="Folder that contains the images; the index is written to its csv_files/. Nothing is copied.",
    ),
]
Images = Annotated[Path, typer.Option(metavar="DIR", help="Folder of images; its subfolders are searched too.")]
Subject = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX",
        help="Regular expression that finds the subject in an image's name, or in its path below --images: its first "
        "group, or the whole match.",
    ),
]

index_app = typer.Typer(help="Write an index for data in another layout.", cls=Group, no_args_is_help=True)


@index_app.command("folder", cls=Command)
def folder(
    images: Images,
    masks: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of masks, with the same subfolders as the images.")
    ],
    task: Task,
    out: Out,
    classes: Annotated[
        int | None, typer.Option(help="Number of classes, including the background. Default: that of --names, or 2.")
    ] = None,
    names: Annotated[
        str | None, typer.Option(help="Class names separated by commas, beginning with the background.")
    ] = None,
    mask_name: Annotated[
        str, typer.Option(help="Pattern of mask names; {name} stands for the image's name without suffix.")
    ] = "{name}",
    image_name: Annotated[
        str, typer.Option(help="Pattern of image names: with {name}_0000, the image 7_0000.png has the name 7.")
    ] = "{name}",
    several: Annotated[
        str,
        typer.Option(help="Images with several masks, such as 7_mask.png and 7_mask_1.png: refuse, union or largest."),
    ] = "refuse",
    fill: Annotated[bool, typer.Option("--fill", help="The masks are outlines: fill them.")] = False,
    threshold: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Mask values from here on are class 1, others 0: for masks saved as JPEG."),
    ] = None,
    subject: Subject = None,
) -> None:
    """Index a segmentation task: a folder of images and a folder of masks with the same names."""
    from usaggr.data.sources.made_masks import MaskChanges
    from usaggr.data.sources.masks import parse_several, read_masks

    class_names = _split_names(names)
    table = read_masks(images, masks, task, classes, mask_name, image_name, parse_several(several), class_names)
    _write(table, images, out, subject, MaskChanges(fill, threshold))


@index_app.command("classes", cls=Command)
def classes(
    images: Annotated[Path, typer.Option(metavar="DIR", help="Folder with one subfolder per class.")],
    task: Task,
    out: Out,
    names: Annotated[
        str | None,
        typer.Option(help="Class names in label order, separated by commas. Default: folders sorted by name."),
    ] = None,
    subject: Subject = None,
) -> None:
    """Index a classification task: one folder per class."""
    from usaggr.data.sources.classes import read_classes

    _write(read_classes(images, task, _split_names(names)), images, out, subject)


@index_app.command("coco", cls=Command)
def coco(
    annotations: Annotated[Path, typer.Option(metavar="FILE", help="COCO annotation file (JSON).")],
    images: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder of the images; file names in the annotations are relative to it."),
    ],
    task: Task,
    out: Out,
    kind: Annotated[str, typer.Option(help="boxes, keypoints or masks.")] = "boxes",
    category: Annotated[
        str | None, typer.Option(help="Category to use if several have objects. Default for masks: all.")
    ] = None,
    several: Annotated[
        str, typer.Option(help="Images with several objects: refuse, largest, or union (the box around all).")
    ] = "refuse",
    crowd: Annotated[
        str, typer.Option(help="Images with objects of iscrowd=1: leave-out; use them as an object; or ignore them.")
    ] = "leave-out",
    sizes: Annotated[
        str, typer.Option(help="Images with another size than in the JSON: refuse, or scale the labels.")
    ] = "refuse",
    box_format: Annotated[
        str, typer.Option(help="xywh (x, y, width, height; COCO's definition) or xyxy (corners).")
    ] = "xywh",
    subject: Subject = None,
) -> None:
    """Index a detection, landmark or segmentation task: a COCO JSON file of boxes, keypoints or masks."""
    from usaggr.data.sources.coco import parse_box_format, parse_crowd, parse_kind, parse_sizes, read_coco
    from usaggr.data.sources.masks import parse_several

    table = read_coco(
        annotations,
        images,
        task,
        parse_kind(kind),
        category,
        parse_several(several),
        parse_crowd(crowd),
        parse_sizes(sizes),
        parse_box_format(box_format),
    )
    _write(table, images, out, subject)


def _split_names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text else ()


def _write(
    table: "SourceTable", images: Path, root: Path, subject: str | None, changes: "MaskChanges | None" = None
) -> None:
    """Write the index, and print the files that were left out and the command that checks all tasks of the folder.

    Args:
        table: The samples.
        images: Folder of the images.
        root: Folder in which csv_files/ is written.
        subject: Regular expression that gives the subject in an image's name or path.
        changes: Changes of the masks; None for none.
    """
    from usaggr.data.sources.made_masks import NO_CHANGES
    from usaggr.data.sources.write_task import suggest_check, write_task

    for line in write_task(table, images, root, subject, changes or NO_CHANGES):
        print(line)
    print(f"next: {suggest_check(root)}")
