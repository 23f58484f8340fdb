"""Messages about an invalid configuration: one line per key, with its file, its value and what is allowed.

What is allowed is read from the schema, so that a message cannot differ from the types and limits in study.py.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from usaggr.config.json_schema import (
    Node,
    describe_allowed,
    find_node,
    find_value_node,
    list_alternatives,
    list_keys,
    list_sections,
    read_name,
    read_schema,
)
from usaggr.config.nearest_key import find_nearest_key
from usaggr.config.study import StudyConfig
from usaggr.errors import escape_line_breaks, explain_unknown_name

_MAX_VALUE_LENGTH = 80
"""Largest number of characters of a value in a message."""
FindSource = Callable[[str], str]
"""Return the file of a dotted key's value, such as " (sweeps/demo.yaml)"; "" for the command line."""


def explain(
    error: ValidationError,
    find_source: FindSource = lambda key: "",
    schema: type[BaseModel] = StudyConfig,
    typed_values: Mapping[str, str] | None = None,
) -> str:
    """Return the message for all errors that pydantic found in a configuration, one line per key.

    Args:
        error: Errors of the validation.
        find_source: Returns the file that a value comes from.
        schema: The class that was validated.
        typed_values: Values of the command line as they were typed, by dotted key; YAML and Hydra read 2024_11 as
            202411.
    """
    lines: dict[str, str] = {}
    for details in error.errors():
        key, node, section = _locate(details["loc"], read_schema(schema))
        if details["type"] == "extra_forbidden":
            line = explain_unknown_key(key, find_source(key), schema, section)
        else:
            line = _explain_value(details, key, node, find_source, typed_values or {})
        lines.setdefault(key, line)  # a union has one error per alternative: the first names them all
    return "\n".join(map(escape_line_breaks, lines.values()))


def explain_unknown_key(
    key: str, file: str = "", schema: type[BaseModel] = StudyConfig, section: Node | None = None
) -> str:
    """Return the message for a key that the schema does not have, with the nearest key and all of its section.

    Args:
        key: Dotted key.
        file: Where it is written, such as " (sweeps/demo.yaml)"; "" for the command line.
        schema: The class that does not have the key.
        section: The section that does not have it, if that is known; its parent may hold one of several.
    """
    root = read_schema(schema)
    parent, _, last = key.rpartition(".")
    if section is None:
        node, parent, _ = find_node(key, root)
        if not list_sections(node):
            return f"{key}{file}: unknown key; {parent} is a value and has no keys of its own"
        names = list(list_keys(node))
    else:
        names = list(section["properties"])
        # `model` holds the section of one network: the key may belong to another one.
        owners = [
            read_name(other) for other in list_sections(find_node(parent, root)[0]) if last in other["properties"]
        ]
        if owners:
            return (
                f"{key}{file} is a key of {', '.join(owners)}, not of {read_name(section)}. "
                f"Allowed in {parent}: {', '.join(names)}"
            )
    nearest = find_nearest_key(key, root)
    hint = f", did you mean '{nearest}'?" if nearest else "."
    return f"{key}{file}: unknown key{hint} Allowed {f'in {parent}' if parent else 'at the top'}: {', '.join(names)}"


def is_known(key: str) -> bool:
    """Return whether the schema has a dotted key, or a mapping with free names that may get it."""
    node, _, missing = find_node(key, read_schema(StudyConfig))
    return not missing or (find_value_node(node) is not None and "." not in missing)


def is_list(key: str) -> bool:
    """Return whether a key of the schema takes a list."""
    node, _, missing = find_node(key, read_schema(StudyConfig))
    return not missing and any(alternative.get("type") == "array" for alternative in list_alternatives(node))


def is_text(key: str) -> bool:
    """Return whether a key of the schema takes any text, such as a path or a name."""
    node, _, missing = find_node(key, read_schema(StudyConfig))
    if missing:
        node = find_value_node(node) or {}
    return any(
        alternative.get("type") == "string" and not {"enum", "const"} & alternative.keys()
        for alternative in list_alternatives(node)
    )


def _explain_value(
    details: ErrorDetails, key: str, node: Node, find_source: FindSource, typed_values: Mapping[str, str]
) -> str:
    """Return the line for a value that is missing or not allowed.

    Args:
        details: The error, from pydantic.
        key: Its dotted key.
        node: Schema of the key.
        find_source: Returns the file that a value comes from.
        typed_values: Values of the command line as they were typed, by dotted key.
    """
    value, where = details["input"], f"{key}{find_source(key)}"
    match details["type"]:
        case "missing":
            return f"{key} is missing; it must be {describe_allowed(node)}"
        case "union_tag_not_found":
            return f"{key}.name is missing; it must be one of {', '.join(map(read_name, list_sections(node)))}"
        case "union_tag_invalid":
            name = f"{key}.name"
            return explain_unknown_name(
                f"{name}{find_source(name)}", details["ctx"]["tag"], map(read_name, list_sections(node))
            )
        case "value_error" if "properties" in node:
            return str(details["ctx"]["error"])  # a check of several keys names the one that is wrong
        case "value_error":
            return f"{where} must be {details['ctx']['error']}; got {_format_value(value)}"
        case "literal_error" if isinstance(value, str) and all(
            isinstance(choice, str) for choice in node.get("enum", [0])
        ):
            return explain_unknown_name(where, value, node["enum"])
        case "string_type" if "examples" not in node and isinstance(value, bool | int | float):
            # YAML and Hydra read a word such as 007 or true as another type.
            remedy = "quotes there" if find_source(key) else f"quotes: {_quote_typed_value(key, value, typed_values)}"
            return f"{where} must be {describe_allowed(node)}; got {_format_value(value)}, which needs {remedy}"
    return f"{where} must be {describe_allowed(node)}; got {_format_value(value)}"


def _quote_typed_value(key: str, value: object, typed_values: Mapping[str, str]) -> str:
    """Return an override whose value Hydra reads as text, in the words that were typed.

    Args:
        key: Dotted key, with the index of an item of a list, such as tasks[0].
        value: Value that was read.
        typed_values: Values of the command line as they were typed, by dotted key.
    """
    list_key, bracket, _ = key.partition("[")
    if not bracket or list_key not in typed_values:
        return f"\"{key}='{typed_values.get(key, _format_value(value))}'\""
    items = (item.strip(" '\"") for item in typed_values[list_key].strip("[] ").split(","))
    return f'"{list_key}=[{",".join(repr(item) for item in items)}]"'


def _locate(loc: Sequence[int | str], schema: Node) -> tuple[str, Node, Node | None]:
    """Find where an error is.

    Returns:
        Its dotted key, the node there, and the section that the key belongs to, if any.
    """
    key, node = "", schema
    section: Node | None = None
    for name in loc:
        alternatives = [alternative for alternative in list_alternatives(node) if alternative.get("type") != "null"]
        if "discriminator" in node:
            # After one of several sections, pydantic puts the section's name into the location.
            node = section = next(option for option in alternatives if read_name(option) == name)
            continue
        if len(alternatives) > 1:
            break  # the names that follow only tell which alternative pydantic tried
        node = alternatives[0]
        if name == "[key]":
            continue
        key = f"{key}[{name}]" if isinstance(name, int) else f"{key}.{name}".lstrip(".")
        section = node if "properties" in node else None
        if isinstance(name, int):
            node = node["items"]
        elif loc[-1] == "[key]" and "patternProperties" in node:
            node = {"pattern": next(iter(node["patternProperties"]))}
        else:
            node = node.get("properties", {}).get(name) or find_value_node(node) or {}
    return key, node, section


def _format_value(value: Any) -> str:
    """Return a value as YAML writes it, shortened to _MAX_VALUE_LENGTH characters."""
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _MAX_VALUE_LENGTH else text[: _MAX_VALUE_LENGTH - 3] + "..."
