"""Values of overrides by dotted key, as Hydra reads them."""

from collections.abc import Iterator
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from usaggr.config.hydra import list_values
from usaggr.config.overrides import read_overrides
from usaggr.config.study import Origin


def list_override_values(origin: Origin) -> Iterator[tuple[str, Any]]:
    """Yield the dotted key and the value of each value that the overrides of a study give, as Hydra reads it."""
    for key, value in _parse_overrides(origin):
        yield from list_values(value, key)


def list_override_mappings(origin: Origin) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the dotted key and the content of each override that is a mapping, such as `variants={base: []}`."""
    for key, value in _parse_overrides(origin):
        if isinstance(value, dict):
            yield key, {str(name): content for name, content in value.items()}


def _parse_overrides(origin: Origin) -> Iterator[tuple[str, Any]]:
    parser = OverridesParser.create()
    for override in read_overrides(origin.overrides, origin.folders):
        if not override.is_choice and not override.is_deletion:
            yield override.key, parser.parse_override(override.text).value()
