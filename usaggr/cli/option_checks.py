"""Checks of the values of options, and messages about wrong ones: one line that names the option."""

from pathlib import Path
from typing import Any

import typer

from usaggr.errors import ConfigError

USAGE_ERROR: Any = typer.BadParameter.__mro__[1]
"""Base class of errors about options and arguments; typer has it from the package click, or from a copy of its own."""
_PLAIN_WORDS = (
    ("Input should be a valid integer, unable to parse string as an integer", "must be a whole number"),
    ("Input should be a valid number, unable to parse string as a number", "must be a number"),
    ("Input should be greater than or equal to", "must be at least"),
)
"""Words of typer, and plain ones."""


def explain_usage(error: Any) -> str:
    """Return an error about an option or argument in one line, with the command whose help lists what is allowed.

    Args:
        error: A `USAGE_ERROR`.
    """
    message = " ".join(error.format_message().split()).rstrip(".")
    for words, plain in _PLAIN_WORDS:
        message = message.replace(words, plain)
    message = message.replace("Invalid value for ", "").replace("': ", ": ").lstrip("'")
    # Not `command_path`, which begins with the name of the program file, as in "python -m usaggr".
    names: list[str] = []
    context = error.ctx
    while context is not None and context.parent is not None:
        names.insert(0, context.info_name)
        context = context.parent
    return f"{message} (`{' '.join(['usaggr', *names])} --help` explains the command)"


def check_folder(parameter: typer.CallbackParam, path: Path | None) -> Path | None:
    """Return the folder of an option.

    Raises:
        ConfigError: It does not exist, or is a file; the message names the option.
    """
    if path is not None and not path.is_dir():
        reason = "this is a file; give a folder" if path.exists() else "this folder does not exist"
        raise ConfigError(f"{parameter.opts[0]}: {path}: {reason}")
    return path


def check_file(parameter: typer.CallbackParam, path: Path | None) -> Path | None:
    """Return the file of an option.

    Raises:
        ConfigError: It does not exist, or is a folder; the message names the option.
    """
    if path is not None and not path.is_file():
        reason = "this is a folder; give a file" if path.is_dir() else "this file does not exist"
        raise ConfigError(f"{parameter.opts[0]}: {path}: {reason}")
    return path


def check_existing(parameter: typer.CallbackParam, path: Path | None) -> Path | None:
    """Return the file or folder of an option.

    Raises:
        ConfigError: It does not exist.
    """
    if path is not None and not path.exists():
        raise ConfigError(f"{parameter.opts[0]}: {path}: this file does not exist")
    return path


def check_new_file(parameter: typer.CallbackParam, path: Path | None) -> Path | None:
    """Return the file that an option asks to write, before anything else is done.

    Raises:
        ConfigError: There is a folder of this name, or its folder is a file.
    """
    if path is not None and path.is_dir():
        raise ConfigError(f"{parameter.opts[0]}: {path}: this is a folder; give a file")
    _check_parents(parameter, path)
    return path


def check_picture_file(parameter: typer.CallbackParam, path: Path | None) -> Path | None:
    """Return the image file that an option asks to write.

    Raises:
        ConfigError: Its suffix is not .png, or see `check_new_file`.
    """
    if path is not None and path.suffix.lower() != ".png" and not path.is_dir():
        raise ConfigError(f"{parameter.opts[0]}: {path}: must end in .png")
    return check_new_file(parameter, path)


def check_new_folder(parameter: typer.CallbackParam, path: Path | None) -> Path | None:
    """Return the folder that an option asks to write.

    Raises:
        ConfigError: There is a file of this name, or its folder is a file.
    """
    if path is not None and path.exists() and not path.is_dir():
        raise ConfigError(f"{parameter.opts[0]}: {path}: this is a file; give a folder")
    _check_parents(parameter, path)
    return path


def _check_parents(parameter: typer.CallbackParam, path: Path | None) -> None:
    for parent in path.parents if path is not None else ():
        if parent.exists() and not parent.is_dir():
            raise ConfigError(f"{parameter.opts[0]}: {path}: {parent} is a file and no folder")
