"""Errors of many rows as a few lines: one for each kind of error in a column of an index file."""

from collections import defaultdict
from collections.abc import Iterable

from usaggr.data.samples import Fault

MAX_EACH = 3
"""Largest number of errors of one kind that are listed one by one."""


def list_fault_groups(faults: Iterable[Fault]) -> list[str]:
    """Return a line for each error; for more than `MAX_EACH` errors of a kind, one line with the first of them.

    Errors are of one kind if they have the same index file, column and `Fault.kind`.
    """
    groups: dict[tuple[str, str, str], list[Fault]] = defaultdict(list)
    for fault in faults:
        groups[fault.csv_file, fault.column, fault.kind].append(fault)
    lines: list[str] = []
    for (csv_file, _, kind), members in groups.items():
        if len(members) <= MAX_EACH:
            lines += [str(fault) for fault in members]
        else:
            last = max(fault.row for fault in members)
            lines.append(
                f"{members[0]}; {len(members) - 1} more errors of this kind ({kind}) up to line {last} of {csv_file} "
                "(usaggr data check --out FILE lists all)"
            )
    return lines
