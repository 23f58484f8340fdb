"""A cache of Hydra's lists of defaults in a test process, since building them takes most of the time of composition.

Two compositions that select the same files of the groups differ only in values, which Hydra inserts afterwards.
"""

import copy
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.defaults_list import DefaultsList, Overrides
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

_ROOT = Path(__file__).resolve().parents[1]
_SHIPPED = {str(_ROOT / "conf"), str(_ROOT / "sweeps")}

_create_defaults_list = config_loader_impl.create_defaults_list
_compose_config = ConfigLoaderImpl._compose_config_from_defaults_list


class HydraCache:
    """Lists of defaults, and the configurations merged from their files, which are used while it is switched on.

    It is only for studies and groups of this repository, whose files do not change while tests run.
    """

    def __init__(self) -> None:
        self._lists: dict[tuple[object, ...], DefaultsList] = {}
        self._merged: dict[int, DictConfig] = {}
        """Merged configuration for each list of defaults, by its identity; `_lists` keeps the lists alive."""
        self._patches = ExitStack()

    def switch_on(self) -> None:
        cache = self

        def compose(loader: ConfigLoaderImpl, defaults: list[Any], repo: Any) -> DictConfig:
            return cache._merge(loader, defaults, repo)

        self._patches.enter_context(patch.object(config_loader_impl, "create_defaults_list", self._list_defaults))
        self._patches.enter_context(patch.object(ConfigLoaderImpl, "_compose_config_from_defaults_list", compose))

    def switch_off(self) -> None:
        self._patches.close()

    def _list_defaults(
        self, repo: Any, config_name: str | None, overrides_list: Sequence[Override], **options: bool
    ) -> DefaultsList:
        overrides = list(overrides_list)
        sources = tuple(source.path for source in repo.get_sources() if source.scheme() == "file")
        if not set(sources) <= _SHIPPED:
            return _create_defaults_list(repo, config_name, overrides, **options)
        values = Overrides(repo=repo, overrides_list=overrides).config_overrides
        choices = [str(override.input_line) for override in overrides if override not in values]
        key = (sources, config_name, tuple(choices), tuple(sorted(options.items())))
        if key not in self._lists:
            self._lists[key] = _create_defaults_list(repo, config_name, overrides, **options)
        cached = self._lists[key]
        return DefaultsList(cached.defaults, cached.defaults_tree, values, cached.overrides)

    def _merge(self, loader: ConfigLoaderImpl, defaults: list[Any], repo: Any) -> DictConfig:
        if not any(cached.defaults is defaults for cached in self._lists.values()):
            return _compose_config(loader, defaults, repo)
        if id(defaults) not in self._merged:
            self._merged[id(defaults)] = _compose_config(loader, defaults, repo)
        return copy.deepcopy(self._merged[id(defaults)])
