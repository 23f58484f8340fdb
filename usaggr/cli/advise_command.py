"""The command `usaggr advise`: what finished sweeps say for another data set."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from usaggr.cli.completion import complete_results
from usaggr.errors import ConfigError

if TYPE_CHECKING:
    from usaggr.config.study import DataConfig


def advise(
    sweeps: Annotated[
        list[Path],
        typer.Option(
            "--from",
            metavar="SWEEP_DIR",
            help="Folder of a finished sweep's results; several may be given.",
            autocompletion=complete_results,
        ),
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATA [OVERRIDES]...",
            help="Folder that holds csv_files/, or one index file (.csv), whose images need not be there; and "
            "overrides such as data.split.seed=1. Without DATA, the data that data=... chooses.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Default: outputs/advice/<name of the data>.", show_default=False),
    ] = None,
    config_dir: Annotated[
        Path | None, typer.Option("--config-dir", help="Folder searched before ./conf and ./sweeps.")
    ] = None,
) -> None:
    """Say for each task of a data set what the evidence of finished sweeps says about sharing a model, and how sure.

    Writes advice.md, advice.html and advice.json. Nothing is trained. "not known" is an answer.
    """
    from rich.console import Console

    from usaggr.advice.advice_files import print_advice, write_advice
    from usaggr.advice.advise import advise as advised
    from usaggr.advice.evidence import find_sweeps, read_sweep
    from usaggr.advice.new_data import read_data, read_index_table
    from usaggr.progress import RichProgress

    progress = RichProgress()
    data, index = _data_of(words or [], config_dir)
    folders = find_sweeps(sweeps)
    asked = read_data(data, progress) if index is None else read_index_table(index, data)
    evidence = [read_sweep(of_one, progress) for of_one in folders]
    found = advised(asked, evidence)
    console = Console()
    print_advice(found, console if console.is_terminal else Console(width=200))
    for path in write_advice(found, out or Path("outputs") / "advice" / asked.name):
        print(path)


def _data_of(words: Sequence[str], config_dir: Path | None) -> tuple["DataConfig", Path | None]:
    """The data that are asked about, and the index file, where one alone was given.

    Raises:
        ConfigError: no data, two of them, or overrides that cannot be composed.
    """
    from usaggr.config.compose import DEFAULT_STUDY, compose_study

    overrides = [word for word in words if "=" in word or word.startswith(("+", "~"))]
    others = [word for word in words if word not in overrides]
    if len(others) > 1:
        raise ConfigError(f"'{others[1]}': neither an override (key=value) nor the data, which are '{others[0]}'")
    chosen = any(word.startswith("data=") for word in overrides)
    if not others and not chosen:
        raise ConfigError("DATA: give the folder that holds csv_files/, an index file (.csv), or data=... of conf/data")
    group = [] if chosen else ["data=fmuia"]
    root: list[str] = []
    index = Path(others[0]) if others and Path(others[0]).is_file() else None
    if others:
        # An index alone needs no root, but the configuration asks for one.
        quoted = str(others[0] if index is None else index.parent).replace("\\", "\\\\").replace("'", "\\'")
        root = [f"data.root='{quoted}'"]
    return compose_study(DEFAULT_STUDY, [*group, *overrides, *root], config_dir).data, index
