"""The commands of `usaggr data`: check, show and make data, and create the index of image folders or COCO files."""

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from usaggr.cli.arguments import Command, ConfigDir, Group, Words, compose_from_words, make_console
from usaggr.errors import ConfigError

if TYPE_CHECKING:
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
        help="Regular expression that finds the subject in an image's name: its first group, or the whole match.",
    ),
]

data_app = typer.Typer(help="Check, show, index and generate data.", cls=Group, no_args_is_help=True)
index_app = typer.Typer(help="Write an index for data in another layout.", cls=Group, no_args_is_help=True)
data_app.add_typer(index_app, name="index")


@index_app.command("folder", cls=Command)
def folder(
    images: Images,
    masks: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of masks, with the same subfolders as the images.")
    ],
    task: Task,
    out: Out,
    classes: Annotated[int, typer.Option(help="Number of classes, including the background.")] = 2,
    mask_name: Annotated[
        str, typer.Option(help="Pattern of mask names; {name} stands for the image's name without suffix.")
    ] = "{name}",
    subject: Subject = None,
) -> None:
    """Index a segmentation task: a folder of images and a folder of masks with the same names."""
    from usaggr.data.sources.masks import read_masks

    _write(read_masks(images, masks, task, classes, mask_name), out, subject)


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

    _write(read_classes(images, task, tuple(names.split(",")) if names else ()), out, subject)


@index_app.command("coco", cls=Command)
def coco(
    annotations: Annotated[Path, typer.Option(metavar="FILE", help="COCO annotation file (JSON).")],
    images: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder of the images; file names in the annotations are relative to it."),
    ],
    task: Task,
    out: Out,
    kind: Annotated[str, typer.Option(help="boxes or keypoints.")] = "boxes",
    category: Annotated[str | None, typer.Option(help="Category to use if there are several.")] = None,
    several: Annotated[str, typer.Option(help="Images with several objects: refuse, or use the largest.")] = "refuse",
    subject: Subject = None,
) -> None:
    """Index a detection or landmark task: a COCO JSON file of boxes or keypoints."""
    from usaggr.data.sources.coco import parse_kind, parse_several, read_coco

    _write(read_coco(annotations, images, task, parse_kind(kind), category, parse_several(several)), out, subject)


def _write(table: "SourceTable", root: Path, subject: str | None) -> None:
    """Write the index, and print the files that were left out and the next command.

    Args:
        table: The samples.
        root: Folder in which csv_files/ is written.
        subject: Regular expression that gives the subject in an image's name.
    """
    from dataclasses import replace

    from usaggr.data.read.subject_names import normalize_subject
    from usaggr.data.sources.table import add_subjects, write_index

    table = replace(table, rows=tuple(add_subjects(table.rows, subject)))
    path = write_index(table, root)
    for line in table.left_out:
        print(f"left out: {line}")
    subjects = {normalize_subject(row.columns.get("subject_id", "")) or str(row.image) for row in table.rows}
    print(f"{path}: {len(table.rows)} samples of {len(subjects)} subjects, {len(table.left_out)} files left out")
    words = ["usaggr", "data", "check", "data=fmuia", f"data.root={root}"]
    if table.class_names:
        words.append(f"data.class_names={{{table.task}: [{', '.join(map(_quote_name, table.class_names))}]}}")
    print(f"next: {shlex.join(words)}")


def _quote_name(name: str) -> str:
    """Quote a name for Hydra, unless it is a word: Hydra would read 1, true and null as other types than text."""
    if re.fullmatch(r"[A-Za-z_]\w*", name) and name.lower() not in ("true", "false", "null", "nan", "inf"):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


@data_app.command("check", cls=Command)
def data_check(
    words: Words = None,
    config_dir: ConfigDir = None,
    out: Annotated[Path | None, typer.Option(help="Save the errors as CSV.", show_default=False)] = None,
    pairs: Annotated[Path | None, typer.Option(help="Save near-identical images of different subsets as CSV.")] = None,
    html: Annotated[Path | None, typer.Option(help="Save all results with images as an HTML page.")] = None,
    fix: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write corrected data to the new folder DIR; the original data stay."),
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help="With --fix: copy files instead of linking them.")] = False,
) -> None:
    """Check the data set and list all errors, near-identical images in different subsets, class balance and labels."""
    from usaggr.data.check.command import Outputs, run_check
    from usaggr.progress import RichProgress

    data = compose_from_words(words, config_dir).data
    outputs = Outputs(faults=out, pairs=pairs, html=html, fixed=fix, copy=copy)
    raise typer.Exit(run_check(data, outputs, make_console(), RichProgress()))


@data_app.command("show", cls=Command)
def data_show(
    words: Words = None,
    config_dir: ConfigDir = None,
    out: Annotated[Path, typer.Option(help="Output image file.")] = Path("samples.png"),
    per_task: Annotated[int, typer.Option(min=1, help="Number of samples per task in the figure.")] = 4,
) -> None:
    """Count samples, classes, subjects and images shared by tasks, and draw samples with their labels."""
    from usaggr.data.read.load_dataset import load_dataset
    from usaggr.data.show.overview import print_overview
    from usaggr.data.show.sample_sheet import draw_sheet
    from usaggr.progress import RichProgress

    data = compose_from_words(words, config_dir).data
    dataset = load_dataset(data, RichProgress())
    print_overview(dataset, make_console())
    draw_sheet(dataset, out, data.max_pixels, per_task)
    print(f"samples with their labels: {out}")


@data_app.command("make", cls=Command)
def data_make(
    words: Words = None,
    config_dir: ConfigDir = None,
    out: Annotated[Path, typer.Option(help="Folder of the data, in the FM_UIA layout.")] = Path("synthetic"),
) -> None:
    """Write the synthetic data set as files; read them with data=fmuia data.root=DIR."""
    from usaggr.data.synthetic.writer import write_synthetic
    from usaggr.progress import RichProgress

    data = compose_from_words(words, config_dir).data
    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"--out: {out} is not empty; the data need a folder of their own")
    write_synthetic(data.synthetic, out, data.workers, RichProgress())
    print(f"synthetic data: {out}")
