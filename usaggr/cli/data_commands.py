"""The commands of `usaggr data`: check, show and make data; those of `usaggr data index` are in index_commands."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from usaggr.cli.arguments import (
    Command,
    ConfigDir,
    Group,
    Words,
    compose_data_from_words,
    compose_from_words,
    make_console,
    overrides_data,
    split_words,
)
from usaggr.cli.index_commands import index_app
from usaggr.cli.option_checks import check_new_file, check_new_folder, check_picture_file
from usaggr.errors import ConfigError

data_app = typer.Typer(help="Check, show, index and generate data.", cls=Group, no_args_is_help=True)
data_app.add_typer(index_app, name="index")


@data_app.command("check", cls=Command)
def data_check(
    words: Words = None,
    config_dir: ConfigDir = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Save the errors as CSV.",
            show_default=False,
            callback=check_new_file,
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="Save near-identical images of different subsets as CSV.",
            callback=check_new_file,
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Save all results with images as an HTML page.",
            callback=check_new_file,
        ),
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write corrected data to the new folder DIR; the original data stay.",
            callback=check_new_folder,
        ),
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help="With --fix: copy files instead of linking them.")] = False,
) -> None:
    """Check the data set and list all errors, near-identical images in different subsets, class balance and labels."""
    from usaggr.data.check.command import Outputs, run_check
    from usaggr.progress import RichProgress

    data = compose_data_from_words(words, config_dir)
    recheck = suggest_recheck(words or [], config_dir, fix) if fix is not None else ""
    outputs = Outputs(faults=out, pairs=pairs, html=html, fixed=fix, copy=copy, recheck=recheck)
    raise typer.Exit(run_check(data, outputs, make_console(), RichProgress()))


def suggest_recheck(words: Sequence[str], config_dir: Path | None, folder: Path) -> str:
    """Return the command that checks corrected data with the settings of the original data.

    Args:
        words: Arguments of the command that corrected them.
        config_dir: Folder searched before `./conf` and `./sweeps`.
        folder: The corrected data.
    """
    from usaggr.config.overrides import quote

    replaced = ("data.root=", "data.on_bad_sample=")
    name, overrides = split_words(words)
    arguments = [word for word in overrides if not word.lstrip("+").startswith(replaced)]
    is_data_folder = name is not None and (Path(name) / "csv_files").is_dir()
    if name is not None and not is_data_folder:
        arguments.insert(0, name)
    elif not overrides_data(overrides):
        arguments.insert(0, "data=fmuia")
    text = str(folder)
    arguments.append(f"data.root={text if re.fullmatch(r'[/._A-Za-z0-9-]+', text) else quote(text)}")
    options = ["--config-dir", str(config_dir)] if config_dir is not None else []
    return shlex.join(["usaggr", "data", "check", *arguments, *options])


@data_app.command("show", cls=Command)
def data_show(
    words: Words = None,
    config_dir: ConfigDir = None,
    out: Annotated[
        Path,
        typer.Option(
            help="Output image file (PNG).",
            callback=check_picture_file,
        ),
    ] = Path("samples.png"),
    per_task: Annotated[int, typer.Option(min=1, help="Number of samples per task in the figure.")] = 4,
) -> None:
    """Count samples, classes, subjects and images shared by tasks, and draw samples with their labels."""
    from usaggr.data.read.load_dataset import load_dataset
    from usaggr.data.show.overview import print_overview
    from usaggr.data.show.sample_sheet import draw_sheet
    from usaggr.progress import RichProgress

    data = compose_data_from_words(words, config_dir)
    dataset = load_dataset(data, RichProgress())
    print_overview(dataset, make_console())
    draw_sheet(dataset, out, data.max_pixels, per_task)
    print(f"samples with their labels: {out}")


@data_app.command("make", cls=Command)
def data_make(
    words: Words = None,
    config_dir: ConfigDir = None,
    out: Annotated[
        Path,
        typer.Option(
            help="Folder of the data, in the FM_UIA layout.",
            callback=check_new_folder,
        ),
    ] = Path("synthetic"),
) -> None:
    """Write the synthetic data set as files; read them with data=fmuia data.root=DIR."""
    from usaggr.data.synthetic.writer import write_synthetic
    from usaggr.progress import RichProgress

    data = compose_from_words(words, config_dir).data
    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"--out: {out} is not empty; the data need a folder of their own")
    write_synthetic(data.synthetic, out, data.workers, RichProgress())
    print(f"synthetic data: {out}")
