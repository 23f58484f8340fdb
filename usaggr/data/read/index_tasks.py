"""The tasks that an index speaks of: type and classes from its rows, the rest from the index, the configuration or the
catalogue, in this order.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from usaggr.config.study import DataConfig
from usaggr.data.read.index import IndexRow
from usaggr.data.samples import Fault
from usaggr.errors import ConfigError, DataError
from usaggr.tasks import (
    CATALOGUE,
    TASK_TYPES,
    Task,
    TaskType,
    default_class_names,
    has_mask_label,
    least_classes,
    most_classes,
)

MAX_CLASSES = 255
"""Of a segmentation: masks are cached with 8 bits."""

_FORBIDDEN = frozenset("/\\;,#:*?\"'<>|=[]{}()$")
"""In task ids, which become names of folders and are listed in tables and on the command line."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What one row says of its task, if it is possible."""

    task_id: str
    type: TaskType
    num_classes: int


def declaration_of(row: IndexRow) -> tuple[Declaration | None, list[Fault]]:
    """A row's task, type and number of classes; None with the faults, where one of them is not possible."""
    faults: list[Fault] = []
    task_id = row.text("task_id")
    if not task_id:
        faults.append(row.fault("task_id", "task_id", "is empty"))
    elif not task_id[0].isalnum() or not task_id.isprintable() or not _FORBIDDEN.isdisjoint(task_id):
        faults.append(
            row.fault("task_id", "task_id", f"'{task_id}' is no name: letters, digits, '_', '-', '.' and blanks")
        )
    name = row.text("task_name")
    task_type = next((t for t in TASK_TYPES if t == name.lower()), None)
    if task_type is None:
        faults.append(row.fault("task_name", "task_name", f"unknown '{name}'; allowed: {', '.join(TASK_TYPES)}"))
    text = row.text("num_classes")
    num_classes = whole_number(text)
    if wrong := _wrong_number(task_type, num_classes):
        faults.append(row.fault("num_classes", "num_classes", f"'{text}' {wrong}"))
    if faults or task_type is None or num_classes is None:
        return None, faults
    return Declaration(task_id, task_type, num_classes), faults


def _wrong_number(task_type: TaskType | None, num_classes: int | None) -> str:
    """What is wrong with a number of classes; empty where nothing is."""
    if num_classes is None:
        return "is not a whole number"
    if task_type is None:
        return "" if num_classes >= 1 else "is less than 1"
    least, most = least_classes(task_type), most_classes(task_type)
    if num_classes < least:
        return f"is too few: a {task_type} task has {least} at least"
    if most is not None and num_classes > most:
        return f"does not make a {task_type} task, which has {most} (one box)"
    if has_mask_label(task_type) and num_classes > MAX_CLASSES:
        return f"is more than the {MAX_CLASSES} classes that a segmentation task can have"
    return ""


def whole_number(text: str) -> int | None:
    """A whole number, also as table programs write it in a column with gaps (2.0); None for anything else."""
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if value.is_integer() and abs(value) < 2**53 else None


def declared_tasks(rows: Iterable[tuple[IndexRow, Declaration]], data: DataConfig) -> tuple[dict[str, Task], list[str]]:
    """Tasks by id, sorted, with what a user should know of them.

    Raises:
        DataError: rows of one task contradict each other on its type, classes or clinical group.
        ConfigError: data.class_names gives a task another number of names than it has classes.
    """
    first: dict[str, tuple[IndexRow, Declaration]] = {}
    groups: dict[str, tuple[IndexRow, str]] = {}
    organs: dict[str, set[str]] = defaultdict(set)
    conflicts: dict[tuple[str, str], str] = {}
    for row, declared in rows:
        task_id = declared.task_id
        kept_row, kept = first.setdefault(task_id, (row, declared))
        if kept != declared:
            for what, a, b in (
                ("task_name", kept.type, declared.type),
                ("num_classes", kept.num_classes, declared.num_classes),
            ):
                if a != b:
                    conflicts.setdefault((task_id, what), _conflict(task_id, what, (kept_row, a), (row, b)))
        if text := row.text("organ"):
            organs[task_id].add(text)
        text = row.text("clinical_group")
        if text and (given := groups.setdefault(task_id, (row, text)))[1] != text:
            conflicts.setdefault((task_id, "clinical_group"), _conflict(task_id, "clinical_group", given, (row, text)))
    if conflicts:
        listed = "\n  ".join(conflicts[key] for key in sorted(conflicts))
        raise DataError(f"the index contradicts itself on {len(conflicts)} point(s); mend it:\n  {listed}")
    # Images of several organs in one task (a task that tells organs apart) say nothing of the task as a whole.
    indexed = {
        "organ": {task_id: next(iter(names)) for task_id, names in organs.items() if len(names) == 1},
        "clinical_group": {task_id: text for task_id, (_, text) in groups.items()},
    }
    return _completed({task_id: first[task_id][1] for task_id in sorted(first)}, indexed, data)


def _conflict(task_id: str, column: str, a: tuple[IndexRow, object], b: tuple[IndexRow, object]) -> str:
    places = (f"{value} ({row.csv_file}, line {row.line})" for row, value in (a, b))
    return f"task {task_id}: {column} is {' and '.join(places)}"


def _completed(
    declared: Mapping[str, Declaration], indexed: Mapping[str, Mapping[str, str]], data: DataConfig
) -> tuple[dict[str, Task], list[str]]:
    tasks: dict[str, Task] = {}
    lacking: dict[str, list[str]] = defaultdict(list)
    for task_id, task in declared.items():
        known = CATALOGUE.get(task_id)
        found: dict[str, str] = {}
        for what, given in (("organ", data.organs), ("clinical_group", data.clinical_groups)):
            value = indexed[what].get(task_id) or given.get(task_id) or (known and getattr(known, what))
            if not value:
                lacking[what].append(task_id)
            found[what] = value or task_id
        names = _class_names(task, known, data)
        tasks[task_id] = Task(task_id, task.type, task.num_classes, found["organ"], found["clinical_group"], names)
    return tasks, [*_lacking_warnings(lacking), *_unused_warnings(tasks, data)]


def _class_names(task: Declaration, known: Task | None, data: DataConfig) -> tuple[str, ...]:
    given = data.class_names.get(task.task_id)
    if given is not None:
        if len(given) != task.num_classes:
            raise ConfigError(
                f"data.class_names.{task.task_id}: {len(given)} names for num_classes={task.num_classes} of the index"
            )
        return tuple(given)
    if data.catalogue_names and known and (known.type, known.num_classes) == (task.type, task.num_classes):
        return known.class_names
    return default_class_names(task.type, task.num_classes)


def _lacking_warnings(lacking: Mapping[str, list[str]]) -> list[str]:
    keys = {"clinical_group": ("clinical group", "clinical_groups"), "organ": ("organ", "organs")}
    return [
        f"no {what} known of {', '.join(lacking[column])}: each stands for itself; give it in the index's column "
        f"{column}, or as data.{key}={{{lacking[column][0]}: ...}} in a file of conf/data"
        for column, (what, key) in keys.items()
        if lacking.get(column)
    ]


def _unused_warnings(tasks: Mapping[str, Task], data: DataConfig) -> list[str]:
    """Names that the data do not have; data.subject_patterns is left out, since shipped files name tasks at large."""
    given: dict[str, Mapping[str, object]] = {
        "clinical_groups": data.clinical_groups,
        "organs": data.organs,
        "class_names": data.class_names,
    }
    return [
        f"data.{key} names tasks that the data do not have: {', '.join(unknown)}"
        for key, names in given.items()
        if (unknown := sorted(set(names) - set(tasks)))
    ]
