"""Checks of stored files: the version of their schema, the types of their fields, and checksums in result.json.

Every reader of a JSON or YAML file under outputs/ goes through `read_json` or `read_yaml`, then `typed`: what is wrong
with a file is one message that names the file, the key, what was found and what is allowed.

A result holds the SHA-256 of its own content, and of the predictions that it speaks of; results of tools that wrote
none are taken as they are.
"""

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from usaggr.errors import RunError
from usaggr.io.checksums import file_hash

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

ContentT = TypeVar("ContentT")

SCHEMA_VERSION = 1
"""Version of everything under outputs/: a tool refuses what a newer one wrote.

It changes together with the columns of predictions.parquet (`predictions.SCHEMA`). It is part of every fingerprint: a
new version trains all runs again, unless the fingerprint keeps the old number.
"""
OLDEST_VERSION = 1
"""The oldest version that is read. Files of tools that wrote no version are of this one."""

REPEAT = "the same `usaggr sweep` trains the run again"
REMOVE = "remove the run, and the same `usaggr sweep` trains it again"
_OWN, _PREDICTIONS = "sha256", "predictions"
"""Keys of result.json."""


class DamagedError(RunError):
    """A stored result is not what was written; a sweep trains its run again."""


def check_version(path: Path, version: object, newest: int = SCHEMA_VERSION) -> None:
    """Refuse a stored file whose schema this tool does not read.

    Args:
        path: the file, for the message.
        version: its `schema_version`, as found.
        newest: the newest version that is read; SCHEMA_VERSION for everything under outputs/.

    Raises:
        RunError: the version is newer or older than those that are read, or not an integer.
    """
    if not isinstance(version, int) or isinstance(version, bool):
        raise RunError(f"{path}: schema_version is {version!r}, not a whole number; put the file back as it was")
    if version > newest:
        raise RunError(f"{path}: schema_version {version} is newer than this tool's {newest}; update usaggr")
    if version < OLDEST_VERSION:
        raise RunError(
            f"{path}: schema_version {version} is older than any that is read (from {OLDEST_VERSION} to {newest}); "
            "put the file back as it was"
        )


def read_json(
    path: Path, remedy: str, error: type[RunError] = RunError, newest: int = SCHEMA_VERSION
) -> dict[str, Any]:
    """Return the mapping in a JSON file whose version is read; `typed` checks its fields.

    Args:
        path: the file.
        remedy: what the user can do about a damaged file, for the message.
        error: raised for a damaged file.
        newest: see `check_version`.

    Raises:
        RunError: the file cannot be opened, is of another version, or (`error`) is not JSON or no mapping.
    """
    try:
        content = json.loads(_read_text(path, remedy, error))
    except (ValueError, RecursionError) as damage:
        raise _unreadable(path, damage, remedy, error) from damage
    return _as_mapping(path, content, remedy, error, newest)


def read_yaml(path: Path, remedy: str) -> dict[str, Any]:
    """Return the mapping in a YAML file whose version is read; `typed` checks its fields.

    Raises:
        RunError: the file cannot be opened, is of another version, is not YAML, or holds no mapping.
    """
    import yaml

    try:
        content = yaml.load(_read_text(path, remedy, RunError), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as damage:
        raise _unreadable(path, damage, remedy, RunError) from damage
    return _as_mapping(path, content, remedy, RunError, SCHEMA_VERSION)


def typed(
    path: Path, content: dict[str, Any], kind: type[ContentT], remedy: str, error: type[RunError] = RunError
) -> ContentT:
    """Return a file's content as a dataclass, whose annotations say which type each field has.

    Numbers are not made of texts, nor integers of fractions or truth values. Keys that the dataclass lacks are ignored.

    Args:
        path: the file, for the message.
        content: of the file.
        kind: the dataclass.
        remedy: what the user can do about a damaged file, for the message.
        error: raised for a missing field, or one of another type.

    Raises:
        RunError: (`error`) which field is missing or of another type, what was found, and what is allowed.
    """
    from pydantic import ValidationError

    try:
        # As JSON, in which a list can stand for a tuple and a mapping for a dataclass though types are strict.
        found: ContentT = _adapter(cast(Any, kind)).validate_json(json.dumps(content, default=str), strict=True)
    except ValidationError as damage:
        raise error(f"{path}: {_described(damage.errors()[0])}; {remedy}") from damage
    except (TypeError, ValueError, RecursionError) as damage:  # YAML has keys and loops that JSON has not
        raise _unreadable(path, damage, remedy, error) from damage
    return found


def seal(content: dict[str, Any], predictions: Path) -> dict[str, Any]:
    """The content of a result.json with the checksums of the predictions, if there are any, and of itself."""
    if predictions.is_file():
        written = {"bytes": predictions.stat().st_size, "sha256": file_hash(predictions)}
        content = {**content, _PREDICTIONS: written}
    return {**content, _OWN: _of_content(content)}


def unseal(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a result.json without checksums.

    Raises:
        DamagedError: it is not what was written.
    """
    kept = {name: value for name, value in content.items() if name != _OWN}
    if _OWN in content and content[_OWN] != _of_content(kept):
        raise DamagedError(f"{path}: is not what was written (its SHA-256 is another one); {REPEAT}")
    return {name: value for name, value in kept.items() if name != _PREDICTIONS}


def check_predictions(result: Path, predictions: Path, whole: bool = True) -> None:
    """Compare predictions that are there with what their result says of them: by size alone, or as a `whole`.

    Raises:
        RunError: they are not what was written; DamagedError, where their size tells.
    """
    try:
        written = json.loads(result.read_text()).get(_PREDICTIONS)
        if not isinstance(written, dict) or not predictions.is_file():
            return
        if predictions.stat().st_size != written["bytes"]:
            raise DamagedError(f"{predictions}: is not what was written (its size is another one); {REPEAT}")
        if whole and file_hash(predictions) != written["sha256"]:
            raise RunError(f"{predictions}: is not what was written (its SHA-256 is another one); {REMOVE}")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise RunError(f"{predictions}: cannot be read ({error}); {REMOVE}") from error


_ALLOWED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "dataclass_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
}
"""By pydantic's name of a fault: what the field may be."""
_LONGEST = 60
"""Characters of a wrong value in a message."""


@cache
def _adapter(kind: type[Any]) -> "TypeAdapter[Any]":
    """Return the checker of a dataclass. pydantic is imported late: the head of a command line needs none."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _described(fault: "ErrorDetails") -> str:
    """Say what is wrong with a field: `seeds.0 is 'x', not a whole number`."""
    key = ".".join(str(part) for part in fault["loc"]) or "the content"
    if fault["type"] == "missing":
        return f"no {key}"
    if fault["type"] == "literal_error":
        allowed = f"one of {fault['ctx']['expected']}"
    else:
        allowed = _ALLOWED.get(fault["type"]) or fault["msg"].removeprefix("Input should be ")
    value = repr(fault["input"])
    return f"{key} is {value if len(value) <= _LONGEST else f'{value[:_LONGEST]}...'}, not {allowed}"


def _read_text(path: Path, remedy: str, error: type[RunError]) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as refused:
        raise RunError(
            f"{path}: cannot be read ({refused.strerror or refused}); make it readable, or remove it"
        ) from refused
    except UnicodeDecodeError as damage:
        raise _unreadable(path, damage, remedy, error) from damage


def _as_mapping(path: Path, content: object, remedy: str, error: type[RunError], newest: int) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise error(f"{path}: holds {_NAMES.get(type(content), 'no mapping')}, not a mapping; {remedy}")
    check_version(path, content.get("schema_version", OLDEST_VERSION), newest)
    return content


_NAMES = {list: "a list", str: "a text", int: "a number", float: "a number", type(None): "nothing"}


def _unreadable(path: Path, damage: Exception, remedy: str, error: type[RunError]) -> RunError:
    """Return the error of a file that is cut off, or of another format."""
    reason = " ".join(str(damage).split()) or type(damage).__name__
    return error(f"{path}: cannot be read ({reason}); {remedy}")


def _of_content(content: dict[str, Any]) -> str:
    """Of the values, however they are laid out in the file."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def check_names(path: Path, what: str, names: Iterable[object]) -> None:
    """Refuse names that are no part of a file's name in the report, since they would lead elsewhere.

    Raises:
        RunError: one is no name.
    """
    for name in names:
        if not isinstance(name, str) or not name.isprintable() or "/" in name or "\\" in name or name[:1] in ("", "."):
            raise RunError(f"{path}: {what}: {name!r} is no name; it is part of names of files, without '/' and '\\'")
