"""The command `usaggr advise`: advice for another data set, from finished sweeps."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from usaggr.cli.arguments import (
    ConfigDir,
    compose_from_data,
    find_in_outputs,
    make_console,
    overrides_data,
    split_words,
)
from usaggr.cli.completion import complete_results
from usaggr.cli.option_checks import check_new_folder
from usaggr.errors import ConfigError

if TYPE_CHECKING:
    from usaggr.config.study import DataConfig


def advise(
    sweeps: Annotated[
        list[Path],
        typer.Option(
            "--from",
            metavar="SWEEP_DIR",
            help="Folder of a finished sweep's results; may be given several times.",
            autocompletion=complete_results,
        ),
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATA [OVERRIDES]...",
            help="Folder that holds csv_files/, or one index file (.csv), whose images are not read; and overrides "
            "such as data.split.seed=1. Default: the data that data=... chooses.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Default: outputs/advice/<name of the data>.",
            show_default=False,
            callback=check_new_folder,
        ),
    ] = None,
    config_dir: ConfigDir = None,
) -> None:
    """Advise for each task of a data set whether to share a model, from the results of finished sweeps.

    Writes advice.md, advice.html and advice.json, which also state how certain the advice is. Trains nothing.
    """
    from usaggr.advice.advice_files import print_advice, write_advice
    from usaggr.advice.advise import advise as make_advice
    from usaggr.advice.evidence import find_sweeps, read_sweep
    from usaggr.advice.new_data import read_data, read_index_table
    from usaggr.progress import RichProgress

    progress = RichProgress()
    data, index = _compose_data(words or [], config_dir)
    folders = find_sweeps([find_in_outputs(sweep) for sweep in sweeps])
    new_data = read_data(data, progress) if index is None else read_index_table(index, data)
    advice = make_advice(new_data, [read_sweep(folder, progress) for folder in folders])
    print_advice(advice, make_console())
    for path in write_advice(advice, out or Path("outputs") / "advice" / new_data.name):
        print(path)


def _compose_data(words: Sequence[str], config_dir: Path | None) -> tuple["DataConfig", Path | None]:
    """Compose the data that need advice; also return the index file if only that was given.

    Raises:
        ConfigError: No data, two data sets, or overrides that cannot be composed.
    """
    name, overrides = split_words(words, "data set")
    if name is None:
        if not overrides_data(overrides):
            raise ConfigError("DATA must be the folder that holds csv_files/, an index file (.csv), or data=...")
        return compose_from_data(None, overrides, config_dir).data, None
    path = Path(name)
    # An index file needs no root, but the configuration does.
    root = path.parent if path.is_file() else path
    return compose_from_data(root, overrides, config_dir).data, path if path.is_file() else None
