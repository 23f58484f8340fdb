"""The schema of a configuration as JSON schema, which pydantic writes: which keys it has, and which values they take.

A node is the JSON schema of one key. A section is a node with fixed keys. `model`, `executor` and `logger` may hold one
of several sections, which their key `name` tells apart.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel

Node = dict[str, Any]

_LIMITS = {
    "minimum": "of at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "multipleOf": "a multiple of",
}


@cache
def read_schema(model: type[BaseModel]) -> Node:
    """Return the JSON schema of a model, with each reference replaced by its definition."""
    schema = model.model_json_schema()

    def inline(node: Any) -> Any:
        if isinstance(node, list):
            return [inline(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return inline(schema["$defs"][node["$ref"].rpartition("/")[2]])
        return {name: inline(value) for name, value in node.items() if name != "$defs"}

    resolved: Node = inline(schema)
    return resolved


def list_alternatives(node: Node) -> list[Node]:
    """Return the nodes of which a value must match one; the node itself if it has no alternatives."""
    alternatives: list[Node] = node.get("anyOf") or node.get("oneOf") or [node]
    return alternatives


def list_sections(node: Node) -> list[Node]:
    """Return the sections that a key may hold: none, one, or several."""
    return [alternative for alternative in list_alternatives(node) if "properties" in alternative]


def read_name(section: Node) -> str:
    """Return the `name` of one of several sections, such as `mh_mtl`."""
    return str(section["properties"]["name"]["const"])


def list_keys(node: Node) -> dict[str, Node]:
    """Return the keys of all sections that a key may hold."""
    return {name: key for section in list_sections(node) for name, key in section["properties"].items()}


def walk_keys(node: Node, prefix: str = "") -> Iterator[tuple[str, Node]]:
    """Yield the dotted name and the node of each key under a node, sections included."""
    for section in list_sections(node):
        for name, key in section["properties"].items():
            dotted = f"{prefix}.{name}" if prefix else name
            yield dotted, key
            yield from walk_keys(key, dotted)


def find_node(key: str, schema: Node) -> tuple[Node, str, str]:
    """Follow a dotted key as far as the schema has its names.

    Returns:
        The last node, its dotted key, and the names that are left; "" if the schema has the whole key.
    """
    node, parents, names = schema, list[str](), key.split(".")
    while names and names[0] in list_keys(node):
        node = list_keys(node)[names[0]]
        parents.append(names.pop(0))
    return node, ".".join(parents), ".".join(names)


def find_entry(node: Node) -> Node | None:
    """Return the node of a mapping's values if its names are free, as in `training.task_weights`; else None."""
    # pydantic writes patternProperties if the names have a pattern. A section has additionalProperties: false.
    patterns = list((node.get("patternProperties") or {}).values())
    return patterns[0] if patterns else node.get("additionalProperties") or None


def describe_allowed(node: Node) -> str:
    """Describe in words what a value may be, such as "a whole number of at least 1, or null"."""
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
    limits = " and ".join(f"{words} {node[name]:g}" for name, words in _LIMITS.items() if name in node)
    return f" {limits}" if limits else ""


def _describe_list(node: Node) -> str:
    least, most = node.get("minItems", 0), node.get("maxItems")
    if least and least == most:
        return f"a list of {least} items"
    return "a non-empty list" if least else "a list"
