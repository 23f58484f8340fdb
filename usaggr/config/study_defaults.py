"""Check of the defaults lists of all files that Hydra reads: none may call a resolver, such as `${oc.env:NAME}`."""

from typing import Any

from hydra._internal.config_repository import ConfigRepository
from hydra.core.global_hydra import GlobalHydra
from hydra.plugins.config_source import ConfigResult

from usaggr.errors import ConfigError


def check_defaults_lists() -> None:
    """Let the initialized Hydra refuse each file whose defaults list calls a resolver."""
    loader: Any = GlobalHydra.instance().config_loader()
    loader.repository = _CheckedRepository(loader.config_search_path)


class _CheckedRepository(ConfigRepository):
    """Hydra's reader of files; it refuses a defaults list that calls a resolver, before Hydra resolves the list.

    Without this, a message about a missing file would print the value of a variable such as `${oc.env:NAME}`.
    """

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Return a file's content and its defaults list, which may refer to other choices only."""
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
