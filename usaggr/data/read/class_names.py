"""Class names in the index: the column class_names, a JSON list with one name per class or landmark."""

import json
from collections.abc import Iterable, Mapping

from usaggr.data.read.index import IndexRow
from usaggr.errors import DataError
from usaggr.io.bounded_content import parse_json
from usaggr.io.bounded_files import UnusableContentError

COLUMN = "class_names"


def read_class_names(
    rows_of_tasks: Mapping[str, tuple[IndexRow, str]], counts: Mapping[str, int]
) -> dict[str, tuple[str, ...]]:
    """Return the class names of the tasks whose rows have them.

    Args:
        rows_of_tasks: First row with the column, and its text, by task.
        counts: Number of classes or landmarks by task.

    Raises:
        DataError: A text is not a list of that many different names.
    """
    return {
        task_id: _parse_names(row, text, counts[task_id])
        for task_id, (row, text) in rows_of_tasks.items()
        if task_id in counts
    }


def format_class_names(names: Iterable[str]) -> str:
    """Return the text of the column."""
    return json.dumps(list(names), ensure_ascii=False)


def _parse_names(row: IndexRow, text: str, count: int) -> tuple[str, ...]:
    try:
        names = parse_json(text)
    except UnusableContentError:
        names = None
    is_valid = isinstance(names, list) and all(isinstance(name, str) and name.strip() for name in names)
    if not is_valid or len(names) != count or len(set(names)) != count:
        raise DataError(
            f"{row.csv_file}, line {row.line}: {COLUMN} is '{text:.200}'; write {count} different names as a list, "
            'such as ["benign", "malignant"], or leave the column out'
        )
    return tuple(names)
