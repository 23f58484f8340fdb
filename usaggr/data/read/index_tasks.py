"""The tasks of an index.

Types and numbers of classes come from the rows of the index. Organs and clinical groups come from the index, the
configuration, the catalog of benchmark tasks or the task id, in this order. Class names come from the configuration,
the index, the catalog or a default such as class_1.
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

MAX_MASK_CLASSES = 255
"""Largest number of classes of a segmentation task.

Masks are cached with 8 bits, and 255 is never a class index, because many programs draw the foreground with it.
"""

MAX_CLASSES_OR_LANDMARKS = 10_000
"""Largest number of classes of a classification task, and of landmarks."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """Task, type and number of classes that one row declares."""

    task_id: str
    type: TaskType
    num_classes: int


def parse_declaration(row: IndexRow) -> tuple[Declaration | None, list[Fault]]:
    """Return the declaration of a row, or None if one of its values is invalid, and the errors."""
    faults: list[Fault] = []
    task_id = row.get_text("task_id")
    if problem := describe_id_problem(task_id):
        faults.append(row.make_fault("task_id", "task_id", problem))
    # The challenge's column task_name holds the type of the task.
    type_text = row.get_text("task_name")
    task_type = next((t for t in TASK_TYPES if t == type_text.lower()), None)
    if task_type is None:
        message = f"unknown {quote_cell(type_text)}; allowed: {', '.join(TASK_TYPES)}"
        faults.append(row.make_fault("task_name", "task_name", message))
    count_text = row.get_text("num_classes")
    num_classes = parse_integer(count_text)
    if problem := _describe_count_problem(task_type, num_classes):
        faults.append(row.make_fault("num_classes", "num_classes", f"{quote_cell(count_text)} {problem}"))
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
    if has_mask_label(task_type) and num_classes > MAX_MASK_CLASSES:
        return f"is too many: a segmentation task has at most {MAX_MASK_CLASSES} classes"
    if num_classes > MAX_CLASSES_OR_LANDMARKS:
        return f"is too many: a task has at most {MAX_CLASSES_OR_LANDMARKS} classes or landmarks"
    return ""


def parse_integer(text: str) -> int | None:
    """Parse a whole number in any notation of `float`; return None for all other texts.

    Pandas writes 2.0 for 2 in a column with empty cells.
    """
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
        DataError: Rows of a task contradict each other, two ids differ only in letter case, class names are not a valid
            list, or the name of an organ or clinical group is too long.
        ConfigError: The number of names in `data.class_names` differs from a task's number of classes.
    """
    first_rows: dict[str, tuple[IndexRow, Declaration]] = {}
    groups: dict[str, tuple[IndexRow, str]] = {}
    organs: dict[str, set[str]] = defaultdict(set)
    class_name_texts: dict[str, tuple[IndexRow, str]] = {}
    spellings = {
        "organ": Spellings("organ", "organs"),
        "clinical_group": Spellings("clinical_group", "clinical groups"),
    }
    contradictions = _Contradictions()
    for row, declaration in declarations:
        task_id = declaration.task_id
        first_row, first = first_rows.setdefault(task_id, (row, declaration))
        contradictions.compare(task_id, "task_name", (first_row, first.type), (row, declaration.type))
        contradictions.compare(task_id, "num_classes", (first_row, first.num_classes), (row, declaration.num_classes))
        if group := spellings["clinical_group"].add(row.get_text("clinical_group"), row.csv_file):
            contradictions.compare(task_id, "clinical_group", groups.setdefault(task_id, (row, group)), (row, group))
        if organ := spellings["organ"].add(row.get_text("organ"), row.csv_file):
            organs[task_id].add(organ)
        if text := row.get_text(class_names.COLUMN):
            first_text = class_name_texts.setdefault(task_id, (row, text))
            contradictions.compare(task_id, class_names.COLUMN, first_text, (row, text))
    contradictions.raise_if_any()
    check_distinct_ids(first_rows)
    # A task whose images show several organs, such as one that classifies organs, has no organ from the index.
    index_values = {
        "organ": {task_id: next(iter(names)) for task_id, names in organs.items() if len(names) == 1},
        "clinical_group": {task_id: group for task_id, (_, group) in groups.items()},
    }
    by_task = {task_id: first_rows[task_id][1] for task_id in sorted(first_rows)}
    counts = {task_id: declaration.num_classes for task_id, declaration in by_task.items()}
    index_names = class_names.read_class_names(class_name_texts, counts)
    return _complete_tasks(by_task, index_values, index_names, spellings, data)


@dataclass
class _Contradictions:
    """Contradictions between rows of the same task; only the first one of each task and column has a message."""

    messages: dict[tuple[str, str], str] = field(default_factory=dict)
    """Message by task and column."""

    def compare(
        self, task_id: str, column: str, first: tuple[IndexRow, object], other: tuple[IndexRow, object]
    ) -> None:
        """Compare the values of two rows, and store a message if they differ.

        Args:
            task_id: Task of both rows.
            column: Column of the values, for the message.
            first: First row of the task that has a value, and its value.
            other: Another row of the task, and its value.
        """
        if first[1] != other[1]:
            values = (f"{value} ({row.csv_file}, line {row.line})" for row, value in (first, other))
            self.messages.setdefault((task_id, column), f"task {task_id}: {column} is {' and '.join(values)}")

    def raise_if_any(self) -> None:
        """Raise a DataError that lists all contradictions, if there are any."""
        if not self.messages:
            return
        lines = [f"  {self.messages[key]}" for key in sorted(self.messages)]
        count = "1 contradiction" if len(self.messages) == 1 else f"{len(self.messages)} contradictions"
        raise DataError(
            f"the index has {count}; each task has one type, number of classes, clinical group and list of names:",
            *lines,
        )


def _complete_tasks(
    declarations: Mapping[str, Declaration],
    index_values: Mapping[str, Mapping[str, str]],
    index_names: Mapping[str, tuple[str, ...]],
    spellings: Mapping[str, Spellings],
    data: DataConfig,
) -> tuple[dict[str, Task], list[str]]:
    """Return complete tasks, with organ, clinical group and class names, and warnings for the user.

    Args:
        declarations: Declaration of each task, by id.
        index_values: Normalized values of the index by column ("organ", "clinical_group") and task id.
        index_names: Class names of the index by task id.
        spellings: Spellings of the values by column; those of the configuration are added.
        data: Configuration with further values.

    Raises:
        DataError: The name of an organ or clinical group is too long.
        ConfigError: The number of names in `data.class_names` differs from a task's number of classes.
    """
    tasks: dict[str, Task] = {}
    without_value: dict[str, list[str]] = defaultdict(list)
    for task_id, declaration in declarations.items():
        catalog_task = CATALOGUE.get(task_id)
        values: dict[str, str] = {}
        for column, configured in (("organ", data.organs), ("clinical_group", data.clinical_groups)):
            value = index_values[column].get(task_id)
            if not value and (configured_text := find_setting(configured, task_id)):
                value = spellings[column].add(configured_text, f"data.{column}s")
            if not value and catalog_task:
                value = getattr(catalog_task, column)
            if not value:
                without_value[column].append(task_id)
            # Without a value, the task is a group by itself, named by its id.
            values[column] = value or task_id
            check_group_name(column, task_id, values[column])
        tasks[task_id] = Task(
            task_id,
            declaration.type,
            declaration.num_classes,
            values["organ"],
            values["clinical_group"],
            _choose_class_names(declaration, catalog_task, index_names.get(task_id), data),
        )
    spelling_warnings = [warning for column in sorted(spellings) for warning in spellings[column].list_warnings()]
    return tasks, [*_warn_without_value(without_value), *_warn_unknown_tasks(tasks, data), *spelling_warnings]


def _choose_class_names(
    declaration: Declaration, catalog_task: Task | None, index_names: tuple[str, ...] | None, data: DataConfig
) -> tuple[str, ...]:
    """Return the class names of a task, from the first source that has them.

    The sources are the configuration, the index and the catalog (with `data.catalogue_names`). Without any, names are
    numbered.

    Args:
        declaration: Declaration of the index.
        catalog_task: Task of the same id in the catalog; None if there is none.
        index_names: Names in the index; None if it has none.
        data: Configuration.

    Raises:
        ConfigError: The number of names in `data.class_names` differs from the number of classes.
    """
    configured = find_setting(data.class_names, declaration.task_id)
    if configured is not None:
        if len(configured) != declaration.num_classes:
            raise ConfigError(
                f"data.class_names.{declaration.task_id}: {len(configured)} names, but the index has num_classes="
                f"{declaration.num_classes}; give one name per class"
            )
        return tuple(configured)
    if index_names is not None:
        return index_names
    # A task of the user may have the id of a benchmark task, but another type or number of classes.
    key = (declaration.type, declaration.num_classes)
    if data.catalogue_names and catalog_task and (catalog_task.type, catalog_task.num_classes) == key:
        return catalog_task.class_names
    return make_default_class_names(declaration.type, declaration.num_classes)


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


def _warn_unknown_tasks(tasks: Mapping[str, Task], data: DataConfig) -> list[str]:
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
        if (unknown := sorted(task_id for task_id in names if normalize_subject(task_id) not in normalized))
    ]
