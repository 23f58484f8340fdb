"""Folders with configurations: the user's own are searched first, then those that come with usaggr."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from usaggr.errors import ConfigError, explain_unknown_name
from usaggr.io.bounded_content import parse_yaml
from usaggr.io.bounded_files import MEBIBYTE, read_bounded_text

_MAX_BYTES = 4 * MEBIBYTE
"""Largest file of configuration that is read."""

GROUPS = ("data", "model", "training", "scale", "executor", "report", "logger")
"""Hydra groups: folders of `conf/` from which a study chooses one file each."""


def search_folders(config_dir: Path | None) -> tuple[Path, ...]:
    """Return the existing folders with configurations, in the order in which they are searched.

    These are `--config-dir DIR` and `DIR/sweeps`, `./conf` and `./sweeps`, then those that come with usaggr.

    Raises:
        ConfigError: `config_dir` is not a folder.
    """
    candidates = [Path("conf"), Path("sweeps"), *package_folders()]
    if config_dir is not None:
        if not config_dir.is_dir():
            raise ConfigError(f"--config-dir: folder {config_dir} does not exist")
        candidates = [config_dir, config_dir / "sweeps", *candidates]
    return tuple(dict.fromkeys(folder.resolve() for folder in candidates if folder.is_dir()))


def locate_study(study: str, config_dir: Path | None) -> tuple[tuple[Path, ...], str]:
    """Return the folders in which to look for a study's files, and the study's name there.

    The study's own folder comes first, because Hydra reads the study itself from its first folder only.

    Args:
        study: Name of a file in a `sweeps/` folder, or a path that ends in .yaml.
        config_dir: Folder that is searched before the others; None: no further folder.

    Raises:
        ConfigError: The study does not exist.
    """
    folders = search_folders(config_dir)
    if study.endswith((".yaml", ".yml")):
        path = Path(study).resolve()
        if not path.is_file():
            raise ConfigError(f"study: file {study} does not exist")
    else:
        studies = list_studies(folders)
        if study not in studies:
            raise ConfigError(explain_unknown_name("study", study, studies))
        path = studies[study]
    return tuple(dict.fromkeys([path.parent, *folders])), path.stem


def list_studies(folders: Sequence[Path]) -> dict[str, Path]:
    """Return the file of each study in folders with the name `sweeps`; the first of several files with one name."""
    files = [file for folder in folders if folder.name == "sweeps" for file in sorted(folder.glob("*.yaml"))]
    return {file.stem: file for file in reversed(files)}


def list_choices(group: str, folders: Sequence[Path]) -> list[str]:
    """Return the names of a group's files; those that begin with '_' are for other files to build on."""
    files = [file for folder in folders for file in (folder / group).glob("*.yaml")]
    return sorted({file.stem for file in files if not file.name.startswith("_")})


def find_file(name: str, folders: Sequence[Path]) -> Path | None:
    """Return the first file with a name such as `model/tiny`; None if there is none."""
    return next((path for folder in folders if (path := folder / f"{name}.yaml").is_file()), None)


def find_grouping(name: str, folders: Sequence[Path]) -> Path:
    """Return the file of a grouping.

    Raises:
        ConfigError: The grouping does not exist.
    """
    # A name with a slash could lead out of the folder.
    path = find_file(f"grouping/{name}", folders) if Path(name).name == name else None
    if path is None:
        raise ConfigError(explain_unknown_name("groupings", name, list_choices("grouping", folders)))
    return path


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the content of a YAML file.

    Raises:
        ConfigError: The file is not YAML, or does not hold a mapping.
    """
    try:
        content = parse_yaml(read_bounded_text(path, _MAX_BYTES), aliases=True)
    except OSError as error:
        raise ConfigError(f"{format_path(path)}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        cause = error.__cause__ if isinstance(error.__cause__, yaml.YAMLError) else error
        raise ConfigError(describe_yaml_error(cause, path)) from error
    if content is not None and not isinstance(content, dict):
        raise ConfigError(
            f"{format_path(path)} must hold a mapping from keys to values, not a {type(content).__name__}"
        )
    return content or {}


def describe_yaml_error(error: Exception, path: Path | None = None) -> str:
    """Return one line about a file that is not YAML: where the parser stopped, and why."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        reason = " ".join(f"{error.context or ''} {error.problem or ''}".split())
        position = f"line {mark.line + 1}, column {mark.column + 1}"
        return f"{format_path(path or Path(mark.name))}, {position}: not valid YAML: {reason}"
    return f"{format_path(path) if path else 'configuration'}: not valid YAML: {' '.join(str(error).split())}"


def format_path(path: Path) -> str:
    """Return a path as a user would write it: relative to the current folder if it is inside it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def package_folders() -> list[Path]:
    """Return `conf` and `sweeps` that come with usaggr: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parents[1]
    home = package if (package / "conf").is_dir() else package.parent
    return [home / "conf", home / "sweeps"]
