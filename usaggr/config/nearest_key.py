"""Search for the key that was probably meant by an unknown one, for the message about it."""

import difflib

from usaggr.config.json_schema import Node, list_keys, list_sections, walk_keys

_SAME_PLACE = 0.6
"""Smallest similarity (difflib's ratio, 0 to 1) of two names of one section; a typing error changes much of a word."""
_OTHER_PLACE = 0.8
"""Smallest similarity of names of different sections, and of single words, of which there are many more."""
_MIN_WORD_LENGTH = 3
"""Shortest word that is looked for alone, such as the `job` of `max_job`."""


def find_nearest_key(key: str, schema: Node) -> str | None:
    """Return the key that was probably meant, or its section if only that can be decided; None if nothing is similar.

    Each name of the dotted key is corrected within the section of the names before it. A last name that is not there
    may belong to another section, or share a word with a key, as `epochs` with the example of `training.budget`.

    Args:
        key: The unknown dotted key.
        schema: The complete schema.
    """
    section, remaining = _correct_names(key, schema)
    if not remaining:
        return section
    last = remaining[-1]
    # Keys of the corrected section come first; sorted() keeps the schema's order among the others.
    candidates = sorted(walk_keys(schema), key=lambda item: not _is_below(item[0], section))
    names = {other: other.rpartition(".")[2] for other, _ in candidates if not _is_below(key, other)}
    if last in names.values():
        return next(other for other, name in names.items() if name == last)
    if similar := difflib.get_close_matches(last, names.values(), n=1, cutoff=_OTHER_PLACE):
        return next(other for other, name in names.items() if name == similar[0])
    if section or "." not in key:
        sharing = [other for other, node in candidates if _is_below(other, section) and _shares_word(last, other, node)]
        if sharing:
            return max(sharing, key=lambda other: difflib.SequenceMatcher(None, names.get(other, ""), last).ratio())
    is_corrected = section != "" and not _is_below(key, section)
    return section if is_corrected else None


def _correct_names(key: str, schema: Node) -> tuple[str, list[str]]:
    """Replace the names of a dotted key by the most similar ones of the schema, from the first on.

    Returns:
        The corrected key, and the names after it, for which no similar one exists.
    """
    corrected: list[str] = []
    node, remaining = schema, key.split(".")
    while remaining:
        nodes = list_keys(node)
        # Only a section can have further names after it.
        names = [name for name in nodes if len(remaining) == 1 or list_sections(nodes[name])]
        similar = difflib.get_close_matches(remaining[0], names, n=1, cutoff=_SAME_PLACE)
        if not similar:
            break
        node = nodes[similar[0]]
        corrected.append(similar[0])
        remaining.pop(0)
    return ".".join(corrected), remaining


def _is_below(key: str, section: str) -> bool:
    """Return whether a dotted key is in a section or in a section of that; all keys are below ""."""
    return not section or key.startswith(f"{section}.")


def _shares_word(name: str, key: str, node: Node) -> bool:
    """Return whether a name has a word in common with the last name of a key, or with an example of its value.

    Args:
        name: The unknown name, such as `max_job`.
        key: Dotted key of the schema.
        node: Its node.
    """
    words_of_key = [*key.rpartition(".")[2].split("_"), *" ".join(map(str, node.get("examples", []))).split()]
    words = (word for word in name.split("_") if len(word) >= _MIN_WORD_LENGTH)
    return any(difflib.get_close_matches(word, words_of_key, n=1, cutoff=_OTHER_PLACE) for word in words)
