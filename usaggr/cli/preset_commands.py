"""The commands of `usaggr data index` for public data sets: busi, camus, hc18 and tn3k."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from usaggr.cli.arguments import Command
from usaggr.cli.option_checks import check_folder

if TYPE_CHECKING:
    from usaggr.data.sources.presets import PresetTask

_Images = Annotated[
    Path, typer.Option(metavar="DIR", help="Folder of the data set, as it was unpacked.", callback=check_folder)
]
_Out = Annotated[
    Path | None,
    typer.Option(
        metavar="ROOT",
        help="Folder that contains the images; the index is written to its csv_files/. Default: --images, or for "
        "camus the folder above it.",
    ),
]
_Task = Annotated[str, typer.Option(help="Name of the task.")]


def add_preset_commands(index_app: typer.Typer) -> None:
    """Add the commands to those of `usaggr data index`."""
    for command in (busi, camus, hc18, tn3k):
        index_app.command(command.__name__, cls=Command)(command)


def busi(images: _Images, out: _Out = None, task: _Task = "busi") -> None:
    """Index BUSI: breast lesions (several masks are joined), and a task NAME_class of benign, malignant and normal."""
    from usaggr.data.sources.presets import read_busi

    _write(read_busi(images, task), out or images)


def camus(
    images: _Images,
    out: _Out = None,
    task: _Task = "camus",
    convert: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the converted images, inside --out. Default: OUT/NAME_png."),
    ] = None,
) -> None:
    """Index CAMUS: left ventricle, myocardium and left atrium at end diastole and end systole; converts it to PNG."""
    from usaggr.data.sources.presets import read_camus

    root = out or images.parent
    _write(read_camus(images, task, convert or root / f"{task}_png"), root)


def hc18(images: _Images, out: _Out = None, task: _Task = "hc18") -> None:
    """Index HC18: fetal heads (the ellipses are filled), with the size of pixels."""
    from usaggr.data.sources.presets import read_hc18

    _write(read_hc18(images, task), out or images)


def tn3k(
    images: _Images,
    out: _Out = None,
    task: _Task = "tn3k",
    fold: Annotated[int, typer.Option(min=0, help="Fold whose validation images are the validation set.")] = 0,
) -> None:
    """Index TN3K: thyroid nodules, with the official test set and the validation set of a fold."""
    from usaggr.data.sources.presets import read_tn3k

    _write(read_tn3k(images, task, fold), out or images)


def _write(tasks: "Sequence[PresetTask]", root: Path) -> None:
    """Write the indexes of all tasks, and print the command that checks them."""
    from usaggr.data.sources.table import check_writable
    from usaggr.data.sources.write_task import suggest_check, write_task

    for preset in tasks:
        check_writable(preset.table, root)
    for preset in tasks:
        for line in write_task(preset.table, preset.images, root, preset.subject, preset.changes):
            print(line)
    print(f"next: {suggest_check(root)}")
