"""Arguments and options that several commands share, and the study that they compose."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from usaggr.cli.completion import complete_results, complete_words
from usaggr.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from usaggr.config.study import StudyConfig


Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[STUDY] [OVERRIDES]...",
        help="A study of sweeps/ or a path to a .yaml (default: demo), and overrides in Hydra's grammar, "
        "such as training.batch_size=16 'seeds=[0,1]'.",
        show_default=False,
        autocompletion=complete_words,
    ),
]


ConfigDir = Annotated[
    Path | None, typer.Option("--config-dir", help="Folder searched before ./conf and ./sweeps.", show_default=False)
]


Results = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        help="Folder of a study's results, such as outputs/demo.",
        autocompletion=complete_results,
    ),
]


def split_words(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The study, if one is named, and the overrides among the arguments of a command.

    An argument with '=', or that begins with '+' or '~', is an override; the first other one is the study.

    Raises:
        ConfigError: a second argument that is no override.
    """
    overrides = [word for word in words if "=" in word or word.startswith(("+", "~"))]
    others = [word for word in words if word not in overrides]
    if len(others) > 1:
        raise ConfigError(f"'{others[1]}': neither an override (key=value) nor the study, which is '{others[0]}'")
    return (others[0] if others else None), overrides


def study_of_words(words: Sequence[str] | None, config_dir: Path | None) -> "StudyConfig":
    """Compose the study that a command's arguments name (default: demo), with their overrides.

    Raises:
        ConfigError: a second argument that is no override, or a mistake in the study or an override.
    """
    from usaggr.config.compose import DEFAULT_STUDY, compose_study

    study, overrides = split_words(words or [])
    return compose_study(study or DEFAULT_STUDY, overrides, config_dir)


def study_of_data(root: Path, overrides: Sequence[str], config_dir: Path | None) -> "StudyConfig":
    """Compose the default study on the data at a root, in the FM_UIA layout unless an override chooses another.

    Raises:
        ConfigError: an argument that is no override.
    """
    from usaggr.config.compose import DEFAULT_STUDY, compose_study

    study, words = split_words(overrides)
    if study is not None:
        raise ConfigError(f"'{study}': not an override (key=value)")
    data = [] if any(word.startswith("data=") for word in words) else ["data=fmuia"]
    quoted = str(root).replace("\\", "\\\\").replace("'", "\\'")
    return compose_study(DEFAULT_STUDY, [*data, *words, f"data.root='{quoted}'"], config_dir)


def output_console() -> "Console":
    """Return a console for standard output, 200 columns wide where it is no terminal, so that no table is cut."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=200)
