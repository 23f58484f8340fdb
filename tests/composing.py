"""Composition of each configuration only once per test process: Hydra takes 0.1 s, and tests compose 1,000 times."""

import copy
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from usaggr.config.study import Origin

Compose = Callable[[Origin], dict[str, Any]]

_ROOT = Path(__file__).resolve().parents[1]
_SHIPPED = {_ROOT / "conf", _ROOT / "sweeps"}
_PATH_OVERRIDE = re.compile(r"(?P<key>outputs|data\.root|data\.cache_dir)=(?P<path>/[\w./-]+)")
"""An override that differs between tests: a key of every study, with a path that Hydra accepts without quotes."""


def compose_once(compose: Compose) -> Compose:
    """Return a function that gives the same values as `compose`, but calls it once for equal words.

    Folders of outputs and data do not count, since they are inserted afterwards. Studies in folders outside this
    repository, and configurations that are refused, are composed each time.
    """
    composed: dict[tuple[str, tuple[str, ...]], dict[str, Any]] = {}

    def values_of(origin: Origin) -> dict[str, Any]:
        path_overrides = {text: match for text in origin.overrides if (match := _PATH_OVERRIDE.fullmatch(text))}
        other_overrides = tuple(text for text in origin.overrides if text not in path_overrides)
        keys = [match["key"] for match in path_overrides.values()]
        if not set(origin.folders) <= _SHIPPED or any(key in text for key in keys for text in other_overrides):
            return compose(origin)
        words = (origin.config, other_overrides)
        if words not in composed:
            composed[words] = compose(dataclasses.replace(origin, overrides=other_overrides))
        values = copy.deepcopy(composed[words])
        for match in path_overrides.values():
            section, _, key = match["key"].rpartition(".")
            (values[section] if section else values)[key] = match["path"]
        return values

    return values_of
