"""Base class of the configuration's sections, and which of their keys change results.

Default values are in `conf/`, where users can read them; the schema itself is in study.py and model.py.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from usaggr.config.json_schema import list_sections, read_schema, walk_keys

FINGERPRINTED = ("data", "model", "training", "metrics")
"""Sections whose keys enter a run's fingerprint, except those marked as not affecting results."""


def key(*, affects_results: bool, doc: str, **options: Any) -> Any:
    """Return a field for a key of the configuration; its default value is in `conf/`.

    Args:
        affects_results: Whether the key can change a result. Keys that cannot (paths, device, workers) are left out of
            the fingerprint.
        doc: Description of the key.
        **options: `neutral`, a value with which the key is also left out of the fingerprint, because runs are then the
            same as before the key existed; and limits of pydantic's `Field`, such as `ge=0`.
    """
    # pydantic copies these into the JSON schema, from which they are read below.
    extra: dict[str, Any] = {"affects_results": affects_results}
    if "neutral" in options:
        extra["neutral"] = options.pop("neutral")
    return Field(description=doc, json_schema_extra=extra, **options)


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, and values do not change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def walk_leaf_keys(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, bool | None]]:
    """Yield the dotted name of each key under a section, with its `affects_results`; None if that is not decided."""
    for name, node in walk_keys(read_schema(section), prefix):
        if not list_sections(node):
            yield name, node.get("affects_results")


def list_neutral_values(section: type[BaseModel], prefix: str) -> dict[str, Any]:
    """Return the neutral value of each key under a section that has one (see `key`), by its dotted name."""
    return {name: node["neutral"] for name, node in walk_keys(read_schema(section), prefix) if "neutral" in node}


def get_result_settings(section: Section) -> dict[str, Any]:
    """Return the keys of a section that change results, nested as in the section, ready for JSON; see `key`."""
    properties = read_schema(type(section))["properties"]
    settings: dict[str, Any] = {}
    for name, value in section:
        node = properties[name]
        if isinstance(value, Section):
            settings[name] = get_result_settings(value)
        elif node.get("affects_results") and not ("neutral" in node and value == node["neutral"]):
            settings[name] = value
    return settings
