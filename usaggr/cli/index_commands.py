"""The commands of `usaggr data index`, which write the index of data in other layouts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from usaggr.cli.arguments import Command, Group
from usaggr.cli.option_checks import check_existing, check_file, check_folder, check_new_folder
from usaggr.cli.preset_commands import add_preset_commands
from usaggr.errors import ConfigError

if TYPE_CHECKING:
    from usaggr.data.sources.convert import Conversion
    from usaggr.data.sources.made_masks import MaskChanges
    from usaggr.data.sources.table import SourceTable

Task = Annotated[str, typer.Option(help="Name of the task.")]
Out = Annotated[
    Path,
    typer.Option(
        metavar="ROOT",
        help="Folder that contains the images; the index is written to its csv_files/. Nothing is copied.",
        callback=check_new_folder,
    ),
]
Images = Annotated[
    Path,
    typer.Option(
        metavar="DIR",
        help="Folder of images; its subfolders are searched too.",
        callback=check_folder,
    ),
]
Subject = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX",
        help="Regular expression that finds the subject in an image's name, or in its path below --images: its first "
        "group, or the whole match.",
    ),
]
Convert = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Convert DICOM, NIfTI and MetaImage files to PNG in this new folder inside --out (needs usaggr[medical]).",
    ),
]
Frames = Annotated[
    str,
    typer.Option(
        help="With --convert, frames of a sequence: none, first, middle, last, all, or numbers such as 1,5,9."
    ),
]
Names = Annotated[str | None, typer.Option(help="Class names in label order, separated by commas.")]

index_app = typer.Typer(help="Write an index for data in another layout.", cls=Group, no_args_is_help=True)


@index_app.command("folder", cls=Command)
def folder(
    images: Images,
    masks: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder of masks, with the same subfolders as the images.", callback=check_folder
        ),
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
    convert: Convert = None,
    frames: Frames = "none",
) -> None:
    """Index a segmentation task: a folder of images and a folder of masks with the same names."""
    from usaggr.data.sources.made_masks import MaskChanges
    from usaggr.data.sources.masks import parse_several, read_masks

    image_folder, images_converted = _convert(images, convert, frames)
    # Masks in the folder of the images are converted together with them.
    mask_folder, masks_converted = image_folder, None
    if masks.resolve() != images.resolve():
        mask_folder, masks_converted = _convert(masks, convert, frames, is_optional=True)
    table = read_masks(
        image_folder,
        mask_folder,
        task,
        classes,
        mask_name,
        image_name,
        parse_several(several),
        _split_names(names),
    )
    conversions = [conversion for conversion in (images_converted, masks_converted) if conversion is not None]
    _write(table, image_folder, out, subject, MaskChanges(fill, threshold), conversions)


@index_app.command("classes", cls=Command)
def classes(
    images: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder with one subfolder per class.",
            callback=check_folder,
        ),
    ],
    task: Task,
    out: Out,
    names: Annotated[
        str | None,
        typer.Option(help="Class names in label order, separated by commas. Default: folders sorted by name."),
    ] = None,
    subject: Subject = None,
    convert: Convert = None,
    frames: Frames = "none",
) -> None:
    """Index a classification task: one folder per class."""
    from usaggr.data.sources.classes import read_classes

    folder, conversion = _convert(images, convert, frames)
    table = read_classes(folder, task, _split_names(names))
    _write(table, folder, out, subject, conversions=[conversion] if conversion else [])


@index_app.command("coco", cls=Command)
def coco(
    annotations: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="COCO annotation file (JSON), or a folder of them.",
            callback=check_existing,
        ),
    ],
    images: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder of the images; file names in the annotations are relative to it.",
            callback=check_folder,
        ),
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
    convert: Convert = None,
    frames: Frames = "none",
) -> None:
    """Index a detection, landmark or segmentation task: a COCO JSON file of boxes, keypoints or masks."""
    from usaggr.data.sources.coco import CocoOptions, parse_box_format, parse_crowd, parse_kind, parse_sizes
    from usaggr.data.sources.coco_exports import read_coco_exports
    from usaggr.data.sources.masks import parse_several
    from usaggr.data.sources.table import check_task_name

    check_task_name(task)  # before a large file is read
    folder, conversion = _convert(images, convert, frames)
    options = CocoOptions(
        parse_kind(kind),
        category,
        parse_several(several),
        parse_crowd(crowd),
        parse_sizes(sizes),
        parse_box_format(box_format),
    )
    table = read_coco_exports(annotations, folder, task, options)
    _write(table, folder, out, subject, conversions=[conversion] if conversion else [])


@index_app.command("table", cls=Command)
def table(
    table: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Table saved as text (CSV), with a header.",
            callback=check_file,
        ),
    ],
    images: Images,
    task: Task,
    out: Out,
    image: Annotated[str, typer.Option(metavar="COLUMN", help="Column with the path or name of the image.")],
    points: Annotated[
        str | None,
        typer.Option(
            help="Columns of landmarks: 'x{i},y{i}' or 'p{i}' with their number, or pairs with names, "
            "'apex=ax,ay; base=bx,by'."
        ),
    ] = None,
    landmark: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column with the landmark's name, if each row has one landmark."),
    ] = None,
    box: Annotated[str | None, typer.Option(help="Four columns of a box: x1,y1,x2,y2.")] = None,
    box_format: Annotated[
        str, typer.Option(help="xyxy (corners), xywh (x, y, width, height), or center (center, width, height).")
    ] = "xyxy",
    label: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column with the class.")] = None,
    names: Names = None,
    several: Annotated[
        str, typer.Option(help="Images with several boxes: refuse, largest, or union (the box around all).")
    ] = "refuse",
    sep: Annotated[str | None, typer.Option(help="Separator of columns. Default: found in the header.")] = None,
    decimal: Annotated[str, typer.Option(help="Decimal point or comma.")] = ".",
    subject_column: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column with the patient.")] = None,
    split_column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column with an official split: train, val or test.")
    ] = None,
    subject: Subject = None,
    convert: Convert = None,
    frames: Frames = "none",
) -> None:
    """Index a landmark, detection or classification task: a table with your own column names."""
    from usaggr.data.sources.csv_table import TableColumns, parse_table_boxes, read_table
    from usaggr.data.sources.masks import parse_several

    folder, conversion = _convert(images, convert, frames)
    source = read_table(
        table,
        folder,
        task,
        TableColumns(image, points, landmark, box, label, subject_column, split_column),
        _split_names(names),
        sep,
        decimal,
        parse_table_boxes(box_format),
        parse_several(several),
    )
    _write(source, folder, out, subject, conversions=[conversion] if conversion else [])


add_preset_commands(index_app)


def _split_names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text else ()


def _convert(
    folder: Path, target: Path | None, frames: str, is_optional: bool = False
) -> tuple[Path, "Conversion | None"]:
    """Return the folder to read, and the conversion of its medical files if one is requested.

    Args:
        folder: Folder of the files.
        target: Folder in which converted files are written; None not to convert.
        frames: Frames to take of sequences.
        is_optional: Whether a folder without medical files stays as it is, instead of being an error.

    Raises:
        ConfigError: Frames are chosen without a conversion.
    """
    from usaggr.data.sources.convert import FrameChoice, convert_folder, has_medical_files

    if target is None:
        if frames != "none":
            raise ConfigError("--frames: chooses frames of converted files; add --convert DIR")
        return folder, None
    if is_optional and not has_medical_files(folder):
        return folder, None
    # A subfolder for each source, because images and masks often have the same file names.
    conversion = convert_folder(folder, target / folder.resolve().name, FrameChoice.parse(frames))
    return conversion.folder, conversion


def _write(
    table: "SourceTable",
    images: Path,
    root: Path,
    subject: str | None,
    changes: "MaskChanges | None" = None,
    conversions: "Sequence[Conversion]" = (),
) -> None:
    """Write the index, and print the files that were left out and the command that checks all tasks of the folder.

    Args:
        table: The samples.
        images: Folder of the images.
        root: Folder in which csv_files/ is written.
        subject: Regular expression that gives the subject in an image's name or path.
        changes: Changes of the masks; None for none.
        conversions: Conversions of the images and masks.
    """
    from usaggr.data.sources.convert import check_axes
    from usaggr.data.sources.made_masks import NO_CHANGES
    from usaggr.data.sources.write_task import suggest_check, write_task

    check_axes(table, conversions)
    for conversion in conversions:
        table = conversion.add_columns(table)
    for line in write_task(table, images, root, subject, changes or NO_CHANGES):
        print(line)
    print(f"next: {suggest_check(root)}")
