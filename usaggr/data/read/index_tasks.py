"""The tasks of an index.

Types and numbers of classes come from the rows of the index. Organs and clinical groups come from the index, the
configuration or the catalog of benchmark tasks, in this order; class names from the configuration or the catalog.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from usaggr.config.study import DataConfig
from usaggr.data.read import class_names
from usaggr.data.read.index import IndexRow, quote_cell
from usaggr.data.read.spellings import Spellings
from usaggr.data.read.subject_names import normalize_subject
from usaggr.data.read.task_ids import check_distinct_ids, check_group_name, describe_id_problem, find_setting
from usaggr.data.samples import Fault
from usaggr.errors import ConfigError, DataError
from usaggr.tasks import (
    CATALOGUE,
    TASK_TYPES,
    Task,
    TaskType,
    get_least_classes,
    get_most_classes,
    has_mask_label,
    make_default_class_names,
)

MAX_CLASSES = 255
"""Largest number of classes of a segmentation task, because masks are cached with 8 bits."""

MAX_LABEL_CLASSES = 10_000
"""Largest number of classes of a classification task, and of landmarks."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """Task, type and number of classes that one row declares."""

    task_id: str
    type: TaskType
    num_classes: int


def parse_declaration(row: IndexRow) -> tuple[Declaration | None, list[Fault]]:
    """Return the declaration of a row and its errors; None if one of the values is not valid."""
    faults: list[Fault] = []
    task_id = row.get_text("task_id")
    if problem := describe_id_problem(task_id):
        faults.append(row.make_fault("task_id", "task_id", problem))
    name = row.get_text("task_name")
    task_type = next((t for t in TASK_TYPES if t == name.lower()), None)
    if task_type is None:
        message = f"unknown {quote_cell(name)}; allowed: {', '.join(TASK_TYPES)}"
        faults.append(row.make_fault("task_name", "task_name", message))
    text = row.get_text("num_classes")
    num_classes = parse_integer(text)
    if problem := _describe_count_problem(task_type, num_classes):
        faults.append(row.make_fault("num_classes", "num_classes", f"{quote_cell(text)} {problem}"))
    if faults or task_type is None or num_classes is None:
        return None, faults
    return Declaration(task_id, task_type, num_classes), faults


def _describe_count_problem(task_type: TaskType | None, num_classes: int | None) -> str:
    """Describe why a number of classes is not valid; return an empty text if it is valid."""
    if num_classes is None:
        return "is not a whole number"
    if task_type is None:
        return "" if num_classes >= 1 else "is less than 1"
    minimum, maximum = get_least_classes(task_type), get_most_classes(task_type)
    if num_classes < minimum:
        return f"is too few: a {task_type} task has at least {minimum}"
    if maximum is not None and num_classes > maximum:
        return f"is too many: a {task_type} task has {maximum} (one box)"
    if has_mask_label(task_type) and num_classes > MAX_CLASSES:
        return f"is too many: a segmentation task has at most {MAX_CLASSES} classes"
    if num_classes > MAX_LABEL_CLASSES:
        return f"is too many: a task has at most {MAX_LABEL_CLASSES} classes or landmarks"
    return ""


def parse_integer(text: str) -> int | None:
    """Parse an integer, also as pandas writes it in a column with empty cells (2.0); return None for other texts."""
    try:
        value = float(text)
    except ValueError:
        return None
    # From 2**53 on, floats cannot represent every integer.
    return int(value) if value.is_integer() and abs(value) < 2**53 else None


def collect_tasks(
    declarations: Iterable[tuple[IndexRow, Declaration]], data: DataConfig
) -> tuple[dict[str, Task], list[str]]:
    """Combine the declarations of all rows into tasks, and complete them with organs, clinical groups and names.

    Args:
        declarations: Rows with their declarations.
        data: Configuration with organs, clinical groups and class names.

    Returns:
        The tasks by id, in the order of ids, and warnings for the user.

    Raises:
        DataError: Rows of one task contradict each other in its type, number of classes, names or clinical group.
            Or the name of an organ or clinical group is too long.
        ConfigError: The number of names in `data.class_names` differs from a task's number of classes.
    """
    first: dict[str, tuple[IndexRow, Declaration]] = {}
    groups: dict[str, tuple[IndexRow, str]] = {}
    organs: dict[str, set[str]] = defaultdict(set)
    names: dict[str, tuple[IndexRow, str]] = {}
    spellings = {
        "organ": Spellings("organ", "organs"),
        "clinical_group": Spellings("clinical_group", "clinical groups"),
    }
    conflicts = _Conflicts()
    for row, declared in declarations:
        task_id = declared.task_id
        first_row, expected = first.setdefault(task_id, (row, declared))
        conflicts.compare(task_id, "task_name", (first_row, expected.type), (row, declared.type))
        conflicts.compare(task_id, "num_classes", (first_row, expected.num_classes), (row, declared.num_classes))
        if group := spellings["clinical_group"].add(row.get_text("clinical_group"), row.csv_file):
            conflicts.compare(task_id, "clinical_group", groups.setdefault(task_id, (row, group)), (row, group))
        if organ := spellings["organ"].add(row.get_text("organ"), row.csv_file):
            organs[task_id].add(organ)
        if text := row.get_text(class_names.COLUMN):
            conflicts.compare(task_id, class_names.COLUMN, names.setdefault(task_id, (row, text)), (row, text))
    conflicts.check()
    check_distinct_ids(first)
    # A task whose images show several organs, such as one that classifies organs, has no organ from the index.
    indexed = {
        "organ": {task_id: next(iter(names)) for task_id, names in organs.items() if len(names) == 1},
        "clinical_group": {task_id: group for task_id, (_, group) in groups.items()},
    }
    declared_tasks = {task_id: first[task_id][1] for task_id in sorted(first)}
    counts = {task_id: task.num_classes for task_id, task in declared_tasks.items()}
    return _complete_tasks(declared_tasks, indexed, class_names.read_class_names(names, counts), spellings, data)


@dataclass
class _Conflicts:
    """Contradictions between rows of the same task; only the first one of each task and column is described."""

    messages: dict[tuple[str, str], str] = field(default_factory=dict)
    """Descriptions by task and column."""

    def compare(
        self, task_id: str, column: str, first: tuple[IndexRow, object], other: tuple[IndexRow, object]
    ) -> None:
        """Compare the values of two rows, and describe the contradiction if they differ.

        Args:
            task_id: Task of both rows.
            column: Column of the values, for the description.
            first: First row of the task that has a value, and its value.
            other: Another row of the task, and its value.
        """
        if first[1] != other[1]:
            values = (f"{value} ({row.csv_file}, line {row.line})" for row, value in (first, other))
            self.messages.setdefault((task_id, column), f"task {task_id}: {column} is {' and '.join(values)}")

    def check(self) -> None:
        """Raise a DataError that lists all contradictions, if there are any."""
        if not self.messages:
            return
        listed = [f"  {self.messages[key]}" for key in sorted(self.messages)]
        count = "1 contradiction" if len(self.messages) == 1 else f"{len(self.messages)} contradictions"
        raise DataError(f"the index has {count}; each task has one type, number of classes and group:", *listed)


def _complete_tasks(
    declared: Mapping[str, Declaration],
    indexed: Mapping[str, Mapping[str, str]],
    indexed_names: Mapping[str, tuple[str, ...]],
    spellings: Mapping[str, Spellings],
    data: DataConfig,
) -> tuple[dict[str, Task], list[str]]:
    """Return complete tasks, with organ, clinical group and class names, and warnings for the user.

    Args:
        declared: Declaration of each task, by id.
        indexed: Normalized values of the index by column ("organ", "clinical_group") and task id.
        indexed_names: Class names of the index by task id.
        spellings: Spellings of the values by column; those of the configuration are added.
        data: Configuration with further values.
    """
    tasks: dict[str, Task] = {}
    without_value: dict[str, list[str]] = defaultdict(list)
    for task_id, task in declared.items():
        in_catalog = CATALOGUE.get(task_id)
        values: dict[str, str] = {}
        for column, configured in (("organ", data.organs), ("clinical_group", data.clinical_groups)):
            value = indexed[column].get(task_id)
            if not value and (written := find_setting(configured, task_id)):
                value = spellings[column].add(written, f"data.{column}s")
            if not value and in_catalog:
                value = getattr(in_catalog, column)
            if not value:
                without_value[column].append(task_id)
            values[column] = value or task_id
            check_group_name(column, task_id, values[column])
        names = _choose_class_names(task, in_catalog, indexed_names.get(task_id), data)
        tasks[task_id] = Task(task_id, task.type, task.num_classes, values["organ"], values["clinical_group"], names)
    notes = [note for column in sorted(spellings) for note in spellings[column].list_warnings()]
    return tasks, [*_warn_without_value(without_value), *_warn_unused_names(tasks, data), *notes]


def _choose_class_names(
    task: Declaration, in_catalog: Task | None, indexed: tuple[str, ...] | None, data: DataConfig
) -> tuple[str, ...]:
    """Return the class names of a task, from the configuration, the index, the catalog or numbers.

    Args:
        task: Declaration of the index.
        in_catalog: Task of the same id in the catalog; None if there is none.
        indexed: Names in the index; None if it has none.
        data: Configuration.
    """
    configured = find_setting(data.class_names, task.task_id)
    if configured is not None:
        if len(configured) != task.num_classes:
            raise ConfigError(
                f"data.class_names.{task.task_id}: {len(configured)} names, but the index has num_classes="
                f"{task.num_classes}; give one name per class"
            )
        return tuple(configured)
    if indexed is not None:
        return indexed
    # A task of the user may have the id of a benchmark task, but another type or number of classes.
    fits_catalog = in_catalog and (in_catalog.type, in_catalog.num_classes) == (task.type, task.num_classes)
    if data.catalogue_names and in_catalog and fits_catalog:
        return in_catalog.class_names
    return make_default_class_names(task.type, task.num_classes)


def _warn_without_value(without_value: Mapping[str, list[str]]) -> list[str]:
    """Return warnings for tasks without an organ or a clinical group; `without_value` lists them by column."""
    # Name in the message and key of the configuration, by column.
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
    normalized = {normalize_subject(task_id) for task_id in tasks}
    return [
        f"data.{key} names tasks that the data do not have: {', '.join(unknown)}"
        for key, names in configured.items()
        if (unknown := sorted(key for key in names if normalize_subject(key) not in normalized))
    ]
