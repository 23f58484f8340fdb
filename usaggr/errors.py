"""Errors that a user can fix: one class per kind of error.

A message is one line (a list of errors may follow it) that names the key, file and row, the invalid value, the allowed
values and the remedy. The command line prints it without a traceback and ends with status 2.
"""

import difflib
import re
from collections.abc import Iterable

_LINE_BREAK = re.compile("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
"""Each character at which str.splitlines() splits."""


class UsaggrError(Exception):
    """Base class of errors that a user can fix.

    Each argument is one line of the message. Line breaks inside it come from a stranger's file name or value and become
    escapes, so that no name can add a line of its own.
    """

    def __str__(self) -> str:
        """Return the message: its first line, and the list of errors that may follow it."""
        return "\n".join(escape_line_breaks(str(line)) for line in self.args)


class ConfigError(UsaggrError):
    """The request is invalid: a key, a value, a study or a grouping."""


class DataError(UsaggrError):
    """The data cannot be read, or contradict their index."""


class RunError(UsaggrError):
    """A run cannot continue, or its stored files cannot be used."""


class WriteError(RunError, OSError):
    """A file or folder cannot be written, because its disk is full or its permissions forbid it."""


def explain_unknown_name(name: str, value: object, allowed: Iterable[str]) -> str:
    """Return the message for an unknown name, with the most similar allowed name and all allowed names.

    Args:
        name: Key or option that has the value.
        value: The unknown name.
        allowed: All allowed names.

    >>> explain_unknown_name("model.norm", "grup", ["group", "frozen"])
    "model.norm: unknown 'grup', did you mean 'group'? Allowed: frozen, group"
    """
    names = sorted(allowed)
    similar = difflib.get_close_matches(str(value), names, n=1, cutoff=0.5)
    hint = f", did you mean '{similar[0]}'?" if similar else "."
    return f"{name}: unknown '{value}'{hint} Allowed: {', '.join(names) or 'none'}"


def escape_line_breaks(text: str) -> str:
    r"""Return a text of one line; `usaggr.io.terminal_text` escapes what a terminal would take for commands.

    >>> escape_line_breaks("a\nnote: all is well")
    'a\\nnote: all is well'
    """
    return _LINE_BREAK.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def get_first_line(error: BaseException) -> str:
    r"""Return the first line of an error's message, or the name of its type, for a message of one line.

    >>> get_first_line(ValueError("missing keys:\n  decoder.weight"))
    'missing keys'
    """
    return str(error).strip().partition("\n")[0].rstrip(" :.") or type(error).__name__
