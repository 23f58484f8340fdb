"""Home folders, which do not exist for every user: containers and services run under user ids without an entry."""

from pathlib import Path

from usaggr.errors import ConfigError


def expand_home(path: str | Path, key: str) -> Path:
    """Return a path with `~` or `~NAME` at its start replaced by the home folder.

    Raises:
        ConfigError: That home folder is not known; the message names `key`, the key or option with the path.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        user = Path(path).parts[0]
        hint = "write the whole path, or set $HOME" if user == "~" else "write the whole path"
        raise ConfigError(f"{key}={path}: no home folder is known for {user}; {hint}") from error


def find_home(remedy: str) -> Path:
    """Return the home folder of this user.

    Raises:
        ConfigError: $HOME is not set and the system has no entry for this user; the message ends with `remedy`.
    """
    try:
        return Path.home()
    except RuntimeError as error:
        raise ConfigError(f"no home folder is known ($HOME is not set); {remedy}") from error
