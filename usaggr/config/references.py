"""Limits for references between values of a study.

OmegaConf replaces a reference `${key}` by the value of the key. Without limits, a few lines that each refer twice to
the line before, such as `b: ${a}${a}`, would fill the memory.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from usaggr.errors import ConfigError

MAX_VALUES = 10_000
"""Maximum number of values that one value stands for: itself, and those of all references that it leads to."""
MAX_CHAIN = 20
"""Maximum number of keys that lead to each other by references; it limits the recursion of this check."""
_REFERENCE = re.compile(r"\$\{([^${}]*)\}")
"""One reference; its group is the text between the braces."""
_NESTED = re.compile(r"\$\{[^}]*\$\{")
"""The beginning of a reference inside another one, such as `${${a}}`."""


def check_references(values: Mapping[str, Any]) -> None:
    """Refuse values whose references stand for too many values.

    References that lead back to their own key are accepted, because OmegaConf reports them.

    Args:
        values: Values by dotted key, before references are replaced; a list is one value.

    Raises:
        ConfigError: A limit is exceeded, or the name in a reference is itself a reference.
    """
    texts = {key: str(value) for key, value in values.items() if "${" in str(value)}
    sizes: dict[str, _Size] = {}
    for key, text in texts.items():
        if _NESTED.search(text):
            raise ConfigError(f"{key}: '{text}' holds a reference inside a reference; write the key itself")
        _measure(key, values, texts, sizes, ())


class _Size(NamedTuple):
    """Size of what the value of a key stands for."""

    values: int
    """Number of values, itself included."""
    chain: int
    """Number of keys with references on the longest way from this key, itself included."""


def _measure(
    key: str, values: Mapping[str, Any], texts: Mapping[str, str], sizes: dict[str, _Size], chain: tuple[str, ...]
) -> _Size:
    """Return the size of what the value of a key stands for.

    Args:
        key: Key of the value.
        values: All values by key.
        texts: Texts of the values with references, by key.
        sizes: Results of earlier calls by key; the result of this call is added.
        chain: Keys whose references led to this key, in their order.

    Raises:
        ConfigError: A limit is exceeded.
    """
    if key not in texts or key in chain:
        return _Size(1, 0)
    # An earlier result counts with its own chain, so that the order of the keys makes no difference.
    if len(chain) + (sizes[key].chain if key in sizes else 1) > MAX_CHAIN:
        raise ConfigError(
            f"{(*chain, key)[0]}: refers to other keys through more than {MAX_CHAIN} keys; write the value itself"
        )
    if key in sizes:
        return sizes[key]
    count, longest = 1, 0
    for reference in _REFERENCE.findall(texts[key]):
        for target_key in _list_target_keys(_find_absolute_key(reference.strip(), key), values):
            size = _measure(target_key, values, texts, sizes, (*chain, key))
            count, longest = count + size.values, max(longest, size.chain)
        if count > MAX_VALUES:
            raise ConfigError(f"{key}: its references stand for more than {MAX_VALUES} values; write the value itself")
    sizes[key] = _Size(count, longest + 1)
    return sizes[key]


def _list_target_keys(target: str, values: Mapping[str, Any]) -> list[str]:
    """Return the keys of all values that a reference to `target` stands for; empty if there are none.

    A reference to a mapping stands for all of its values, and "" for those of the complete study. A reference to an
    item of a list, such as `seeds.0`, counts as one to the list.
    """
    keys = [key for key in values if not target or key == target or key.startswith(f"{target}.")]
    while not keys and "." in target:
        target = target.rpartition(".")[0]
        keys = [target] if target in values else []
    return keys


def _find_absolute_key(reference: str, key: str) -> str:
    """Return the dotted key that a reference names, such as `data.cache` for `data[cache]`; "" for the complete study.

    Args:
        reference: Text between the braces. As in OmegaConf, one leading dot stands for the mapping that holds `key`,
            and each further dot for the mapping around that.
        key: Key of the value with the reference.
    """
    name = re.sub(r"\[([^\]]*)\]", r".\1", reference).lstrip(".")
    dots = len(reference) - len(reference.lstrip("."))
    if not dots:
        return name.rstrip(".")
    parents = key.split(".")[:-dots]
    return ".".join([*parents, name]) if name else ".".join(parents)
