"""Checks of each file that Hydra reads: Hydra's own reader has no limits, and resolves what a stranger has written."""

from pathlib import Path
from typing import Any

from hydra._internal.config_repository import ConfigRepository
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult

from usaggr.config.folders import read_mapping
from usaggr.errors import ConfigError


def check_config_files() -> None:
    """Let the initialized Hydra check each file of a study and its groups, before it uses the file.

    Hydra finds the files itself, from the defaults of other files, so that they cannot be checked in advance. Programs
    that use Hydra themselves are not affected.
    """
    loader: Any = GlobalHydra.instance().config_loader()
    loader.repository = _CheckedRepository(loader.config_search_path)


class _CheckedRepository(ConfigRepository):
    """Hydra's reader of files; it refuses files beyond the limits, and a defaults list that calls a resolver.

    Without the second check, a message about a missing file would print the value of a variable such as
    `${oc.env:NAME}`, because Hydra resolves the list first.
    """

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Return a file's content and its defaults list, which may refer to other choices only."""
        source = self._find_object_source(config_path, ObjectType.CONFIG)
        if source is not None and source.scheme() == "file":
            path = Path(source.path, source._normalize_file_name(config_path))
            if path.exists():  # Hydra names a file that is missing
                read_mapping(path)
        loaded = super().load_config(config_path)
        for default in (loaded.defaults_list if loaded else None) or ():
            for name in ("path", "group", "value", "package"):
                refuse_resolver(f"{config_path}: defaults", str(getattr(default, name, None)))
        return loaded


def refuse_resolver(key: str, text: str) -> None:
    """Refuse a text that calls a resolver; `key` names where it is written."""
    # The name of a resolver may itself be an interpolation, so any colon after ${ may belong to a call.
    if ":" in text.partition("${")[2]:
        raise ConfigError(f"{key}: '{text}' calls a resolver; a study may refer to other keys only, as in ${{name}}")
