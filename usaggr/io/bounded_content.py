"""The only parsers of JSON, YAML and CSV: with limits for depth, number of values, digits and repetitions.

Each parser raises `UnusableContentError`, with the reason as its message, for everything that cannot be read. Readers
add the file and the remedy. `tests/test_architecture.py` allows no other call of these libraries.
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from usaggr.io.bounded_files import UnusableContentError

if TYPE_CHECKING:
    from _csv import Reader

    import yaml

MAX_DEPTH = 100
"""Most levels of nested lists and mappings; a study has about ten."""
MAX_VALUES = 2_000_000
"""Default of the most values in a JSON file: about 500 MB of Python objects in the worst case."""
MAX_YAML_VALUES = 200_000
"""Most values in a YAML file, after its aliases are replaced; YAML is about a hundred times slower than JSON."""
MAX_CELL = 2**24
"""Most characters of a cell of a CSV file. A plan lists all tasks of a run in one cell."""
_INTEGERS = range(-(2**63), 2**63)
"""Whole numbers that are read; arrays hold no others."""
_LONG_NUMBER = re.compile(r"\d{19}")
"""A text without such a number holds no integer outside of `_INTEGERS`."""
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
"""The only spelling of a lone surrogate in JSON that was decoded from UTF-8."""
_NUMBER_START = tuple("+-.0123456789")
_LONGEST_NUMBER = 40
"""Most characters of a number in YAML. Python takes minutes for a number like 1:1:1:... with a million parts."""


def parse_json(content: str | bytes, max_values: int = MAX_VALUES, wide_integers: bool = False) -> Any:
    """Return the value in a JSON text.

    Args:
        content: The text; bytes must be UTF-8.
        max_values: Most values in lists and mappings.
        wide_integers: Accept integers of more than 64 bits, up to 4,300 digits, for readers that refuse them by record.

    Raises:
        UnusableContentError: The text is not JSON, or beyond a limit.
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
        # Each value of a list or mapping comes after one of these signs. Signs inside texts count as well.
        openings = text.count("[") + text.count("{")
        if openings + text.count(",") > max_values:
            raise UnusableContentError(f"holds more than {max_values} values")
        value = json.loads(text)
    # RecursionError: brackets that are nested too deeply.
    except RecursionError as error:
        raise UnusableContentError(_make_depth_error()) from error
    except UnusableContentError:
        raise
    except ValueError as error:
        raise UnusableContentError(_join_lines(error)) from error
    if openings > MAX_DEPTH or _LONG_NUMBER.search(text) or _SURROGATE_ESCAPE.search(text):
        _check_values(value, wide_integers)
    return value


def parse_yaml(text: str, aliases: bool = False) -> Any:
    """Return the value in a YAML text without tags of Python; None for an empty text.

    Args:
        text: The text.
        aliases: Accept `&name` and `*name`, which users write. Files of results hold none.

    Raises:
        UnusableContentError: The text is not YAML, or beyond a limit. The cause is PyYAML's error, if there is one.
    """
    import yaml

    # PyYAML's loader in C is much faster, but builds without libyaml lack it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        # Before the values are made, because PyYAML makes them by recursion, in C without any limit.
        _check_events(yaml.parse(text, Loader=loader), aliases)
        value = yaml.load(text, Loader=loader)
    except RecursionError as error:
        raise UnusableContentError(_make_depth_error()) from error
    except UnusableContentError:
        raise
    # PyYAML's constructors raise all of these, as for `2024-13-01`, `!!int x` or a list as a key.
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise UnusableContentError(_join_lines(error)) from error
    _check_values(value)
    return value


def parse_csv(text: str, strict: bool = False, delimiter: str = ",") -> "Reader":
    """Return a reader of the rows of a CSV text, with a limit for the size of a cell.

    Args:
        text: The text; its line ends may be within quoted cells.
        strict: Refuse wrong quotes.
        delimiter: Sign between two cells.
    """
    csv.field_size_limit(MAX_CELL)  # for the whole process; the default of 131,072 is too small for a plan
    return csv.reader(io.StringIO(text, newline=""), strict=strict, delimiter=delimiter)


def parse_csv_table(text: str) -> "csv.DictReader[str]":
    """Return a reader of the rows of a CSV text as mappings, whose keys are in the first row."""
    csv.field_size_limit(MAX_CELL)
    return csv.DictReader(io.StringIO(text, newline=""))


def _check_events(events: "Iterator[yaml.Event]", aliases: bool) -> None:
    """Check the depth, the aliases and the number of values of a YAML text, without making its values.

    Args:
        events: Events of the parser.
        aliases: See `parse_yaml`.

    Raises:
        UnusableContentError: A limit is exceeded.
    """
    import yaml

    sizes: dict[str, int] = {}
    """Number of values of each node with an anchor, after aliases in it are replaced."""
    open_nodes: list[tuple[str | None, int]] = []
    """Anchor of each open list or mapping, and the number of values before it."""
    count = 0
    for event in events:
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = count - before
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        line = event.start_mark.line + 1 if event.start_mark is not None else 0
        if event.anchor is not None and not aliases:
            raise UnusableContentError(f"line {line} holds an anchor or alias ({event.anchor}), which is not read here")
        count += 1
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_nodes):
                raise UnusableContentError(f"line {line}: {event.anchor} contains itself")
            count += sizes.get(event.anchor or "", 0)
        elif isinstance(event, yaml.ScalarEvent):
            _check_number(event, line)
            if event.anchor is not None:
                sizes[event.anchor] = 1
        else:
            open_nodes.append((event.anchor, count))
        if len(open_nodes) > MAX_DEPTH:
            raise UnusableContentError(f"line {line} is {_make_depth_error().removeprefix('is ')}")
        if count > MAX_YAML_VALUES:
            raise UnusableContentError(f"line {line}: holds more than {MAX_YAML_VALUES} values, with those of aliases")


def _check_number(event: "yaml.ScalarEvent", line: int) -> None:
    """Refuse a number of many digits before it is made.

    Raises:
        UnusableContentError: The value is a long number.
    """
    import yaml

    value = event.value
    if len(value) <= _LONGEST_NUMBER or not (value.startswith(_NUMBER_START) or event.tag is not None):
        return
    resolver: Any = yaml.resolver.Resolver()  # the types of PyYAML leave its methods without annotations
    tag = event.tag or resolver.resolve(yaml.ScalarNode, value, event.implicit)
    if tag.endswith((":int", ":float", ":timestamp")):
        raise UnusableContentError(f"line {line} holds a number of {len(value)} characters")


def _check_values(content: object, wide_integers: bool = False) -> None:
    """Check the depth, the integers and the texts of a value; level by level, because recursion has a limit.

    Raises:
        UnusableContentError: It is nested too deeply, or holds an integer of many digits, or text that is not Unicode.
    """
    level, depth = [content], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise UnusableContentError(_make_depth_error())
        next_level: list[object] = []
        for value in level:
            if isinstance(value, str):
                _check_text(value)
            elif isinstance(value, int):
                if not wide_integers and value not in _INTEGERS:
                    raise UnusableContentError("holds a whole number of more than 64 bits")
            elif isinstance(value, dict):
                next_level.extend(value)
                next_level.extend(value.values())
            elif isinstance(value, list | tuple | set):
                next_level.extend(value)
        level = next_level


def _check_text(text: str) -> None:
    """Refuse a text that no file and no terminal can hold.

    Raises:
        UnusableContentError: The text contains half of a surrogate pair.
    """
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UnusableContentError(f"holds text that is not Unicode ({text[:20]!a})") from error


def _make_depth_error() -> str:
    return f"is nested more than {MAX_DEPTH} levels deep"


def _join_lines(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
