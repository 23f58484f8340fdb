"""Composition by Hydra: the values of a study, and where each one comes from. Hydra's errors become one line each."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from yaml import YAMLError

from usaggr.config.config_file_checks import check_config_files, refuse_resolver
from usaggr.config.folders import GROUPS, describe_yaml_error, find_file, format_path, list_choices, read_mapping
from usaggr.config.overrides import quote, read_overrides
from usaggr.config.references import check_references
from usaggr.config.study import Origin
from usaggr.errors import ConfigError, explain_unknown_name
from usaggr.io.bounded_files import read_bounded_text

COMMAND_LINE = "command line"
_PACKAGE = re.compile(r"^\s*#\s*@package\b", re.MULTILINE)
_HYDRA_KEY = re.compile(r"((override|optional)\s+)*/?hydra([./@]|$)")
"""A key of a study's file, or of its defaults, that configures Hydra."""


def compose_values(origin: Origin) -> dict[str, Any]:
    """Return the values of a study, resolved, with its name filled in; the schema has not checked them yet.

    Raises:
        ConfigError: An error that Hydra found: a choice that does not exist, a file that is not YAML, an
            interpolation; or anything by which a study from a stranger could read the environment or import code.
    """
    overrides = read_overrides(origin.overrides, origin.folders)
    _refuse_hydra_settings(origin.config, find_file(origin.config, origin.folders))
    with _initialize_hydra(origin):
        texts = [_format_search_path(origin.folders), *(override.text for override in overrides)]
        config = compose(origin.config, overrides=texts, return_hydra_config=True)
        data = config.hydra.runtime.choices.get("data")
        OmegaConf.set_struct(config, False)  # Hydra's configurations refuse changes of their keys
        del config["hydra"]
        _refuse_resolvers(config)
        check_references(dict(list_values(OmegaConf.to_container(config, resolve=False), "")))
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        if not isinstance(values, dict):
            raise ConfigError(f"{origin.config}: a study must be a mapping from keys to values")
        if values.get("name") is None:
            # Other data than the study's own get a folder of their own in outputs/.
            choices = [override.text for override in overrides if override.is_choice and override.key != "data"]
            has_choice = any(override.key == "data" for override in overrides)
            uses_other_data = has_choice and data != _read_defaults(origin, choices).overrides.known_choices.get("data")
            values["name"] = f"{origin.config}_{data}" if uses_other_data else origin.config
    return {str(name): value for name, value in values.items()}


def find_sources(origin: Origin) -> dict[str, str]:
    """Return for each dotted key the file that its value comes from, or `command line`.

    The last file that gives a value wins, as in the composition.
    """
    texts = [override.text for override in read_overrides(origin.overrides, origin.folders)]
    with _initialize_hydra(origin):
        defaults = _read_defaults(origin, texts).defaults
        # Without a study, the values are those of the command line alone.
        from_command_line = compose(overrides=[text for text in texts if text.startswith("++")])
    sources: dict[str, str] = {}
    for default in defaults:
        path = find_file(default.config_path or "", origin.folders)
        if path is None:
            continue  # a file of Hydra's own
        content = read_mapping(path)
        content.pop("defaults", None)
        for key, value in list_values(content, default.package or ""):
            sources[key] = "the study's file and data" if key == "name" and value is None else format_path(path)
    for key, _ in list_values(OmegaConf.to_container(from_command_line, resolve=False), ""):
        # Also of the mapping around the value: a file may give it as {}, as conf/executor/slurm.yaml does with options.
        sources |= dict.fromkeys((key, key.rpartition(".")[0]), COMMAND_LINE)
    sources.pop("", None)  # a key at the top is in no mapping
    return sources


def list_values(content: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield the values under a mapping with their dotted keys; an empty mapping is a value."""
    if isinstance(content, dict) and content:
        for name, value in content.items():
            yield from list_values(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, content


def _read_defaults(origin: Origin, overrides: Sequence[str]) -> Any:
    """Return the files that Hydra merges for a study, in their order, and the choices of groups."""
    # compose() does not tell the order of the files, and takes twice as long.
    loader = GlobalHydra.instance().config_loader()
    return loader.compute_defaults_list(origin.config, [_format_search_path(origin.folders), *overrides], RunMode.RUN)


def _format_search_path(folders: Sequence[Path]) -> str:
    """Return the override that lets Hydra search all folders after the first; it replaces that of any file."""
    return f"hydra.searchpath=[{','.join(quote(f'file://{folder}') for folder in folders[1:])}]"


@contextmanager
def _initialize_hydra(origin: Origin) -> Iterator[None]:
    """Initialize Hydra on a study's folder; raise its errors, OmegaConf's and those of YAML as ConfigError."""
    # A program that uses Hydra itself keeps its own initialization, which Hydra refuses to replace.
    callers_hydra, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
    try:
        with initialize_config_dir(str(origin.folders[0]), job_name="usaggr", version_base="1.3"):
            check_config_files()
            yield
    except MissingConfigException as error:
        raise ConfigError(_explain_missing_file(error, origin)) from error
    except OverrideParseException as error:
        raise ConfigError(_explain_grammar(error)) from error
    except YAMLError as error:
        raise ConfigError(describe_yaml_error(error)) from error
    # The order matters: the classes that follow include those before.
    except MissingMandatoryValue as error:
        raise ConfigError(f"{error.full_key} needs a value in place of {MISSING}") from error
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key}: {_join_lines(error.msg or error)}") from error
    except (HydraException, ValueError, OSError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else None
        raise ConfigError(f"{origin.config}: cannot be composed: {_join_lines(cause or error)}") from error
    finally:
        GlobalHydra.instance().hydra = callers_hydra


def _join_lines(reason: object) -> str:
    """Return a message without the lines that Hydra and OmegaConf add below it."""
    text = str(reason).partition("\nSee https:")[0].partition("\n    full_key:")[0]
    return " ".join(text.split())


def _explain_grammar(error: OverrideParseException) -> str:
    """Return the message for an override that Hydra cannot read, with quotes around what was typed."""
    from usaggr.config.overrides import suggest_quotes

    text = error.override.lstrip("+")  # read_overrides has added ++
    advice = suggest_quotes(text)
    return f"'{text}' is not in Hydra's grammar (key=value): {advice} ({_join_lines(error)})"


def _explain_missing_file(error: MissingConfigException, origin: Origin) -> str:
    """Return the message for a file that a defaults list names and that does not exist."""
    group, _, name = (error.missing_cfg_file or "").rpartition("/")
    if group in GROUPS:
        return explain_unknown_name(
            f"{group} (in the defaults of {origin.config})", name, list_choices(group, origin.folders)
        )
    folders = ", ".join(map(format_path, origin.folders))
    return f"{origin.config}: its defaults name {error.missing_cfg_file}, which is in none of the folders {folders}"


def _refuse_hydra_settings(name: str, path: Path | None) -> None:
    """Refuse a study's file that configures Hydra itself, or moves its values by `@package`.

    Raises:
        ConfigError: The file has a key of Hydra's, or chooses one in its defaults, or has a line with `@package`.
    """
    if path is None:
        return  # Hydra names the folders that it has searched
    content = read_mapping(path)
    defaults = content.get("defaults")
    entries = defaults if isinstance(defaults, list) else []  # Hydra reports a defaults list of another type
    keys = [*content, *(key for entry in entries for key in (entry if isinstance(entry, dict) else [entry]))]
    for key in map(str, keys):
        if _HYDRA_KEY.match(key):
            raise ConfigError(f"{key} ({format_path(path)}): a study does not configure Hydra; remove it from {name}")
    if _PACKAGE.search(read_bounded_text(path)):
        raise ConfigError(f"{format_path(path)}: a study cannot move its values; remove the line with @package")


def _refuse_resolvers(config: DictConfig) -> None:
    """Refuse calls such as `${oc.env:NAME}` in values; `${other.key}` stays allowed.

    Raises:
        ConfigError: A text calls a resolver.
    """
    for key, value in list_values(OmegaConf.to_container(config, resolve=False), ""):
        for item in value if isinstance(value, list) else [value]:
            refuse_resolver(key, str(item))
