"""Base class of the configuration's sections, and which of their keys change results.

Default values are in `conf/`, where users can read them; the schema itself is in study.py and model.py.
"""

from collections.abc import Iterator
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

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
    extra: dict[str, Any] = {"affects_results": affects_results}
    if "neutral" in options:
        extra["neutral"] = options.pop("neutral")
    return Field(description=doc, json_schema_extra=extra, **options)


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, and values do not change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def sections_in(annotation: Any) -> tuple[type[Section], ...]:
    """Return the sections that a key may hold: none, one, or several with different `name`."""
    members = get_args(annotation) if get_origin(annotation) is UnionType else (annotation,)
    return tuple(member for member in members if isinstance(member, type) and issubclass(member, Section))


def leaf_keys(section: type[Section], prefix: str) -> Iterator[tuple[str, bool | None]]:
    """Yield the dotted name of each key under a section, with its `affects_results`; None if that is not decided."""
    for name, field in section.model_fields.items():
        dotted = f"{prefix}.{name}" if prefix else name
        inner = sections_in(field.annotation)
        for section_of_key in inner:
            yield from leaf_keys(section_of_key, dotted)
        if not inner:
            yield dotted, _extra(field).get("affects_results")


def neutral_values(section: type[Section], prefix: str) -> dict[str, Any]:
    """Return the neutral value of each key under a section that has one (see `key`), by its dotted name."""
    neutral: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        dotted = f"{prefix}.{name}" if prefix else name
        for section_of_key in sections_in(field.annotation):
            neutral |= neutral_values(section_of_key, dotted)
        if "neutral" in _extra(field):
            neutral[dotted] = _extra(field)["neutral"]
    return neutral


def result_settings(section: Section) -> dict[str, Any]:
    """Return the keys of a section that change results, nested as in the section, ready for JSON; see `key`."""
    settings: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        value, extra = getattr(section, name), _extra(field)
        if isinstance(value, Section):
            settings[name] = result_settings(value)
        elif extra.get("affects_results") and not ("neutral" in extra and value == extra["neutral"]):
            settings[name] = value
    return settings


def _extra(field: FieldInfo) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
