"""What is asked of Hydra: read overrides, compose values, say where they come from. Its errors become one line each.

Overrides are checked against the schema before Hydra sees them, so that a misspelt key gets the schema's message.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override as HydraOverride
from hydra.core.override_parser.types import ValueType
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from yaml import YAMLError

from usaggr.config.folders import GROUPS, choices, find, read_mapping, shown, yaml_fault
from usaggr.config.messages import is_entry, is_known, is_list, is_of_some, unknown_key
from usaggr.config.study import Origin
from usaggr.errors import ConfigError, one_of

COMMAND_LINE = "command line"
_folders: ContextVar[tuple[Path, ...]] = ContextVar("folders", default=())
_PACKAGE = re.compile(r"^\s*#\s*@package\b", re.MULTILINE)


class _Folders(SearchPathPlugin):
    """Puts the folders of the study being composed before Hydra's primary one; does nothing for other programs."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in _folders.get():
            search_path.prepend("usaggr", f"file://{folder}", anchor="main")


@dataclass(frozen=True)
class Override:
    """One override, checked against the schema."""

    key: str
    """Dotted key, or name of a group."""
    value: Any
    """None where the key is deleted."""
    text: str
    """As Hydra shall read it."""

    @property
    def chooses(self) -> bool:
        """Whether it chooses a group's file."""
        return self.key in GROUPS


def parse_overrides(texts: Sequence[str], folders: Sequence[Path]) -> list[Override]:
    """Read overrides in Hydra's grammar.

    Raises:
        ConfigError: not in the grammar, a list without brackets, or a key or choice that does not exist.
    """
    parser = OverridesParser.create()
    return [_checked(parser, text, folders) for text in texts]


def compose_values(origin: Origin) -> dict[str, Any]:
    """The values of a study, resolved, with its name filled in; not yet checked against the schema's types.

    Raises:
        ConfigError: what Hydra refuses: a choice that does not exist, a file that is not YAML, an interpolation; and
            what a study from a stranger could read the environment or import code by.
    """
    overrides = parse_overrides(origin.overrides, origin.folders)
    _refuse_hydra_settings(origin.config, find(origin.config, origin.folders))
    with _loader(origin):
        config = compose(origin.config, overrides=[override.text for override in overrides], return_hydra_config=True)
        chosen = config.hydra.runtime.choices.get("data")
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        _refuse_resolvers(OmegaConf.to_container(config, resolve=False))
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    if not isinstance(values, dict):
        raise ConfigError(f"{origin.config}: a study is a mapping of keys to values")
    if values.get("name") is None:
        other_data = any(override.key == "data" for override in overrides) and chosen != _own_data(origin, overrides)
        values["name"] = f"{origin.config}_{chosen}" if other_data else origin.config
    return {str(name): value for name, value in values.items()}


def sources_of(origin: Origin) -> dict[str, str]:
    """Dotted key of each value, and the file it stands in, or `command line`; the last one that gives it wins."""
    overrides = parse_overrides(origin.overrides, origin.folders)
    sources: dict[str, str] = {}
    with _loader(origin) as loader:
        defaults = loader.compute_defaults_list(origin.config, [o.text for o in overrides], RunMode.RUN).defaults
    for default in defaults:
        name = default.config_path or ""
        path = find(name, origin.folders)
        if path is None:
            continue
        content = read_mapping(path)
        content.pop("defaults", None)
        for key in _leaves(content, f"{default.package}." if default.package else ""):
            unnamed = key == "name" and content["name"] is None
            sources[key] = "the study's file and data" if unnamed else shown(path)
    for override in overrides:
        if not override.chooses:
            for key in _leaves(override.value, f"{override.key}."):
                sources[key.rstrip(".")] = COMMAND_LINE
    return sources


def _checked(parser: OverridesParser, text: str, folders: Sequence[Path]) -> Override:
    try:
        override = parser.parse_override(text)
    except HydraException as error:
        raise ConfigError(
            f"'{text}': not Hydra's grammar (key=value; quote values that hold '=' or spaces): {_one_line(error)}"
        ) from error
    key = override.key_or_group
    if not key:
        raise ConfigError(f"'{text}': an override names a key, as in seeds=[0,1]")
    if key not in GROUPS and not is_known(key):
        raise ConfigError(unknown_key(key))
    if override.is_sweep_override():
        raise ConfigError(_not_one_value(override, text))
    if key in GROUPS:
        return _chosen(override, text, folders)
    if override.package is not None:
        raise ConfigError(f"'{text}': {key} is no group of files, so that '@' has no meaning here")
    if override.is_delete():
        return Override(key, None, text)
    value = override.value()
    # Hydra tells a key that is there from one that is added by a +. Here the schema says which keys there may be, and
    # names of a mapping's entries are free: the + makes no difference. It also says which network has which keys.
    free = text.startswith("+") or is_entry(key) or is_of_some(key) or isinstance(value, dict)
    return Override(key, value, "++" + text.lstrip("+") if free else text)


def _not_one_value(override: HydraOverride, text: str) -> str:
    """Message for what Hydra would take for a sweep."""
    key, written = override.key_or_group, text.partition("=")[2]
    if not is_list(key):
        return f"{key}: one value, not '{written}'; several are compared as variants of a study"
    simple = override.value_type == ValueType.SIMPLE_CHOICE_SWEEP
    return f"{key}: a list stands in brackets, {key}=[{written if simple else '...'}], not '{text}'"


def _chosen(override: HydraOverride, text: str, folders: Sequence[Path]) -> Override:
    group = override.key_or_group
    names = choices(group, folders)
    if override.is_delete() or text.startswith("+") or override.package is not None:
        raise ConfigError(f"'{text}': a study always has one {group}, chosen as in {group}={names[0]}")
    value = override.value()
    if not isinstance(value, str) or value not in names:
        raise ConfigError(one_of(group, value if isinstance(value, str) else text.partition("=")[2], names))
    return Override(group, value, text)


@contextmanager
def _loader(origin: Origin) -> Iterator[ConfigLoader]:
    """Hydra over a study's folders; its errors, and those of the files' YAML, leave as ConfigError."""
    plugins = Plugins.instance()
    if _Folders not in plugins.discover(SearchPathPlugin):
        plugins.register(_Folders)
    token = _folders.set(origin.folders[:-1])
    # A program that uses Hydra itself keeps what it has set up.
    theirs, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
    try:
        with initialize_config_dir(str(origin.folders[-1]), job_name="usaggr", version_base="1.3"):
            yield GlobalHydra.instance().config_loader()
    except MissingConfigException as error:
        raise ConfigError(_missing(error, origin)) from error
    except YAMLError as error:
        raise ConfigError(yaml_fault(error)) from error
    except MissingMandatoryValue as error:
        raise ConfigError(f"{error.full_key}: needs a value in place of {MISSING}") from error
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key}: {_one_line(error.msg or error)}") from error
    except (HydraException, ValueError, OSError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else None
        raise ConfigError(f"{origin.config}: cannot be composed: {_one_line(cause or error)}") from error
    finally:
        GlobalHydra.instance().hydra = theirs
        _folders.reset(token)


def _one_line(reason: object) -> str:
    """Without what Hydra and OmegaConf add below their message."""
    text = str(reason).partition("\nSee https:")[0].partition("\n    full_key:")[0]
    return " ".join(text.split())


def _missing(error: MissingConfigException, origin: Origin) -> str:
    """Message for a file that a defaults list names and that is nowhere."""
    group, _, name = (error.missing_cfg_file or "").rpartition("/")
    if group in GROUPS:
        return one_of(f"{group} (in the defaults of {origin.config})", name, choices(group, origin.folders))
    return f"{origin.config}: its defaults name {error.missing_cfg_file}, which is in none of the folders " + ", ".join(
        map(shown, origin.folders)
    )


def _own_data(origin: Origin, overrides: Sequence[Override]) -> str | None:
    """The data that the study chooses itself."""
    texts = [override.text for override in overrides if override.chooses and override.key != "data"]
    with _loader(origin) as loader:
        found = loader.compute_defaults_list(origin.config, texts, RunMode.RUN).overrides.known_choices.get("data")
    return str(found) if found is not None else None


def _leaves(content: Any, prefix: str) -> Iterator[str]:
    """Dotted keys of the values under a mapping; an empty mapping is a value."""
    if not isinstance(content, dict) or not content:
        yield prefix.rstrip(".")
        return
    for name, value in content.items():
        yield from _leaves(value, f"{prefix}{name}.")


def _refuse_hydra_settings(name: str, path: Path | None) -> None:
    """Refuse a study's file that configures Hydra itself: `hydra.searchpath` can import packages (`pkg://`).

    Raises:
        ConfigError: the file has a key of Hydra's, chooses one in its defaults, or moves its values by `@package`.
    """
    if path is None:
        return
    content = read_mapping(path)
    listed = content.get("defaults")
    entries = listed if isinstance(listed, list) else []  # Hydra says what is wrong with another
    chosen = [str(key) for entry in entries for key in (entry if isinstance(entry, dict) else [entry])]
    found = [key for key in (*map(str, content), *chosen) if re.split(r"[./@]", _bare(key))[0] == "hydra"]
    if found:
        raise ConfigError(f"{found[0]} ({shown(path)}): a study does not configure Hydra; remove it from {name}")
    if _PACKAGE.search(path.read_text(encoding="utf-8")):
        raise ConfigError(f"{shown(path)}: a study's values stay where they stand; remove the line with @package")


def _refuse_resolvers(content: Any, key: str = "") -> None:
    """Refuse calls such as `${oc.env:NAME}` in values; `${other.key}` stays allowed.

    Raises:
        ConfigError: a text calls a resolver.
    """
    if isinstance(content, dict):
        for name, value in content.items():
            _refuse_resolvers(value, f"{key}.{name}" if key else str(name))
    elif isinstance(content, list):
        for position, value in enumerate(content):
            _refuse_resolvers(value, f"{key}[{position}]")
    # The name of a resolver may itself be an interpolation, so that any colon after ${ may make a call.
    elif isinstance(content, str) and ":" in content.partition("${")[2]:
        raise ConfigError(f"{key}: '{content}' calls a resolver; a study may refer to other keys only, as in ${{name}}")


def _bare(key: str) -> str:
    """A key of a defaults list without its keywords and leading slash."""
    return re.sub(r"^((override|optional)\s+)*/?", "", key)
