"""What is to be predicted: rows of an index, whose labels are not read, for the tasks that there are models of."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from usaggr.challenge.layout import mask_place
from usaggr.challenge.selection import read_split
from usaggr.data.read.index import IndexRow, read_index
from usaggr.data.read.index_tasks import Declaration, declaration_of
from usaggr.data.samples import Fault
from usaggr.errors import ConfigError, DataError, one_of
from usaggr.results.split import FOLDS
from usaggr.tasks import Task, has_mask_label

Key = tuple[str, str]
"""Task id, and image_path; of a segmentation the place of its mask."""


@dataclass(frozen=True)
class Asked:
    """One prediction to be made."""

    task: str
    row: IndexRow
    """The first that asks for it."""
    place: PurePosixPath | None
    """Of the mask in the folder of predictions; None where the task is no segmentation."""

    @property
    def image_path(self) -> str:
        """As the index writes it."""
        return self.row.text("image_path")

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return self.task, self.image_path if self.place is None else str(self.place)


@dataclass(frozen=True)
class Request:
    """All predictions to be made."""

    asked: tuple[Asked, ...]
    """In the index's order, each once."""
    faults: tuple[Fault, ...]
    """Of rows that say of no task, or of no image, that they are of it."""
    left_out: dict[str, int]
    """Task without a model: its rows."""


def read_request(root: Path, tasks: Mapping[str, Task], split: Path | None, fold: str | None) -> Request:
    """The rows of `<root>/csv_files/*.csv`, or those of a fold, that are of the tasks.

    Raises:
        ConfigError: a fold without a split, or one that there is none of.
        DataError: the index or the split cannot be read or do not belong together; a task is of another type or number
            of classes than its model; two predictions would be one file; or nothing is asked for.
    """
    if not (root / "csv_files").is_dir():
        raise DataError(f"--data: {root} has no folder csv_files/; give the folder that holds it")
    rows, faults = read_index(root, labels=False)
    wanted = _fold(split, fold)
    found: dict[Key, Asked] = {}
    places: dict[PurePosixPath, Asked] = {}
    left_out: Counter[str] = Counter()
    seen: set[Key] = set()
    numbers: Counter[Key] = Counter()
    for row in rows:
        task_id, image = row.text("task_id"), row.text("image_path")
        numbers[task_id, image] += 1
        sample_id = image if numbers[task_id, image] == 1 else f"{image}#{numbers[task_id, image]}"
        seen.add((task_id, sample_id))
        if wanted is not None and (task_id, sample_id) not in wanted:
            continue
        declared, wrong = declaration_of(row)
        if not image:
            wrong.append(row.fault("image_path", "no_image", "is empty"))
        if task_id and task_id not in tasks:
            left_out[task_id] += 1
        elif wrong or declared is None:
            faults += wrong
        else:
            _check_task(row, declared, tasks[task_id])
            _add(found, places, Asked(task_id, row, mask_place(row) if has_mask_label(declared.type) else None))
    _check_fold(split, root, wanted, seen, tasks)
    if not found and not faults:
        of_fold = f" of the fold {fold or 'test'}" if split is not None else ""
        raise DataError(f"{root / 'csv_files'}: no row{of_fold} is of {', '.join(tasks)}, the tasks of the model")
    faults = faults if wanted is None else [fault for fault in faults if fault.kind != "row_shape"]
    return Request(tuple(found.values()), tuple(faults), dict(left_out))


def _add(found: dict[Key, Asked], places: dict[PurePosixPath, Asked], asked: Asked) -> None:
    """Add a prediction, unless it is there.

    Raises:
        DataError: another one would be the same file.
    """
    if asked.place is not None:
        other = places.setdefault(asked.place, asked)
        if (other.task, other.image_path) != (asked.task, asked.image_path):
            raise DataError(
                f"{_where(other.row)} ({other.task}) and {_where(asked.row)} ({asked.task}): their masks would both be "
                f"{asked.place}; give each its own mask_path, or predict them apart with --tasks and another --out"
            )
    found.setdefault(asked.key, asked)


def _where(row: IndexRow) -> str:
    return f"{row.csv_file}, line {row.line}"


def _check_task(row: IndexRow, declared: Declaration, task: Task) -> None:
    for column, here, there in (
        ("task_name", declared.type, task.type),
        ("num_classes", declared.num_classes, task.num_classes),
    ):
        if here != there:
            raise DataError(
                f"{_where(row)}, {column}: {task.id} is {here}, and its model was trained with {there}; these are not "
                "data of that task"
            )


def _fold(split: Path | None, fold: str | None) -> set[Key] | None:
    """Task and sample id of a fold's samples; None: all."""
    if split is None:
        if fold is not None:
            raise ConfigError("--fold needs --split FILE, the split.csv of a study")
        return None
    fold = fold or "test"
    if fold not in FOLDS:
        raise ConfigError(one_of("--fold", fold, FOLDS))
    return {key for key, (of, _) in read_split(split).items() if of == fold}


def _check_fold(
    split: Path | None, root: Path, wanted: set[Key] | None, seen: set[Key], tasks: Mapping[str, Task]
) -> None:
    missing = sorted(key for key in (wanted or set()) - seen if key[0] in tasks)
    if missing:
        raise DataError(f"{split}: {missing[0][0]}, {missing[0][1]} is not in the data at {root}; give their own split")
