"""Ids of tasks: one spelling for each task over all index files and settings, and which ids are allowed."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from usaggr.data.read.index import IndexRow, quote_cell
from usaggr.data.read.spellings import WrittenName, warn_merged
from usaggr.data.read.subject_names import clean_text, normalize_subject
from usaggr.errors import DataError

MAX_BYTES = 120
"""Largest length of a task id in UTF-8: files are named after tasks, and a file's name has at most 255 bytes.

Some disks allow 143 bytes, and suffixes are added."""
_FORBIDDEN = frozenset("/\\;,#:*?\"'<>|=[]{}()$")
"""Characters that task ids must not have: ids become folder names, and are listed in tables and in commands."""

ValueT = TypeVar("ValueT")


def describe_id_problem(task_id: str) -> str:
    """Describe why a task id is not valid; return an empty text if it is valid."""
    if not task_id:
        return "is empty"
    if not normalize_subject(task_id):
        return f"{quote_cell(task_id)} is read as a missing value, not as a name"
    size = len(task_id.encode("utf-8", errors="surrogatepass"))
    if size > MAX_BYTES:
        return f"{quote_cell(task_id)} has {size} bytes in UTF-8; a name can have {MAX_BYTES}, because files get it"
    if not task_id[0].isalnum() or not task_id.isprintable() or not _FORBIDDEN.isdisjoint(task_id):
        allowed = "letters, digits, '_', '-', '.' and spaces, and must begin with a letter or digit"
        return f"{quote_cell(task_id)} is not a valid name: names can have {allowed}"
    return ""


def unify_task_ids(index_rows: Sequence[IndexRow]) -> tuple[list[IndexRow], list[str]]:
    """Give each task the same id in all rows, and return the rows and a warning about merged ids.

    An id with a single spelling stays as it is written, because the ids of finished runs must not change.
    """
    counts: dict[str, dict[WrittenName, int]] = defaultdict(dict)
    for written_name, count in Counter((row.get_text("task_id"), row.csv_file) for row in index_rows).items():
        counts[normalize_subject(written_name[0])][written_name] = count
    counts.pop("", None)
    changed: dict[str, str] = {}
    for name, written_names in counts.items():
        written_ids = {written for written, _ in written_names}
        for written in written_ids:
            if written != name and (len(written_ids) > 1 or not written.isprintable()):
                changed[written] = name
    if not changed:
        return list(index_rows), []
    unified = [
        replace(row, cells={**row.cells, "task_id": changed[written]})
        if (written := row.get_text("task_id")) in changed
        else row
        for row in index_rows
    ]
    return unified, warn_merged("task_id", "tasks", counts)


def check_distinct_ids(task_ids: Iterable[str]) -> None:
    """Check that ids differ in more than letter case.

    Raises:
        DataError: Two ids would be the same file on disks that ignore letter case, as those of macOS and Windows do.
    """
    first: dict[str, str] = {}
    for task_id in sorted(task_ids):
        other = first.setdefault(clean_text(clean_text(task_id).casefold()), task_id)
        if other != task_id:
            raise DataError(
                f"the tasks '{other}' and '{task_id}' differ only in letter case, so files that are named after them "
                "would be the same on many disks; rename one of them, or write it in the same way in all rows"
            )


def check_group_name(column: str, task_id: str, name: str) -> None:
    """Check that an organ or clinical group can be part of a file's name, because blocks of groupings get it.

    Args:
        column: Name of the column.
        task_id: A task with this organ or group.
        name: The normalized name.

    Raises:
        DataError: The name is too long.
    """
    size = len(name.encode("utf-8", errors="surrogatepass"))
    if size > MAX_BYTES:
        raise DataError(
            f"task {task_id}: the {column} {quote_cell(name)} has {size} bytes in UTF-8; a name can have {MAX_BYTES}, "
            "because folders of runs get it"
        )


def find_setting(settings: Mapping[str, ValueT], task_id: str) -> ValueT | None:
    """Return the value that a configuration gives to a task, also if it writes the id in another way."""
    if task_id in settings:
        return settings[task_id]
    name = normalize_subject(task_id)
    return next((value for key, value in settings.items() if normalize_subject(key) == name), None)
