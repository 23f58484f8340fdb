"""Keys of a configuration and their allowed values, read from the JSON schema that pydantic generates.

A node is the JSON schema of one key. A section is a node with fixed keys. `model`, `executor` and `logger` each hold
one of several alternative sections; the value of the key `name` decides which.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel

Node = dict[str, Any]

_LIMIT_WORDS = {
    "minimum": "of at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "multipleOf": "a multiple of",
}
"""Words for each limit of JSON schema. They follow "a number" and precede the limit: "a number above 0"."""


@cache
def read_schema(model: type[BaseModel]) -> Node:
    """Return the JSON schema of a pydantic model, with each reference replaced by its definition."""
    schema = model.model_json_schema()

    # This ends because no section of the configuration contains itself.

    def resolve_references(node: Any) -> Any:
        if isinstance(node, list):
            return [resolve_references(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return resolve_references(schema["$defs"][node["$ref"].rpartition("/")[2]])
        return {name: resolve_references(value) for name, value in node.items() if name != "$defs"}

    resolved: Node = resolve_references(schema)
    return resolved


def list_alternatives(node: Node) -> list[Node]:
    """Return the alternatives of a node, such as text and null; the node itself if it has none."""
    alternatives: list[Node] = node.get("anyOf") or node.get("oneOf") or [node]
    return alternatives


def list_sections(node: Node) -> list[Node]:
    """Return the sections among the alternatives of a node; none if its value is not a mapping with fixed keys."""
    return [alternative for alternative in list_alternatives(node) if "properties" in alternative]


def read_name(section: Node) -> str:
    """Return the `name` that selects a section among alternatives, such as `mh_mtl` for a section of `model`."""
    return str(section["properties"]["name"]["const"])


def list_keys(node: Node) -> dict[str, Node]:
    """Return the keys of all alternative sections of a node."""
    # A key of several sections, such as `name`, appears once, with the node of the last section.
    return {name: key for section in list_sections(node) for name, key in section["properties"].items()}


def walk_keys(node: Node, prefix: str = "") -> Iterator[tuple[str, Node]]:
    """Yield the dotted name and the node of each key under a node, sections included."""
    for section in list_sections(node):
        for name, key in section["properties"].items():
            dotted = f"{prefix}.{name}" if prefix else name
            yield dotted, key
            yield from walk_keys(key, dotted)


def find_node(key: str, schema: Node) -> tuple[Node, str, str]:
    """Follow a dotted key through the schema, as far as its names exist.

    Returns:
        The last node that exists, its dotted key, and the remaining dotted names; "" if the complete key exists.
    """
    node, existing, remaining = schema, list[str](), key.split(".")
    while remaining and remaining[0] in list_keys(node):
        node = list_keys(node)[remaining[0]]
        existing.append(remaining.pop(0))
    return node, ".".join(existing), ".".join(remaining)


def find_entry(node: Node) -> Node | None:
    """Return the node of the values of a mapping whose keys the user chooses, as in `training.task_weights`.

    Other nodes, such as sections, have no such values: the result is None.
    """
    # pydantic generates patternProperties if the keys must match a pattern, else additionalProperties, which holds the
    # node of the values. In a section, additionalProperties is false.
    patterns = list((node.get("patternProperties") or {}).values())
    return patterns[0] if patterns else node.get("additionalProperties") or None


def describe_allowed(node: Node) -> str:
    """Describe the allowed values of a node in words, such as "a whole number of at least 1, or null"."""
    alternatives = list_alternatives(node)
    if len(alternatives) > 1:
        return ", or ".join(map(describe_allowed, alternatives))
    match node:
        case {"const": value} | {"enum": [value]}:
            return f"'{value}'"
        case {"enum": values}:
            return f"one of {', '.join(map(str, values))}"
        case {"properties": keys}:
            return f"a mapping with the keys {', '.join(keys)}"
        case {"type": "array", "items": item}:
            return f"{_describe_list(node)}, each item {describe_allowed(item)}"
        case {"type": "object"}:
            return f"a mapping from names to {describe_allowed(find_entry(node) or {})}"
        case {"type": "integer"}:
            return f"a whole number{_describe_limits(node)}"
        case {"type": "number"}:
            return f"a number{_describe_limits(node)}"
        case {"type": "boolean"}:
            return "true or false"
        case {"type": "null"}:
            return "null"
        case {"pattern": _}:  # all patterns of the schema are NAME_PATTERN
            return "a name of letters, digits, '.', '_' and '-' that begins with a letter or a digit"
        case {"examples": [example, *_]}:
            return f"text such as '{example}'"
    return "non-empty text" if node.get("minLength") else "text"


def _describe_limits(node: Node) -> str:
    limits = " and ".join(f"{words} {node[name]:g}" for name, words in _LIMIT_WORDS.items() if name in node)
    return f" {limits}" if limits else ""


def _describe_list(node: Node) -> str:
    min_items, max_items = node.get("minItems", 0), node.get("maxItems")
    if min_items and min_items == max_items:
        return f"a list of {min_items} items"
    return "a non-empty list" if min_items else "a list"
