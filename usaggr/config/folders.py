"""Where configurations are found: a user's own folders first, then those that come with usaggr."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from usaggr.errors import ConfigError, one_of

GROUPS = ("data", "model", "training", "scale", "executor", "report", "logger")
"""Hydra groups: folders of `conf/` of which a study chooses one file each."""


def search_folders(config_dir: Path | None) -> tuple[Path, ...]:
    """Existing folders with configurations, first to last.

    `--config-dir DIR` and `DIR/sweeps`, `./conf` and `./sweeps`, then those that come with usaggr.

    Raises:
        ConfigError: `config_dir` is not a folder.
    """
    candidates = [Path("conf"), Path("sweeps"), *_own_folders()]
    if config_dir is not None:
        if not config_dir.is_dir():
            raise ConfigError(f"--config-dir: there is no folder {config_dir}")
        candidates = [config_dir, config_dir / "sweeps", *candidates]
    return tuple(dict.fromkeys(folder.resolve() for folder in candidates if folder.is_dir()))


def locate_study(study: str, config_dir: Path | None) -> tuple[tuple[Path, ...], str]:
    """The folders in which to look for a study's parts, and the study's name there.

    `study` is a name in a `sweeps/` folder, or a path that ends in .yaml, whose folder is then searched first.

    Raises:
        ConfigError: no such study.
    """
    folders = search_folders(config_dir)
    if study.endswith((".yaml", ".yml")):
        path = Path(study)
        if not path.is_file():
            raise ConfigError(f"study: there is no file {study}")
        parent = path.resolve().parent
        return (parent, *(folder for folder in folders if folder != parent)), path.stem
    names = {file.stem for folder in folders if folder.name == "sweeps" for file in folder.glob("*.yaml")}
    if study not in names:
        raise ConfigError(one_of("study", study, names))
    return folders, study


def choices(group: str, folders: Sequence[Path]) -> list[str]:
    """Names of a group's files; those that begin with '_' are for other files to build on."""
    files = [file for folder in folders for file in (folder / group).glob("*.yaml")]
    return sorted({file.stem for file in files if not file.name.startswith("_")})


def find(name: str, folders: Sequence[Path]) -> Path | None:
    """The first file of this name, such as `model/tiny`."""
    return next((path for folder in folders if (path := folder / f"{name}.yaml").is_file()), None)


def find_grouping(name: str, folders: Sequence[Path]) -> Path:
    """The file of a grouping.

    Raises:
        ConfigError: no such grouping.
    """
    path = find(f"grouping/{name}", folders) if Path(name).name == name else None  # no path that leads elsewhere
    if path is None:
        raise ConfigError(one_of("groupings", name, choices("grouping", folders)))
    return path


def read_mapping(path: Path) -> dict[str, Any]:
    """Content of a YAML file.

    Raises:
        ConfigError: not YAML, or not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(yaml_fault(error, path)) from error
    if content is not None and not isinstance(content, dict):
        raise ConfigError(f"{shown(path)}: a mapping of keys to values, not a {type(content).__name__}")
    return content or {}


def yaml_fault(error: Exception, path: Path | None = None) -> str:
    """One line for a file that is not YAML: where the parser stopped, and why."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        reason = " ".join(f"{error.context or ''} {error.problem or ''}".split())
        return f"{shown(path or Path(mark.name))}, line {mark.line + 1}, column {mark.column + 1}: not YAML: {reason}"
    return f"{shown(path) if path else 'configuration'}: not YAML: {' '.join(str(error).split())}"


def shown(path: Path) -> str:
    """A path as a user would write it: from the current folder where it lies under it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _own_folders() -> list[Path]:
    """`conf` and `sweeps` that come with usaggr: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parents[1]
    home = package if (package / "conf").is_dir() else package.parent
    return [home / "conf", home / "sweeps"]
