"""Writer and reader of data.json: a study's data set and split, their hashes, and the proof that no subsets overlap."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from usaggr.errors import RunError
from usaggr.results import contract
from usaggr.results.contract_sums import check_sum, write_contract_file
from usaggr.results.integrity import check_names, parse_content, read_json
from usaggr.tasks import Task, TaskType

_REMEDY = "`usaggr sweep` of the same study writes it again"
"""Remedy in messages about a damaged file."""


@dataclass(frozen=True)
class TaskFacts:
    """A task with the number of its samples in each subset."""

    task: Task
    n_train: int
    n_val: int
    n_test: int
    n_subjects: int
    """Number of subjects in the test subset."""


@dataclass(frozen=True)
class StoredRules:
    """Rules by which the images of a task are read: the values of `ReadingRules`, which describes them."""

    bit_depth: int | None = None
    exif_orientation: Literal["apply", "ignore"] | None = None
    transparency: Literal["black", "ignore"] | None = None


@dataclass(frozen=True)
class DataFacts:
    """Description of a data set and its split, as stored in data.json."""

    root: str
    content_hash: str
    split_hash: str
    tasks: dict[str, TaskFacts]
    skipped: tuple[str, ...]
    """One message, with the reason, for each row of the index that was skipped."""
    dropped: int
    """Number of samples that belong to no subset, because an official split divides their component."""
    warnings: tuple[str, ...]
    """Messages about the data set, such as the tasks without a clinical group."""
    disjoint: dict[str, int]
    """Counts by name: for example `subjects`, and `subjects_in_two_folds` for those in more than one subset."""
    readings: dict[str, StoredRules] | None = None
    """Rules by which the images of each task are read; None if an older version wrote the file."""


@dataclass(frozen=True)
class StoredHashes:
    """The keys of data.json that identify the data and the split of a study."""

    root: str
    content_hash: str
    split_hash: str


def write_data(directory: Path, description: Mapping[str, Any]) -> None:
    """Write data.json to the folder of a study; `describe_manifest` makes the description."""
    write_contract_file(directory / contract.DATA, json.dumps(description, indent=1))


def read_hashes(directory: Path) -> StoredHashes | None:
    """Return the hashes that identify a study's data and split; None if its folder has no data.json.

    Raises:
        RunError: the file is damaged, or another version of usaggr wrote it.
    """
    path = directory / contract.DATA
    if not path.exists():
        return None
    # Only the three keys of `StoredHashes` are checked, so a file that lacks other keys can still be compared.
    remedy = "choose another name=... or remove the file"
    return parse_content(path, read_json(path, remedy), StoredHashes, remedy)


@dataclass(frozen=True)
class _StoredTask:
    """A task's entry in data.json; unlike `TaskFacts`, it has the task's values and its counts side by side."""

    id: str
    type: TaskType
    num_classes: int
    class_names: tuple[str, ...]
    organ: str
    clinical_group: str
    n_train: int
    n_val: int
    n_test: int
    subjects_test: int


@dataclass(frozen=True)
class _StoredData:
    """The keys of data.json that `read_data` needs, with their types; `DataFacts` describes them."""

    root: str
    content_hash: str
    split_hash: str
    tasks: tuple[_StoredTask, ...]
    skipped: tuple[str, ...]
    warnings: tuple[str, ...]
    disjoint: dict[str, int]
    dropped: int = 0
    readings: dict[str, StoredRules] | None = None


def read_data(directory: Path) -> DataFacts:
    """Read the description of a study's data set and split.

    Raises:
        RunError: the file is damaged, or another version of usaggr wrote it.
    """
    path = directory / contract.DATA
    stored = parse_content(path, read_json(path, _REMEDY), _StoredData, _REMEDY)
    check_names(path, "tasks", [task.id for task in stored.tasks])
    # The checksum comes last, because the checks before it name the key that is wrong.
    check_sum(path, _REMEDY)
    return DataFacts(
        root=stored.root,
        content_hash=stored.content_hash,
        split_hash=stored.split_hash,
        tasks={task.id: _make_task_facts(path, task) for task in stored.tasks},
        skipped=stored.skipped,
        dropped=stored.dropped,
        warnings=stored.warnings,
        disjoint=stored.disjoint,
        readings=stored.readings,
    )


def _make_task_facts(path: Path, stored: _StoredTask) -> TaskFacts:
    """Convert a task's entry in data.json; `path` is the file, for messages.

    Raises:
        RunError: the entry is no valid task.
    """
    try:
        task = Task(
            id=stored.id,
            type=stored.type,
            num_classes=stored.num_classes,
            organ=stored.organ,
            clinical_group=stored.clinical_group,
            class_names=stored.class_names,
        )
    except ValueError as error:
        # `Task` checks its own values, but its message does not name the file.
        raise RunError(f"{path}: {error}; {_REMEDY}") from error
    return TaskFacts(task, stored.n_train, stored.n_val, stored.n_test, stored.subjects_test)
