"""A limit for references between values of a study: ten lines of `${a}${a}` would otherwise fill the memory."""

import re
from collections.abc import Mapping
from typing import Any

from usaggr.errors import ConfigError

MAX_VALUES = 10_000
"""Most values that the references of one value stand for, with the references in those values."""
MAX_CHAIN = 20
"""Most references that follow each other."""
_REFERENCE = re.compile(r"\$\{([^${}]*)\}")
_NESTED = re.compile(r"\$\{[^}]*\$\{")


def check_references(values: Mapping[str, Any]) -> None:
    """Refuse values whose references stand for too many values; references in a circle are left to OmegaConf.

    Args:
        values: Values by dotted key, before references are replaced; a list is one value.

    Raises:
        ConfigError: A limit is exceeded, or the name in a reference is itself a reference.
    """
    texts = {key: str(value) for key, value in values.items() if "${" in str(value)}
    counts: dict[str, int] = {}
    for key in texts:
        if _NESTED.search(texts[key]):
            raise ConfigError(f"{key}: '{texts[key]}' holds a reference inside a reference; write the key itself")
        _count_values(key, values, texts, counts, ())


def _count_values(
    key: str, values: Mapping[str, Any], texts: Mapping[str, str], counts: dict[str, int], chain: tuple[str, ...]
) -> int:
    """Return the number of values that a value stands for.

    Args:
        key: Key of the value.
        values: All values by key.
        texts: Those with references.
        counts: Results by key, which are added to.
        chain: Keys whose references lead to this one.

    Raises:
        ConfigError: A limit is exceeded.
    """
    if key not in texts or key in chain:
        return 1
    if key in counts:
        return counts[key]
    if len(chain) >= MAX_CHAIN:
        raise ConfigError(
            f"{chain[0]}: refers to other keys through more than {MAX_CHAIN} keys; write the value itself"
        )
    count = 1
    for reference in _REFERENCE.findall(texts[key]):
        target = _resolve(reference.strip(), key)
        # A reference to a mapping stands for all of its values.
        for name in [name for name in values if name == target or name.startswith(f"{target}.") or not target]:
            count += _count_values(name, values, texts, counts, (*chain, key))
        if count > MAX_VALUES:
            raise ConfigError(f"{key}: its references stand for more than {MAX_VALUES} values; write the value itself")
    counts[key] = count
    return count


def _resolve(reference: str, key: str) -> str:
    """Return the key that a reference names; leading dots are relative to the mapping around its own key."""
    name = re.sub(r"\[([^\]]*)\]", r".\1", reference).lstrip(".")
    dots = len(reference) - len(reference.lstrip("."))
    if not dots:
        # An item of a list is part of the list's value.
        return name.rstrip(".")
    parents = key.split(".")[:-dots]
    return ".".join([*parents, name]) if name else ".".join(parents)
