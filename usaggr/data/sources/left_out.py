"""Files of another layout that are not samples, with the reason for each."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from usaggr.document.display_names import pluralize

_SHOWN = 3
"""Number of files up to which each file of a reason has its own line; of more, so many are examples."""


@dataclass(frozen=True)
class LeftOut:
    """A file, or several files of one kind, that are not in the index."""

    file: str
    """Path of the file, or of an example."""
    reason: str
    """Why it is left out; the same text for all files of one kind."""
    count: int = 1
    """Number of files."""


def count_files(entries: Iterable[LeftOut]) -> int:
    """Return the number of files that are left out."""
    return sum(entry.count for entry in entries)


def list_left_out(entries: Iterable[LeftOut]) -> list[str]:
    """Return lines for the user: one per reason, with examples, or one per file if a reason has few files."""
    by_reason: dict[str, list[LeftOut]] = defaultdict(list)
    for entry in entries:
        by_reason[entry.reason].append(entry)
    lines: list[str] = []
    for reason, group in by_reason.items():
        count = pluralize(count_files(group), "file")
        if len(group) <= _SHOWN and all(entry.count <= 1 for entry in group):
            lines += [f"{entry.file}: {reason}" for entry in group]
        else:
            lines.append(f"{count}: {reason}; such as {', '.join(entry.file for entry in group[:_SHOWN])}")
    return lines
