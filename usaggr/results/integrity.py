"""Checks of stored files: the version of their schema, the types of their fields, and checksums in result.json.

Every reader of a JSON or YAML file under outputs/ calls `read_json` or `read_yaml`, then `parse_content`. An invalid
file leads to one message that names the file, the key, what was found and what is allowed. Limits of size and depth
are those of `usaggr/io/bounded_content.py`.

A result contains the SHA-256 of its own content and of its predictions. Results of versions without checksums are
accepted.
"""

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from usaggr.errors import RunError
from usaggr.io.bounded_content import parse_json, parse_yaml
from usaggr.io.bounded_files import MAX_BYTES, UnusableContentError, read_bounded_text
from usaggr.io.checksums import hash_file

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

ContentT = TypeVar("ContentT")

SCHEMA_VERSION = 1
"""Version of all files under outputs/; files of a newer version are refused.

It changes together with the columns of predictions.parquet (`predictions.SCHEMA`). It is part of every fingerprint, so
that a new version trains all runs again, unless the fingerprint keeps the old number.
"""
OLDEST_VERSION = 1
"""Oldest version that is read; files without a version are of this one."""

REPEAT = "run the same `usaggr sweep` to train the run again"
REMOVE = "remove the run, then run the same `usaggr sweep` to train it again"
_OWN_HASH, _PREDICTIONS = "sha256", "predictions"
"""Keys of result.json that hold checksums."""


class DamagedError(RunError):
    """Error about a stored result that has changed since it was written; a sweep trains its run again."""


def check_version(path: Path, version: object, newest: int = SCHEMA_VERSION) -> None:
    """Refuse a stored file of a version that is not read.

    Args:
        path: the file, for the message.
        version: its `schema_version`.
        newest: the newest version that is read; SCHEMA_VERSION for everything under outputs/.

    Raises:
        RunError: the version is newer or older than those that are read, or not an integer.
    """
    # In Python, True is an int.
    if not isinstance(version, int) or isinstance(version, bool):
        raise RunError(f"{path}: schema_version is {version!r}, not a whole number; restore the file")
    if version > newest:
        raise RunError(f"{path}: schema_version {version} is newer than this tool's {newest}; update usaggr")
    if version < OLDEST_VERSION:
        raise RunError(
            f"{path}: schema_version {version} is older than those that are read ({OLDEST_VERSION} to {newest}); "
            "restore the file"
        )


def read_json(
    path: Path, remedy: str, error: type[RunError] = RunError, newest: int = SCHEMA_VERSION
) -> dict[str, Any]:
    """Return the mapping in a JSON file whose version is read; `parse_content` checks its fields.

    Args:
        path: the file.
        remedy: advice about a damaged file, for the message.
        error: raised for a damaged file.
        newest: see `check_version`.

    Raises:
        RunError: the file cannot be opened, is of another version, or (`error`) is not JSON or no mapping.
    """
    text = read_stored_text(path, remedy, error)
    try:
        content = parse_json(text)
    except UnusableContentError as damage:
        raise _make_unreadable_error(path, damage, remedy, error) from damage
    return _check_mapping(path, content, remedy, error, newest)


def read_yaml(path: Path, remedy: str) -> dict[str, Any]:
    """Return the mapping in a YAML file whose version is read; `parse_content` checks its fields.

    Raises:
        RunError: the file cannot be opened, is of another version, is not YAML, or holds no mapping.
    """
    return parse_stored_yaml(path, read_stored_text(path, remedy), remedy)


def parse_stored_yaml(path: Path, text: str, remedy: str) -> dict[str, Any]:
    """Return the mapping in the text of a YAML file; see `read_yaml`.

    Args:
        path: the file, for the message.
        text: its text, or the part of it that is needed.
        remedy: advice about a damaged file, for the message.

    Raises:
        RunError: it is of another version, is not YAML, or holds no mapping.
    """
    try:
        content = parse_yaml(text)
    except UnusableContentError as damage:
        raise _make_unreadable_error(path, damage, remedy, RunError) from damage
    return _check_mapping(path, content, remedy, RunError, SCHEMA_VERSION)


def parse_content(
    path: Path, content: dict[str, Any], kind: type[ContentT], remedy: str, error: type[RunError] = RunError
) -> ContentT:
    """Return a file's content as a dataclass, whose annotations are the types of its fields.

    Types are strict: text is no number, and a fraction or a boolean is no integer. Keys without a field are ignored.

    Args:
        path: the file, for the message.
        content: content of the file.
        kind: the dataclass.
        remedy: advice about a damaged file, for the message.
        error: raised for a missing field, or one of another type.

    Raises:
        RunError: (`error`) a field is missing or of another type.
    """
    from pydantic import ValidationError

    try:
        # From JSON, strict types still accept a list for a tuple and a mapping for a dataclass.
        parsed: ContentT = _get_adapter(cast(Any, kind)).validate_json(json.dumps(content, default=str), strict=True)
    except ValidationError as damage:
        raise error(f"{path}: {_describe_error(damage.errors()[0])}; {remedy}") from damage
    except (TypeError, ValueError, RecursionError) as damage:  # YAML allows keys and loops that JSON does not
        raise _make_unreadable_error(path, damage, remedy, error) from damage
    return parsed


def add_checksums(content: dict[str, Any], predictions: Path) -> dict[str, Any]:
    """Return the content of a result.json with the checksums of itself and of the predictions, if there are any."""
    if predictions.is_file():
        checksum = {"bytes": predictions.stat().st_size, "sha256": hash_file(predictions)}
        content = {**content, _PREDICTIONS: checksum}
    # The hash covers the checksum of the predictions, so it is computed last.
    return {**content, _OWN_HASH: _hash_content(content)}


def verify_checksums(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a result.json without checksums.

    Raises:
        DamagedError: the content has changed since it was written.
    """
    unsealed = {name: value for name, value in content.items() if name != _OWN_HASH}
    if _OWN_HASH in content and content[_OWN_HASH] != _hash_content(unsealed):
        raise DamagedError(f"{path}: has changed since it was written (its SHA-256 differs); {REPEAT}")
    return {name: value for name, value in unsealed.items() if name != _PREDICTIONS}


def check_predictions(result: Path, predictions: Path, *, check_content: bool = True) -> None:
    """Compare predictions, if there are any, with the size and checksum in their result.

    Args:
        result: path of result.json.
        predictions: path of the predictions.
        check_content: False compares the size alone, which is much faster.

    Raises:
        DamagedError: the size of the predictions has changed.
        RunError: their content has changed, or cannot be read.
    """
    try:
        recorded = parse_json(read_bounded_text(result)).get(_PREDICTIONS)
        if not isinstance(recorded, dict) or not predictions.is_file():
            return
        # The size first: it needs no reading, and it differs for every truncated file.
        if predictions.stat().st_size != recorded["bytes"]:
            raise DamagedError(f"{predictions}: has changed since it was written (its size differs); {REPEAT}")
        if check_content and hash_file(predictions) != recorded["sha256"]:
            raise RunError(f"{predictions}: has changed since it was written (its SHA-256 differs); {REMOVE}")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise RunError(f"{predictions}: cannot be read ({error}); {REMOVE}") from error


_ALLOWED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "dataclass_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
}
"""Allowed content of a field, by pydantic's name of the error."""
_TYPE_NAMES = {list: "a list", str: "text", int: "a number", float: "a number", type(None): "nothing"}
"""Content of a file that is no mapping, in words."""
_MAX_SHOWN = 60
"""Largest number of characters of an invalid value in a message."""


@cache
def _get_adapter(kind: type[Any]) -> "TypeAdapter[Any]":
    """Return the validator of a dataclass. pydantic is imported here, because `--help` must not wait for it."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _describe_error(fault: "ErrorDetails") -> str:
    """Return the error of a field in words: `seeds.0 is 'x', not a whole number`."""
    key = ".".join(str(step) for step in fault["loc"]) or "the content"
    if fault["type"] == "missing":
        return f"no {key}"
    if fault["type"] == "literal_error":
        allowed = f"one of {fault['ctx']['expected']}"
    else:
        allowed = _ALLOWED.get(fault["type"]) or fault["msg"].removeprefix("Input should be ")
    return f"{key} is {shorten(fault['input'])}, not {allowed}"


def shorten(value: object) -> str:
    """Return the beginning of an invalid value for a message."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def read_stored_text(path: Path, remedy: str, error: type[RunError] = RunError, max_bytes: int = MAX_BYTES) -> str:
    """Read a UTF-8 file of results.

    Args:
        path: the file.
        remedy: advice about a damaged file.
        error: raised for a file that is not UTF-8, is too large, or is no regular file.
        max_bytes: largest size.

    Raises:
        RunError: the file cannot be opened, or (`error`) cannot be used.
    """
    try:
        return read_bounded_text(path, max_bytes)
    except OSError as refused:
        raise RunError(
            f"{path}: cannot be read ({refused.strerror or refused}); make it readable, or remove it"
        ) from refused
    except ValueError as damage:  # not UTF-8, too large, a pipe
        raise _make_unreadable_error(path, damage, remedy, error) from damage


def _check_mapping(path: Path, content: object, remedy: str, error: type[RunError], newest: int) -> dict[str, Any]:
    """Return the content of a file, if it is a mapping of a version that is read.

    Args:
        path: the file.
        content: its content.
        remedy: advice about a damaged file.
        error: raised if the content is no mapping.
        newest: newest version that is read.
    """
    if not isinstance(content, dict):
        raise error(f"{path}: holds {_TYPE_NAMES.get(type(content), 'no mapping')}, not a mapping; {remedy}")
    check_version(path, content.get("schema_version", OLDEST_VERSION), newest)
    return content


def _make_unreadable_error(path: Path, damage: Exception, remedy: str, error: type[RunError]) -> RunError:
    """Return the error of a file that is truncated, or of another format.

    Args:
        path: the file.
        damage: error of the parser.
        remedy: advice for the user.
        error: class of the result.
    """
    reason = " ".join(str(damage).split()) or type(damage).__name__
    return error(f"{path}: cannot be read ({reason}); {remedy}")


def _hash_content(content: dict[str, Any]) -> str:
    """Return the hash of a mapping's values, independent of their layout in the file."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def check_names(path: Path, key: str, names: Iterable[object]) -> None:
    """Refuse names that cannot be part of a file name in the report, such as those with a path separator.

    Args:
        path: file that contains the names, for the message.
        key: key of the names, for the message.
        names: the names.

    Raises:
        RunError: a name is invalid.
    """
    for name in names:
        # A leading dot would make a hidden file, or `..`, the parent folder.
        if not isinstance(name, str) or not name.isprintable() or "/" in name or "\\" in name or name[:1] in ("", "."):
            raise RunError(
                f"{path}: {key}: {name!r} is not a valid name; it must be usable in file names, without '/' and '\\'"
            )
