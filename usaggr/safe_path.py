"""Module search without the current folder, so that a module of its name that lies there is never imported.

Python searches for modules in the current folder first if it is started with `-c` or `-m`, as `multiprocessing` and
submitit start their processes. A `queue.py` of a user, or of a stranger, would then replace Python's own module.
"""

# No other imports: with `python -m usaggr` they would be searched in the current folder.
import os
import sys

SAFE_PATH = {"PYTHONSAFEPATH": "1"}
"""Environment variable with which Python does not search the current folder, as with its option `-P`."""

_OWN_FOLDER = os.path.realpath(os.path.dirname(os.path.dirname(__file__)))  # noqa: PTH120 - without pathlib, see above
"""Folder that holds the package usaggr."""


def remove_current_folder() -> None:
    """Stop `python -m usaggr` from searching the current folder, unless usaggr itself lies there, as in its repository.

    `usaggr` calls this before its other imports. A folder `usaggr` in the current one was found before that already.
    """
    is_searched = _is_started_as_module(sys.argv, sys.orig_argv) and not sys.flags.safe_path
    if is_searched and os.path.realpath(sys.path[0]) == os.path.realpath(os.curdir) != _OWN_FOLDER:
        del sys.path[0]


class SafeSearch:
    """Context in which processes are started that do not search the current folder for modules.

    Args:
        variables: Further environment variables of these processes.
    """

    def __init__(self, variables: dict[str, str] | None = None) -> None:
        self._variables = SAFE_PATH | (variables or {})

    def __enter__(self) -> None:
        """Set the environment variables, and remove the current folder from the search path."""
        self._previous = {name: os.environ.get(name) for name in self._variables}
        os.environ.update(self._variables)
        self._path = sys.path
        sys.path = list_search_folders()  # multiprocessing passes it on to its processes

    def __exit__(self, *error: object) -> None:
        """Restore the variables and the search path."""
        sys.path = self._path
        for name, value in self._previous.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def list_search_folders() -> list[str]:
    """Return the folders in which this process searches for modules, without the current folder (an empty entry).

    The repository of usaggr stays if it is the current folder.
    """
    folders = list(sys.path)
    if os.path.realpath(os.curdir) == _OWN_FOLDER:
        folders = [folder or _OWN_FOLDER for folder in folders]
    return [folder for folder in folders if folder]


def _is_started_as_module(arguments: list[str], command: list[str]) -> bool:
    """Return whether Python is just about to run `-m usaggr`.

    Args:
        arguments: sys.argv, whose first item is `-m` until Python has found the module.
        command: sys.orig_argv: the command line of the interpreter.
    """
    if arguments[:1] != ["-m"] or len(command) < len(arguments):
        return False
    module = command[len(command) - len(arguments)]  # `usaggr`, or `-musaggr` in one word
    return module.partition(".")[0] == "usaggr" or module.endswith("musaggr")
