"""Search for the key that a user probably meant by an unknown key, for the hint "did you mean ...?" of a message."""

import difflib
import re

from usaggr.config.json_schema import Node, find_value_node, list_keys, list_sections, walk_keys

_SAME_SECTION_CUTOFF = 0.6
"""Similarity (difflib's ratio, 0 to 1) from which a name is a misspelling of another name of the same section.

It is low, because a section has few names, and a few wrong letters are a large share of a short name.
"""
_ANY_SECTION_CUTOFF = 0.8
"""The same for names of all sections and for single words.

It is higher, because with so many candidates a weaker similarity is often chance.
"""
_MIN_WORD_LENGTH = 3
"""Smallest length of a word that is compared by itself, such as `job` in `max_job`."""


def find_nearest_key(key: str, schema: Node) -> str | None:
    """Return the key that was probably meant.

    A key without a dot whose letters and digits are those of a dotted key is found first, such as `reportmargin` or
    `report-margin`. Otherwise, the names of the dotted key are
    corrected from left to right, each among the keys of the section so far. A last name without a similar key there is
    searched in the other sections. Then a key of the corrected section is taken that has a similar word in its name or
    example: `epochs` gives `training.budget`, whose example is "20 epochs". If only the section can be found, it is
    returned if its name was misspelled. Otherwise the result is None.

    Args:
        key: The unknown dotted key.
        schema: The complete schema.
    """
    if "." not in key:
        by_letters = {_join_letters(candidate): candidate for candidate, _ in walk_keys(schema) if "." in candidate}
        if _join_letters(key) in by_letters:
            return by_letters[_join_letters(key)]
    corrected, remaining = _correct_names(key, schema)
    if not remaining:
        return corrected
    last_name = remaining[-1]
    # Keys of the corrected section come first. sorted() is stable, so both groups keep the schema's order.
    candidates = sorted(walk_keys(schema), key=lambda item: not _is_below(item[0], corrected))
    # Sections that contain the unknown key are left out: the message lists their keys anyway.
    names = {candidate: candidate.rpartition(".")[2] for candidate, _ in candidates if not _is_below(key, candidate)}
    similar_names = difflib.get_close_matches(last_name, names.values(), n=1, cutoff=_ANY_SECTION_CUTOFF)
    if similar_names:
        return next(candidate for candidate, name in names.items() if name == similar_names[0])
    # In an unknown section, a common word is chance.
    if corrected or "." not in key:
        keys_with_word = [
            candidate
            for candidate, node in candidates
            if _is_below(candidate, corrected) and _has_similar_word(last_name, candidate, node)
        ]
        if keys_with_word:
            return max(
                keys_with_word,
                key=lambda candidate: difflib.SequenceMatcher(None, names.get(candidate, ""), last_name).ratio(),
            )
    is_corrected = corrected != "" and not _is_below(key, corrected)
    return corrected if is_corrected else None


def _correct_names(key: str, schema: Node) -> tuple[str, list[str]]:
    """Replace the names of a dotted key, from left to right, with the most similar names of the schema.

    A name that the user chooses, such as a task of `training.task_weights`, stays as it is.

    Returns:
        The corrected key, and the remaining names: the first one without a similar name, and all after it.
    """
    corrected: list[str] = []
    node, remaining = schema, key.split(".")
    while remaining:
        value_node = find_value_node(node)
        if value_node is not None:
            corrected.append(remaining.pop(0))
            node = value_node
            continue
        nodes = list_keys(node)
        # Only a section or a mapping with free keys can have further names after it.
        names = [
            name for name in nodes if len(remaining) == 1 or list_sections(nodes[name]) or find_value_node(nodes[name])
        ]
        similar_names = difflib.get_close_matches(remaining[0], names, n=1, cutoff=_SAME_SECTION_CUTOFF)
        if not similar_names:
            break
        node = nodes[similar_names[0]]
        corrected.append(similar_names[0])
        remaining.pop(0)
    return ".".join(corrected), remaining


def _join_letters(key: str) -> str:
    """Return the letters and digits of a key, in lower case."""
    return re.sub(r"[\W_]", "", key).lower()


def _is_below(key: str, section: str) -> bool:
    """Return whether a dotted key is in a section, at any depth; every key is in the section ""."""
    return not section or key.startswith(f"{section}.")


def _has_similar_word(name: str, key: str, node: Node) -> bool:
    """Return whether a word of a name is similar to a word in the last name of a key or in an example of its value.

    Args:
        name: The unknown name, such as `max_job`.
        key: Dotted key of the schema.
        node: Schema of `key`.
    """
    words_of_key = [*key.rpartition(".")[2].split("_"), *" ".join(map(str, node.get("examples", []))).split()]
    words = (word for word in name.split("_") if len(word) >= _MIN_WORD_LENGTH)
    return any(difflib.get_close_matches(word, words_of_key, n=1, cutoff=_ANY_SECTION_CUTOFF) for word in words)
