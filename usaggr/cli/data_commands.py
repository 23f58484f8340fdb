"""The commands of `usaggr data`: check, show and make data, and write the index of data in another layout."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from usaggr.cli.arguments import ConfigDir, Words, output_console, study_of_words
from usaggr.errors import ConfigError

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

data_app = typer.Typer(help="Look at data before anything is trained.", no_args_is_help=True)
index_app = typer.Typer(help="Write the index of data in another layout.", no_args_is_help=True)
data_app.add_typer(index_app, name="index")


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

    from usaggr.data.read.subject_names import normalise_subject
    from usaggr.data.sources.table import with_subjects, write_index

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


@data_app.command("check")
def data_check(
    words: Words = None,
    config_dir: ConfigDir = None,
    out: Annotated[Path | None, typer.Option(help="Also write the faults to this CSV.", show_default=False)] = None,
    pairs: Annotated[Path | None, typer.Option(help="Also write near-duplicates over folds to this CSV.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write all that was found, with pictures, as a page.")] = None,
    fix: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write corrected data to a new folder DIR, beside the original.")
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help="With --fix: copy files, where links cannot be made.")] = False,
) -> None:
    """Read and check a whole data set: every fault, near-duplicates over folds, balance, images and labels."""
    from usaggr.data.check.command import Outputs, run_check
    from usaggr.progress import RichProgress

    data = study_of_words(words, config_dir).data
    outputs = Outputs(faults=out, pairs=pairs, html=html, fixed=fix, copy=copy)
    raise typer.Exit(run_check(data, outputs, output_console(), RichProgress()))


@data_app.command("show")
def data_show(
    words: Words = None,
    config_dir: ConfigDir = None,
    out: Annotated[Path, typer.Option(help="Where the picture goes.")] = Path("samples.png"),
    per_task: Annotated[int, typer.Option(min=1, help="Samples of each task in the picture.")] = 4,
) -> None:
    """Count samples, classes, subjects and what tasks share, and draw samples with their labels."""
    from usaggr.data.read.load_dataset import load_dataset
    from usaggr.data.show.overview import print_overview
    from usaggr.data.show.sample_sheet import draw_sheet
    from usaggr.progress import RichProgress

    data = study_of_words(words, config_dir).data
    dataset = load_dataset(data, RichProgress())
    print_overview(dataset, output_console())
    draw_sheet(dataset, out, data.max_pixels, per_task)
    print(f"samples with their labels: {out}")


@data_app.command("make")
def data_make(
    words: Words = None,
    config_dir: ConfigDir = None,
    out: Annotated[Path, typer.Option(help="Folder to write, in the FM_UIA layout.")] = Path("synthetic"),
) -> None:
    """Write the synthetic data set, to look at or to read with data=fmuia data.root=DIR."""
    from usaggr.data.synthetic.writer import write_synthetic
    from usaggr.progress import RichProgress

    data = study_of_words(words, config_dir).data
    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"--out: {out} is not empty; the data need a folder of their own")
    write_synthetic(data.synthetic, out, data.workers, RichProgress())
    print(f"synthetic data: {out}")
