"""Arguments and options that several commands share, and the study that they compose."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from usaggr.cli.completion import complete_results, complete_words
from usaggr.cli.lost_output import keep_working_without_output
from usaggr.cli.option_checks import USAGE_ERROR, check_file, explain_usage
from usaggr.config.folders import format_path, list_studies, search_folders
from usaggr.errors import ConfigError, RunError, explain_unknown_name
from usaggr.io.terminal_text import escape_line
from usaggr.results import contract

if TYPE_CHECKING:
    from rich.console import Console

    from usaggr.config.study import DataConfig, StudyConfig
    from usaggr.config.unused_keys import PlannedTasks


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
Split = Annotated[
    Path | None,
    typer.Option(
        help="split.csv of a study: use only one of its subsets, see --fold.",
        callback=check_file,
    ),
]
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
        # multiprocessing raises EOFError if the process at the other end of a pipe has ended.
        except EOFError as error:
            raise RunError(
                "a process of this command ended, killed or out of memory; run the same command to continue"
            ) from error


class Group(TyperGroup):
    """A group of commands whose help shows flags without a type."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters of the group."""
        return _remove_type_of_flags(super().get_params(ctx))

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command line and exit; a wrong option or argument is an error of one line, like any other request.

        Raises:
            ConfigError: An option or argument that does not exist, is missing, or has a value of another type.
        """
        try:
            # In standalone mode, click would print its own messages and exit.
            status = super().main(*args, **{**options, "standalone_mode": False})
        except typer.Abort:  # Ctrl-C, or the end of input at a question
            print("Aborted.", file=sys.stderr)
            status = 1
        except USAGE_ERROR as error:
            if not error.format_message():  # no command is given: its text is the help
                error.show()
                sys.exit(error.exit_code)
            raise ConfigError(explain_usage(error)) from error
        sys.exit(status if isinstance(status, int) else 0)


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
        hint = f"; give a folder of data as data.root={studies[1]}" if Path(studies[1]).is_dir() else ""
        raise ConfigError(
            f"'{studies[1]}' is not an override (key=value), and '{studies[0]}' is already the {noun}{hint}"
        )
    return (studies[0] if studies else None), overrides


def compose_from_words(words: Sequence[str] | None, config_dir: Path | None) -> "StudyConfig":
    """Compose the study that a command's arguments name (default: demo), with their overrides.

    Raises:
        ConfigError: A second argument that is not an override, a mistake in the study or an override, or an override
            that has no effect.
    """
    from usaggr.config.compose import DEFAULT_STUDY, compose_study

    name, overrides = split_words(words or [])
    if name is not None and Path(name).is_dir() and name not in list_studies(search_folders(config_dir)):
        raise ConfigError(_explain_folder(Path(name)))
    study = compose_study(name or DEFAULT_STUDY, overrides, config_dir)
    print_notes(study)
    return study


def compose_data_from_words(words: Sequence[str] | None, config_dir: Path | None) -> "DataConfig":
    """Compose the data that a command's arguments choose; a folder that holds csv_files/ is data in the FM_UIA layout.

    Raises:
        ConfigError: See `compose_from_words`.
    """
    folder, overrides = split_words(words or [])
    if folder is not None and (Path(folder) / "csv_files").is_dir():
        return compose_from_data(Path(folder), overrides, config_dir).data
    return compose_from_words(words, config_dir).data


def print_notes(study: "StudyConfig", tasks: "PlannedTasks | None" = None) -> None:
    """Print notes about keys that do less than their author may expect, to standard error.

    Args:
        study: Study that was composed from files.
        tasks: Tasks of the study, once its data are read; None for the notes that do not depend on them.

    Raises:
        ConfigError: A key of the command line has no effect.
    """
    from usaggr.config.unused_keys import check_unused_keys, explain_merged_mappings

    notes = check_unused_keys(study, tasks)
    # Merged mappings do not depend on the data, so they are explained in the first of two calls only.
    for note in [*notes, *([] if tasks else explain_merged_mappings(study))]:
        print(f"note: {note}", file=sys.stderr)


def _explain_folder(folder: Path) -> str:
    """Return the message for a folder in the place of a study."""
    if (folder / contract.STUDY).is_file():
        return (
            f"{folder} is a folder of results, not a study; `usaggr status {folder}` shows its runs, and `usaggr "
            f"config {folder / contract.STUDY}` its settings"
        )
    if folder.name == "csv_files":
        folder = folder.parent
    if (folder / "csv_files").is_dir():
        return f"{folder} is a folder of data, not a study; give both, as in: demo data=fmuia data.root={folder}"
    return (
        f"{folder} is a folder, not a study, and has no csv_files/; `usaggr data index` writes them for a folder of "
        "images (docs/data.md)"
    )


def read_report_settings(overrides: Sequence[str]) -> dict[str, Any]:
    """Return the settings of a report that overrides such as report.margin=0.05 give, by name.

    Raises:
        ConfigError: An override of another key, or a value that is not allowed.
    """
    from usaggr.config.compose import compose_study
    from usaggr.config.overrides import read_overrides

    if not overrides:
        return {}
    typed = read_overrides(overrides, search_folders(None))
    for override in typed:
        if override.key.partition(".")[0] != "report":
            raise ConfigError(
                f"{override.key}: a report takes only keys of report, such as report.margin=0.05; other keys change "
                "runs, which `usaggr sweep` trains"
            )
    values = compose_study(overrides=overrides).report.model_dump()
    # A choice of a file, such as report=strict, sets the whole section.
    if any(override.is_choice for override in typed):
        return values
    names = {override.key.partition(".")[2].partition(".")[0] for override in typed}
    return {name: value for name, value in values.items() if name in names or "" in names}


def find_results(directory: Path) -> Path:
    """Return a folder of results; a name such as `demo` is found in outputs/.

    Raises:
        ConfigError: There are no results; the message lists folders beside it that have some.
    """
    for results in (directory, Path("outputs") / directory):
        if (results / contract.STUDY).is_file():
            return results
    parent = directory.parent if directory.parent.is_dir() and directory.parent != Path() else Path("outputs")
    around = next((folder for folder in directory.resolve().parents if (folder / contract.STUDY).is_file()), None)
    if around is not None:
        raise ConfigError(f"{directory} is inside the results {format_path(around)}; give that folder")
    folders = [path.parent for path in parent.glob(f"*/{contract.STUDY}")]
    # A name is compared with names, or a misspelled one would not be similar to any path.
    names = [escape_line(folder.name if directory.name == str(directory) else str(folder)) for folder in folders]
    raise ConfigError(explain_unknown_name("DIR", str(directory), names))


def find_in_outputs(directory: Path) -> Path:
    """Return the results or run of this name in outputs/, unless the path itself is one; otherwise the same path.

    A folder without results does not count, such as a folder of data that is called like the study.
    """
    names = (contract.STUDY, contract.PLAN, contract.RUN_SETTINGS)
    for path in (directory, Path("outputs") / directory):
        if any((path / name).is_file() for name in names):
            return path
    in_outputs = Path("outputs") / directory
    return in_outputs if not directory.exists() and in_outputs.is_dir() else directory


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

    name, words = split_words(overrides)
    if name is not None:
        raise ConfigError(f"'{name}' is not an override (key=value)")
    if not overrides_data(words):
        words = ["data=fmuia", *words]
    # Last, so that the folder of the command's own argument wins over data.root=... in the overrides.
    if root is not None:
        words = [*words, f"data.root={quote(str(root))}"]
    study = compose_study(DEFAULT_STUDY, words, config_dir)
    print_notes(study)
    return study


def overrides_data(overrides: Sequence[str]) -> bool:
    """Return whether an override chooses the file of `data`."""
    return any(override.startswith("data=") for override in overrides)


def make_console() -> "Console":
    """Return a console for standard output; it is 200 columns wide without a terminal, so that no table is cut."""
    from usaggr.io.rich_console import SafeConsole

    console = SafeConsole()
    return console if console.is_terminal else SafeConsole(width=200)
