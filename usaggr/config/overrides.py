"""Overrides of a study, such as `training.batch_size=16`: their keys are checked here, their values by Hydra.

Keys are checked against the schema first, so that a misspelled key gets the schema's message and not Hydra's.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from usaggr.config.folders import GROUPS, list_choices
from usaggr.config.messages import explain_unknown_key, is_known, is_list, is_text
from usaggr.errors import ConfigError, explain_unknown_name

_QUOTED_OR_BRACKETED = re.compile(r"""'(\\.|[^'\\])*'|"(\\.|[^"\\])*"|[\[{(].*[)}\]]""")
"""Quotes and brackets: a comma in them does not separate values of a sweep."""
_SWEEPS = ("choice(", "range(", "interval(", "glob(")
"""Functions of Hydra's grammar that give several values."""


@dataclass(frozen=True)
class Override:
    """One override with a key that the schema has."""

    key: str
    """Dotted key, or name of a group."""
    text: str
    """In Hydra's grammar, as it is given to Hydra."""

    @property
    def value(self) -> str:
        """The value as it was typed; empty for a deletion."""
        return self.text.partition("=")[2]

    @property
    def is_choice(self) -> bool:
        """True if it chooses the file of a group, such as `model=tiny`."""
        return self.key in GROUPS

    @property
    def is_deletion(self) -> bool:
        """True if it removes a key, such as `~variants.base`."""
        return self.text.startswith("~")


def read_overrides(texts: Sequence[str], folders: Sequence[Path]) -> list[Override]:
    """Read overrides in Hydra's grammar and check their keys, and the choices of groups.

    Raises:
        ConfigError: A key or a choice that does not exist, or several values for a key that takes one.
    """
    return [_read_override(text, folders) for text in texts]


def quote(text: str) -> str:
    """Return a text as a quoted value of Hydra's grammar."""
    # Hydra reads backslashes literally unless a quote follows them.
    escaped = re.sub(r"(\\*)('|$)", lambda match: 2 * match[1] + (r"\'" if match[2] else ""), text)
    return f"'{escaped}'"


def quote_override(key: str, value: str) -> str:
    """Return an override with a quoted value, as it is typed in a shell.

    >>> print(quote_override("data.root", "my data (new)"))
    "data.root='my data (new)'"
    """
    text = f"{key}={quote(value)}"
    # In double quotes, a shell still replaces these characters.
    return shlex.quote(text) if re.search(r'["$`\\!]', text) else f'"{text}"'


def suggest_quotes(text: str) -> str:
    """Return how to write an override that Hydra cannot read, with quotes around what was typed."""
    key, _, value = text.partition("=")
    if is_text(key):
        return f"put the value in quotes: {quote_override(key, value)}"
    # A frequent cause is a variant without quotes.
    variant = """'variants.slow=["training.learning_rate=1e-3"]'"""
    return f"put text that contains '=' or spaces in quotes, as in {variant}"


def _read_override(text: str, folders: Sequence[Path]) -> Override:
    name, _, value = text.lstrip("+~").partition("=")
    key, at_sign, _ = name.partition("@")
    if not key:
        raise ConfigError(f"'{text}': an override needs a key, as in seeds=[0,1]")
    if key not in GROUPS and not is_known(key):
        raise ConfigError(explain_unknown_key(key))
    if "," in _QUOTED_OR_BRACKETED.sub("", value) or value.startswith(_SWEEPS):
        raise ConfigError(_explain_several_values(key, text))
    if key in GROUPS:
        names = list_choices(key, folders)
        if at_sign or text.startswith(("+", "~")):
            raise ConfigError(f"'{text}': a study always has one {key}, chosen as in {key}={names[0]}")
        if value not in names:
            raise ConfigError(explain_unknown_name(key, value, names))
        return Override(key, text)
    if at_sign:
        raise ConfigError(f"'{text}': '@' is only for groups of files, and {key} is a key")
    # The schema decides which keys there are, so the + of Hydra makes no difference: any key may be added or replaced.
    return Override(key, text if text.startswith("~") else f"++{text.lstrip('+')}")


def _explain_several_values(key: str, text: str) -> str:
    """Return the message for a value that Hydra would read as a sweep of its own."""
    value = text.partition("=")[2]
    if is_text(key):
        return f"{key} takes one text; put it in quotes: {quote_override(key, value)}"
    if not is_list(key):
        return f"{key} takes one value; got '{value}'. To compare several values, use variants"
    items = "..." if value.startswith(_SWEEPS) else value
    return f"{key} must be a list in brackets: {key}=[{items}]; got '{text}'"
