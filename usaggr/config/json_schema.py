"""Keys of a configuration and their allowed values, read from the JSON schema that pydantic generates.

A node is the JSON schema of one key. A section is a node whose value is a mapping with fixed keys. The keys `model`,
`executor` and `logger` each have several alternative sections; the key `name` within the value selects one of them.
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
"""Words between "a number" and each limit of JSON schema, as in "a number above 0".

Upper limits and multiples follow a lower limit, as in "of at least 32 and a multiple of 32": every number has one.
"""


@cache
def read_schema(model: type[BaseModel]) -> Node:
    """Return the JSON schema of a pydantic model, with each reference replaced by its definition."""
    schema = model.model_json_schema()

    # The recursion ends because no section of the configuration contains itself.
    def resolve_references(node: Any) -> Any:
        if isinstance(node, list):
            return [resolve_references(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return resolve_references(schema["$defs"][node["$ref"].rpartition("/")[2]])
        return {name: resolve_references(value) for name, value in node.items() if name != "$defs"}

    schema_without_references: Node = resolve_references(schema)
    return schema_without_references


def list_alternatives(node: Node) -> list[Node]:
    """Return the alternatives of a node, such as text and null; only the node itself if it has none."""
    alternatives: list[Node] = node.get("anyOf") or node.get("oneOf") or [node]
    return alternatives


def list_sections(node: Node) -> list[Node]:
    """Return the alternatives of a node that are sections.

    A section without alternatives returns itself. A node that is no section returns an empty list.
    """
    return [alternative for alternative in list_alternatives(node) if "properties" in alternative]


def read_name(section: Node) -> str:
    """Return the value of the key `name` that selects a section, such as `mh_mtl` for a section of `model`."""
    return str(section["properties"]["name"]["const"])


def list_keys(node: Node) -> dict[str, Node]:
    """Return the nodes of all keys of a node's sections, by name.

    If several sections have a key, such as `name`, the last section's node is returned.
    """
    return {name: key_node for section in list_sections(node) for name, key_node in section["properties"].items()}


def walk_keys(node: Node, prefix: str = "") -> Iterator[tuple[str, Node]]:
    """Yield the dotted key and the node of each key below a node, at all depths.

    A key of several sections, such as `model.name`, is yielded once for each of them.

    Args:
        node: Node to begin with; it is not included.
        prefix: Dotted key of `node`; empty for the complete schema.
    """
    for section in list_sections(node):
        for name, key_node in section["properties"].items():
            dotted_key = f"{prefix}.{name}" if prefix else name
            yield dotted_key, key_node
            yield from walk_keys(key_node, dotted_key)


def find_node(key: str, schema: Node) -> tuple[Node, str, str]:
    """Follow a dotted key through the schema, up to the first name that does not exist.

    Returns:
        The last node that exists, its dotted key, and the names that do not exist, joined by dots; empty if the whole
        key exists.
    """
    node = schema
    existing: list[str] = []
    remaining = key.split(".")
    while remaining and remaining[0] in list_keys(node):
        node = list_keys(node)[remaining[0]]
        existing.append(remaining.pop(0))
    return node, ".".join(existing), ".".join(remaining)


def find_value_node(node: Node) -> Node | None:
    """Return the node of the values of a mapping whose keys are free, such as `training.task_weights`.

    Return None for all other nodes, such as sections.
    """
    # pydantic puts this node into patternProperties if the keys must match a pattern, otherwise into
    # additionalProperties, which is false in a section.
    nodes_by_pattern: dict[str, Node] = node.get("patternProperties") or {}
    if nodes_by_pattern:  # pydantic generates one pattern
        return next(iter(nodes_by_pattern.values()))
    return node.get("additionalProperties") or None


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
            return f"a mapping from names to {describe_allowed(find_value_node(node) or {})}"
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
    """Return the limits of a number, such as " above 0 and at most 1" with a space before; empty without limits."""
    limits = " and ".join(f"{words} {node[name]:g}" for name, words in _LIMIT_WORDS.items() if name in node)
    return f" {limits}" if limits else ""


def _describe_list(node: Node) -> str:
    """Describe a list without its items: "a list of 3 items", "a non-empty list" or "a list"."""
    min_items, max_items = node.get("minItems", 0), node.get("maxItems")
    if min_items and min_items == max_items:
        return f"a list of {min_items} items"
    return "a non-empty list" if min_items else "a list"
