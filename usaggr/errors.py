"""What can go wrong for a user: one class a kind of fault.

The message is one line (a list of faults may follow it) that says which key, file and row, what was found, what is
allowed and what to do. The command line prints it without a traceback and ends with status 2.
"""

import difflib
from collections.abc import Iterable


class UsaggrError(Exception):
    """Base of the faults that a user can mend."""


class ConfigError(UsaggrError):
    """The request is wrong: a key, a value, a study or a grouping."""


class DataError(UsaggrError):
    """The data are not what the index says, or cannot be read."""


class RunError(UsaggrError):
    """A run cannot go on, or what is stored of it cannot be used."""


class WriteError(RunError, OSError):
    """A file or folder cannot be written: its disk is full, or it is not to be written to."""


def one_of(what: str, found: object, allowed: Iterable[str]) -> str:
    """Message for an unknown name: what it is, the nearest known one, and all that are allowed.

    >>> one_of("model.norm", "grup", ["group", "frozen"])
    "model.norm: unknown 'grup', did you mean 'group'? Allowed: frozen, group"
    """
    names = sorted(allowed)
    near = difflib.get_close_matches(str(found), names, n=1, cutoff=0.5)
    hint = f", did you mean '{near[0]}'?" if near else "."
    return f"{what}: unknown '{found}'{hint} Allowed: {', '.join(names) or 'none'}"
