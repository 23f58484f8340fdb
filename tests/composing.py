"""Compose each configuration once in a test process: it takes Hydra 0.1 s, and tests compose a thousand times."""

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
_PLACE = re.compile(r"(?P<key>outputs|data\.root|data\.cache_dir)=(?P<path>/[\w./-]+)")
"""An override that differs from test to test: a key that every study has, and a path that Hydra takes as it stands."""


def compose_once(compose: Compose) -> Compose:
    """Return a function with the values that `compose` gives, which calls it once for the same words.

    Folders of outputs and data do not count: they are put in afterwards. Studies of other folders than those in this
    repository, and configurations that are refused, are composed each time.
    """
    composed: dict[tuple[str, tuple[str, ...]], dict[str, Any]] = {}

    def values_of(origin: Origin) -> dict[str, Any]:
        places = {text: match for text in origin.overrides if (match := _PLACE.fullmatch(text))}
        others = tuple(text for text in origin.overrides if text not in places)
        keys = [match["key"] for match in places.values()]
        if not set(origin.folders) <= _SHIPPED or any(key in text for key in keys for text in others):
            return compose(origin)
        words = (origin.config, others)
        if words not in composed:
            composed[words] = compose(dataclasses.replace(origin, overrides=others))
        values = copy.deepcopy(composed[words])
        for match in places.values():
            section, _, key = match["key"].rpartition(".")
            (values[section] if section else values)[key] = match["path"]
        return values

    return values_of
