"""The tasks of an index.

Types and numbers of classes are read from its rows. Organs, clinical groups and class names come from the index, the
configuration or the catalog of benchmark tasks, in this order.
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
"""Largest number of classes of a segmentation task, because masks are cached with 8 bits."""

_FORBIDDEN = frozenset("/\\;,#:*?\"'<>|=[]{}()$")
"""Characters that task ids must not have: ids become folder names, and are listed in tables and in commands."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """Task, type and number of classes that one row declares."""

    task_id: str
    type: TaskType
    num_classes: int


def parse_declaration(row: IndexRow) -> tuple[Declaration | None, list[Fault]]:
    """Return the declaration of a row and its errors; None if one of the values is not valid."""
    faults: list[Fault] = []
    task_id = row.text("task_id")
    if not task_id:
        faults.append(row.fault("task_id", "task_id", "is empty"))
    elif not task_id[0].isalnum() or not task_id.isprintable() or not _FORBIDDEN.isdisjoint(task_id):
        allowed = "letters, digits, '_', '-', '.' and spaces, and must begin with a letter or digit"
        faults.append(row.fault("task_id", "task_id", f"'{task_id}' is not a valid name: names can have {allowed}"))
    name = row.text("task_name")
    task_type = next((t for t in TASK_TYPES if t == name.lower()), None)
    if task_type is None:
        faults.append(row.fault("task_name", "task_name", f"unknown '{name}'; allowed: {', '.join(TASK_TYPES)}"))
    text = row.text("num_classes")
    num_classes = parse_whole_number(text)
    if problem := _check_number(task_type, num_classes):
        faults.append(row.fault("num_classes", "num_classes", f"'{text}' {problem}"))
    if faults or task_type is None or num_classes is None:
        return None, faults
    return Declaration(task_id, task_type, num_classes), faults


def _check_number(task_type: TaskType | None, num_classes: int | None) -> str:
    """Return why a number of classes is not valid; empty if it is valid."""
    if num_classes is None:
        return "is not a whole number"
    if task_type is None:
        return "" if num_classes >= 1 else "is less than 1"
    least, most = least_classes(task_type), most_classes(task_type)
    if num_classes < least:
        return f"is too few: a {task_type} task has at least {least}"
    if most is not None and num_classes > most:
        return f"is too many: a {task_type} task has {most} (one box)"
    if has_mask_label(task_type) and num_classes > MAX_CLASSES:
        return f"is too many: a segmentation task has at most {MAX_CLASSES} classes"
    return ""


def parse_whole_number(text: str) -> int | None:
    """Parse a whole number, also in the form 2.0 that pandas writes for columns with gaps; None for other texts."""
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if value.is_integer() and abs(value) < 2**53 else None  # beyond, floats are not exact


def collect_tasks(
    declarations: Iterable[tuple[IndexRow, Declaration]], data: DataConfig
) -> tuple[dict[str, Task], list[str]]:
    """Return the tasks by id, sorted, and warnings for the user.

    Raises:
        DataError: Rows of one task contradict each other in its type, number of classes or clinical group.
        ConfigError: The number of names in `data.class_names` differs from a task's number of classes.
    """
    first: dict[str, tuple[IndexRow, Declaration]] = {}
    groups: dict[str, tuple[IndexRow, str]] = {}
    organs: dict[str, set[str]] = defaultdict(set)
    conflicts: dict[tuple[str, str], str] = {}
    for row, declared in declarations:
        task_id = declared.task_id
        first_row, expected = first.setdefault(task_id, (row, declared))
        if expected != declared:
            for column, a, b in (
                ("task_name", expected.type, declared.type),
                ("num_classes", expected.num_classes, declared.num_classes),
            ):
                if a != b:
                    conflicts.setdefault(
                        (task_id, column), _describe_conflict(task_id, column, (first_row, a), (row, b))
                    )
        if text := row.text("organ"):
            organs[task_id].add(text)
        text = row.text("clinical_group")
        if text:
            first_group = groups.setdefault(task_id, (row, text))
            if first_group[1] != text:
                description = _describe_conflict(task_id, "clinical_group", first_group, (row, text))
                conflicts.setdefault((task_id, "clinical_group"), description)
    if conflicts:
        listed = "\n  ".join(conflicts[key] for key in sorted(conflicts))
        contradictions = "1 contradiction" if len(conflicts) == 1 else f"{len(conflicts)} contradictions"
        raise DataError(
            f"the index has {contradictions}; each task has one type, number of classes and group:\n  {listed}"
        )
    # A task whose images show several organs, such as one that classifies organs, has no organ from the index.
    indexed = {
        "organ": {task_id: next(iter(names)) for task_id, names in organs.items() if len(names) == 1},
        "clinical_group": {task_id: text for task_id, (_, text) in groups.items()},
    }
    return _complete_tasks({task_id: first[task_id][1] for task_id in sorted(first)}, indexed, data)


def _describe_conflict(task_id: str, column: str, a: tuple[IndexRow, object], b: tuple[IndexRow, object]) -> str:
    values = (f"{value} ({row.csv_file}, line {row.line})" for row, value in (a, b))
    return f"task {task_id}: {column} is {' and '.join(values)}"


def _complete_tasks(
    declared: Mapping[str, Declaration], indexed: Mapping[str, Mapping[str, str]], data: DataConfig
) -> tuple[dict[str, Task], list[str]]:
    """Return complete tasks, with organ, clinical group and class names, and warnings for the user.

    Args:
        declared: Declaration of each task, by id.
        indexed: Values of the index by column ("organ", "clinical_group") and task id.
        data: Configuration with further values.
    """
    tasks: dict[str, Task] = {}
    without_value: dict[str, list[str]] = defaultdict(list)
    for task_id, task in declared.items():
        in_catalog = CATALOGUE.get(task_id)
        values: dict[str, str] = {}
        for column, configured in (("organ", data.organs), ("clinical_group", data.clinical_groups)):
            from_catalog = getattr(in_catalog, column) if in_catalog else None
            value = indexed[column].get(task_id) or configured.get(task_id) or from_catalog
            if not value:
                without_value[column].append(task_id)
            values[column] = value or task_id
        names = _class_names(task, in_catalog, data)
        tasks[task_id] = Task(task_id, task.type, task.num_classes, values["organ"], values["clinical_group"], names)
    return tasks, [*_warn_without_value(without_value), *_warn_unused_names(tasks, data)]


def _class_names(task: Declaration, in_catalog: Task | None, data: DataConfig) -> tuple[str, ...]:
    """Return the class names of a task, from the configuration, the catalog or numbers.

    Args:
        task: Declaration of the index.
        in_catalog: Task of the same id in the catalog; None if there is none.
        data: Configuration.
    """
    configured = data.class_names.get(task.task_id)
    if configured is not None:
        if len(configured) != task.num_classes:
            raise ConfigError(
                f"data.class_names.{task.task_id}: {len(configured)} names, but the index has num_classes="
                f"{task.num_classes}; give one name per class"
            )
        return tuple(configured)
    # A task of the user may have the id of a benchmark task, but another type or number of classes.
    fits_catalog = in_catalog and (in_catalog.type, in_catalog.num_classes) == (task.type, task.num_classes)
    if data.catalogue_names and in_catalog and fits_catalog:
        return in_catalog.class_names
    return default_class_names(task.type, task.num_classes)


def _warn_without_value(without_value: Mapping[str, list[str]]) -> list[str]:
    keys = {"clinical_group": ("clinical group", "clinical_groups"), "organ": ("organ", "organs")}
    return [
        f"no {name} for {', '.join(without_value[column])}: each of these tasks is a group of its own; give it in the "
        f"index's column {column}, or as data.{key}={{{without_value[column][0]}: ...}} in a file of conf/data"
        for column, (name, key) in keys.items()
        if without_value.get(column)
    ]


def _warn_unused_names(tasks: Mapping[str, Task], data: DataConfig) -> list[str]:
    """Return warnings for configured tasks that the data do not have.

    `data.subject_patterns` is not checked, because the shipped configuration lists tasks of several data sets.
    """
    configured: dict[str, Mapping[str, object]] = {
        "clinical_groups": data.clinical_groups,
        "organs": data.organs,
        "class_names": data.class_names,
    }
    return [
        f"data.{key} names tasks that the data do not have: {', '.join(unknown)}"
        for key, names in configured.items()
        if (unknown := sorted(set(names) - set(tasks)))
    ]
