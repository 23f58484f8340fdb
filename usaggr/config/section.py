"""What the sections of the configuration are made of: keys that say whether they change results.

Defaults stand in `conf/`, where users can read them; the schema itself is study.py and model.py.
"""

from collections.abc import Iterator
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field

FINGERPRINTED = ("data", "model", "training", "metrics")
"""Sections whose keys enter a run's fingerprint, but for those marked as not affecting results."""


_NONE = object()
"""Of a key without a neutral value."""


def key(*, affects_results: bool, doc: str, neutral: Any = _NONE, **constraints: Any) -> Any:
    """A key of the configuration without a default in code: defaults stand in `conf/`, where users can read them.

    Keys that cannot change a result (paths, device, workers, logger) are left out of the fingerprint. So is one that
    has its `neutral` value, with which runs are what they were before there was the key: they keep their fingerprints.
    """
    extra: dict[str, Any] = {"affects_results": affects_results}
    if neutral is not _NONE:
        extra["neutral"] = neutral
    return Field(description=doc, json_schema_extra=extra, **constraints)


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, values are fixed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def sections_in(annotation: Any) -> tuple[type[Section], ...]:
    """The sections that a key may hold: none, one, or the several that are told apart by `name`."""
    members = get_args(annotation) if get_origin(annotation) is UnionType else (annotation,)
    return tuple(member for member in members if isinstance(member, type) and issubclass(member, Section))


def leaf_keys(section: type[Section], prefix: str) -> Iterator[tuple[str, bool | None]]:
    """Dotted name of each key under a section, with its `affects_results` (None where nobody decided)."""
    for name, field in section.model_fields.items():
        inner = sections_in(field.annotation)
        for part in inner:
            yield from leaf_keys(part, f"{prefix}.{name}" if prefix else name)
        if not inner:
            extra = field.json_schema_extra
            decided = extra.get("affects_results") if isinstance(extra, dict) else None
            yield f"{prefix}.{name}" if prefix else name, decided if isinstance(decided, bool) else None


def neutral_values(section: type[Section], prefix: str) -> dict[str, Any]:
    """Dotted name of each key under a section that has a neutral value (see `key`), and this value."""
    found: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        dotted = f"{prefix}.{name}" if prefix else name
        for part in sections_in(field.annotation):
            found |= neutral_values(part, dotted)
        extra = field.json_schema_extra
        if isinstance(extra, dict) and "neutral" in extra:
            found[dotted] = extra["neutral"]
    return found


def result_settings(section: Section) -> dict[str, Any]:
    """The keys of a section that change results, nested as in the section, ready for JSON; see `key`."""
    settings: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        value, extra = getattr(section, name), field.json_schema_extra
        if isinstance(value, Section):
            settings[name] = result_settings(value)
        elif isinstance(extra, dict) and extra.get("affects_results") is True and value != extra.get("neutral", _NONE):
            settings[name] = value
    return settings
