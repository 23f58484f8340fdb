"""Arguments and options that several commands share, and the study that they compose."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from usaggr.cli.completion import complete_results, complete_words
from usaggr.cli.lost_output import keep_working_without_output
from usaggr.errors import ConfigError, RunError

if TYPE_CHECKING:
    from rich.console import Console

    from usaggr.config.study import StudyConfig


Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[STUDY] [OVERRIDES]...",
        help="Name of a study in sweeps/ or path to a .yaml file (default: demo), and overrides in Hydra's grammar, "
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
        metavar="DIR", help="Folder of a study's results, such as outputs/demo.", autocompletion=complete_results
    ),
]
DataRoot = Annotated[Path, typer.Option("--data", metavar="ROOT", help="Folder that holds csv_files/.")]
Split = Annotated[Path | None, typer.Option(help="split.csv of a study: use only one of its subsets, see --fold.")]
Fold = Annotated[str | None, typer.Option(help="Subset of --split: train, val or test. Default: test.")]
Tasks = Annotated[str | None, typer.Option(help="Task ids, separated by commas. Default: all tasks.")]


_WORKING = ("sweep", "train", "affinity", "report", "predict", "export", "evaluate", "advise")
"""Commands that finish their work although nobody reads their output any longer."""


class Command(TyperCommand):
    """A command whose help shows flags without a type."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters of the command."""
        return _remove_type_of_flags(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Execute the command.

        Raises:
            RunError: A process of the command was killed; typer would only print "Aborted.".
        """
        try:
            with keep_working_without_output() if ctx.info_name in _WORKING else nullcontext():
                return super().invoke(ctx)
        except EOFError as error:
            raise RunError(
                "a process of this command ended, killed or out of memory; run the same command to continue"
            ) from error


class Group(TyperGroup):
    """A group of commands whose help shows flags without a type."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters of the group."""
        return _remove_type_of_flags(super().get_params(ctx))


def _remove_type_of_flags(parameters: Any) -> Any:
    """Remove `<bool>`, which typer shows behind each flag, as if it took a value."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters


def split_words(words: Sequence[str], noun: str = "study") -> tuple[str | None, list[str]]:
    """Divide the arguments of a command into the study, if there is one, and the overrides.

    An argument with '=', or that begins with '+' or '~', is an override; the first other argument is the study.

    Raises:
        ConfigError: A second argument that is not an override; `noun` names the first one in the message.
    """
    overrides = [word for word in words if "=" in word or word.startswith(("+", "~"))]
    studies = [word for word in words if word not in overrides]
    if len(studies) > 1:
        raise ConfigError(f"'{studies[1]}' is not an override (key=value), and '{studies[0]}' is already the {noun}")
    return (studies[0] if studies else None), overrides


def compose_from_words(words: Sequence[str] | None, config_dir: Path | None) -> "StudyConfig":
    """Compose the study that a command's arguments name (default: demo), with their overrides.

    Raises:
        ConfigError: A second argument that is not an override, or a mistake in the study or an override.
    """
    from usaggr.config.compose import DEFAULT_STUDY, compose_study

    study, overrides = split_words(words or [])
    return compose_study(study or DEFAULT_STUDY, overrides, config_dir)


def compose_from_data(root: Path | None, overrides: Sequence[str], config_dir: Path | None) -> "StudyConfig":
    """Compose the default study on other data, in the FM_UIA layout unless an override chooses another.

    Args:
        root: Folder that holds csv_files/; None: the one that the overrides give.
        overrides: In Hydra's grammar.
        config_dir: Folder searched before `./conf` and `./sweeps`.

    Raises:
        ConfigError: An argument that is not an override, or a mistake in an override.
    """
    from usaggr.config.compose import DEFAULT_STUDY, compose_study
    from usaggr.config.overrides import quote

    study, words = split_words(overrides)
    if study is not None:
        raise ConfigError(f"'{study}' is not an override (key=value)")
    if not chooses_data(words):
        words = ["data=fmuia", *words]
    # Last, so that the folder of the command's own argument wins over data.root=... in the overrides.
    if root is not None:
        words = [*words, f"data.root={quote(str(root))}"]
    return compose_study(DEFAULT_STUDY, words, config_dir)


def chooses_data(overrides: Sequence[str]) -> bool:
    """Return whether an override chooses the file of `data`."""
    return any(override.startswith("data=") for override in overrides)


def make_console() -> "Console":
    """Return a console for standard output; it is 200 columns wide without a terminal, so that no table is cut."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=200)
