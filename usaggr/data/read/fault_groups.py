"""Errors of many rows as a few lines: one for each task and kind of error, or for each kind if there are many."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from usaggr.data.read.remedies import describe_with_remedy
from usaggr.data.samples import Fault
from usaggr.io.terminal_text import escape_line

MAX_EACH = 3
"""Largest number of errors of one kind that are listed one by one."""
MAX_LINES = 20
"""Number of lines up to which errors are listed one by one, or by task and kind; more errors are listed by kind."""
MAX_KINDS = 32
"""Largest number of kinds that are listed."""
MAX_FILES = 2
"""Largest number of index files that a line names."""

_HINT = " (usaggr data check --out FILE lists all)"

Key = tuple[str, ...]


def list_fault_groups(faults: Iterable[Fault], with_repair: bool = True) -> list[str]:
    """Return a line for each error or group of errors, with its remedy.

    Errors are listed one by one, and those of more than `MAX_EACH` rows of an index file, task, column and kind in one
    line. If there are more than `MAX_LINES` lines, errors are listed in one line per task and kind; then, if necessary,
    in one line per kind.

    Args:
        faults: The errors.
        with_repair: True if `--fix` has not been tried; lines then describe its repairs, and how to list all errors.
    """
    listed = list(faults)
    lines = _list_groups(listed, _get_column_key, MAX_EACH, with_repair)
    for get_key in (_get_column_key, _get_reason_key, _get_kind_key):
        if len(lines) > MAX_LINES:
            lines = _list_groups(listed, get_key, 1, with_repair)
    if len(lines) > MAX_KINDS:
        lines[MAX_KINDS:] = [f"... and {len(lines) - MAX_KINDS} more kinds{_HINT if with_repair else ''}"]
    return lines


def _get_column_key(fault: Fault) -> Key:
    return fault.csv_file, fault.task_id, fault.column, fault.kind, _get_reason(fault)


def _get_reason_key(fault: Fault) -> Key:
    return fault.kind, _get_reason(fault)


def _get_kind_key(fault: Fault) -> Key:
    return (fault.kind,)


def _get_reason(fault: Fault) -> str:
    """Return the reason why a file is unreadable without its numbers; empty for other kinds, which have one reason."""
    return re.sub(r"[\d.]+", "0", fault.message) if fault.kind == "unreadable_file" else ""


def _list_groups(
    faults: Sequence[Fault], get_key: Callable[[Fault], Key], most_each: int, with_repair: bool
) -> list[str]:
    """Return a line for each group of errors.

    Args:
        faults: All errors.
        get_key: Returns the key that the errors of a group share.
        most_each: Largest number of errors of a group that are listed one by one.
        with_repair: See `list_fault_groups`.
    """
    groups: dict[Key, list[Fault]] = defaultdict(list)
    for fault in faults:
        groups[get_key(fault)].append(fault)
    lines: list[str] = []
    for members in groups.values():
        if len(members) <= most_each:
            lines += [_describe(fault, with_repair) for fault in members]
        else:
            lines.append(_describe_group(members, with_repair))
    return lines


def _describe(fault: Fault, with_repair: bool) -> str:
    return str(fault).removesuffix(escape_line(fault.message)) + escape_line(describe_with_remedy(fault, with_repair))


def _describe_group(members: Sequence[Fault], with_repair: bool) -> str:
    """Return a line with the first error of a group, and where the others are."""
    first, more = members[0], len(members) - 1
    files = list(dict.fromkeys(escape_line(fault.csv_file) for fault in members))
    if len(files) == 1:
        where = f"up to line {max(fault.row for fault in members)} of {files[0]}"
    else:
        further = f" and {len(files) - MAX_FILES} more files" if len(files) > MAX_FILES else ""
        where = f"in {', '.join(files[:MAX_FILES])}{further}"
    noun = "error" if more == 1 else "errors"
    hint = _HINT if with_repair else ""
    return f"{_describe(first, with_repair)}; {more} more {noun} of this kind ({first.kind}) {where}{hint}"
