"""Requested predictions: the rows of an index whose tasks the selected models have. Labels are not read."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from usaggr.challenge.layout import get_mask_path
from usaggr.challenge.selection import read_split
from usaggr.data.read.index import IndexRow, read_index
from usaggr.data.read.index_tasks import Declaration, parse_declaration
from usaggr.data.samples import Fault
from usaggr.errors import ConfigError, DataError, explain_unknown_name
from usaggr.results.split import SUBSETS
from usaggr.tasks import Task, has_mask_label

Key = tuple[str, str]
"""Task id and image_path; for a segmentation, task id and path of the mask."""


@dataclass(frozen=True)
class PredictionRequest:
    """One prediction to make."""

    task: str
    row: IndexRow
    """First row of the index that requests it."""
    mask_path: PurePosixPath | None
    """Path of the mask within the folder of predictions; None if the task is not a segmentation."""

    @property
    def image_path(self) -> str:
        """Path of the image as the index writes it."""
        return self.row.get_text("image_path")

    @property
    def key(self) -> Key:
        """Identity of the prediction: requests with the same key are one prediction."""
        return self.task, self.image_path if self.mask_path is None else str(self.mask_path)


@dataclass(frozen=True)
class RequestedPredictions:
    """All predictions to make."""

    requests: tuple[PredictionRequest, ...]
    """Requests in the order of the index, each key once."""
    faults: tuple[Fault, ...]
    """Faults of rows that have no task or no image."""
    left_out: dict[str, int]
    """Task without a model: number of its rows."""
    unread: tuple[str, ...] = ()
    """Lines about files of a folder that are not predicted."""


def read_requests(
    root: Path, tasks: Mapping[str, Task], split: Path | None, fold: str | None, follow_links: bool = False
) -> RequestedPredictions:
    """Read the rows of `<root>/csv_files/*.csv` that belong to the tasks, or those of one subset.

    Args:
        root: Folder of the data.
        tasks: Tasks of the models by id.
        split: split.csv of a study; None: all rows.
        fold: Subset of the split: train, val or test; None: test.
        follow_links: True to read index files that are links out of the root.

    Raises:
        ConfigError: A subset is given without a split, or does not exist.
        DataError: The index or split cannot be read, or they do not belong together; a task has another type or number
            of classes than its model; two predictions would be the same file; or no row belongs to the tasks.
    """
    if not (root / "csv_files").is_dir():
        raise DataError(f"--data: {root} has no folder csv_files/; give the folder that contains it")
    index_rows, faults = read_index(root, labels=False, follow_links=follow_links)
    subset = _read_subset(split, fold)
    requests: dict[Key, PredictionRequest] = {}
    mask_owners: dict[PurePosixPath, PredictionRequest] = {}
    left_out: Counter[str] = Counter()
    index_keys: set[Key] = set()
    occurrences: Counter[Key] = Counter()
    for row in index_rows:
        task_id, image = row.get_text("task_id"), row.get_text("image_path")
        # As in training: a repeated image of a task is sample `image#2`, `image#3`, ...
        occurrences[task_id, image] += 1
        number = occurrences[task_id, image]
        sample_id = image if number == 1 else f"{image}#{number}"
        index_keys.add((task_id, sample_id))
        if subset is not None and (task_id, sample_id) not in subset:
            continue
        declared, row_faults = parse_declaration(row)
        if not image:
            row_faults.append(row.make_fault("image_path", "no_image", "is empty"))
        if task_id and task_id not in tasks:
            left_out[task_id] += 1
        elif row_faults or declared is None:
            faults += row_faults
        else:
            _check_task(row, declared, tasks[task_id])
            mask_path = get_mask_path(row) if has_mask_label(declared.type) else None
            _add_request(requests, mask_owners, PredictionRequest(task_id, row, mask_path))
    if split is not None and subset is not None:
        _check_subset(split, root, {key for key in subset - index_keys if key[0] in tasks})
    if not requests and not faults:
        subset_text = f" of the subset {fold or 'test'}" if split is not None else ""
        raise DataError(f"{root / 'csv_files'}: no row{subset_text} is of {', '.join(tasks)}, the tasks of the model")
    # A row of the wrong length belongs to no subset.
    faults = faults if subset is None else [fault for fault in faults if fault.kind != "row_shape"]
    return RequestedPredictions(tuple(requests.values()), tuple(faults), dict(left_out))


def _add_request(
    requests: dict[Key, PredictionRequest],
    mask_owners: dict[PurePosixPath, PredictionRequest],
    request: PredictionRequest,
) -> None:
    """Add a request, unless there is one with the same key.

    Args:
        requests: Requests by key; extended in place.
        mask_owners: First request of each path of a mask; extended in place.
        request: Request to add.

    Raises:
        DataError: The mask of another image or task would be the same file.
    """
    if request.mask_path is not None:
        owner = mask_owners.setdefault(request.mask_path, request)
        if (owner.task, owner.image_path) != (request.task, request.image_path):
            raise DataError(
                f"{_describe_row(owner.row)} ({owner.task}) and {_describe_row(request.row)} ({request.task}): their "
                f"masks would both be {request.mask_path}; give each its own mask_path, or predict them separately "
                "with --tasks and another --out"
            )
    requests.setdefault(request.key, request)


def _describe_row(row: IndexRow) -> str:
    return f"{row.csv_file}, line {row.line}"


def _check_task(row: IndexRow, declared: Declaration, task: Task) -> None:
    """Check that a row declares its task as the model was trained with it.

    Args:
        row: Row of the index, for the message.
        declared: Type and number of classes in the row.
        task: Task of the model.

    Raises:
        DataError: Type or number of classes differ.
    """
    for column, in_index, in_model in (
        ("task_name", declared.type, task.type),
        ("num_classes", declared.num_classes, task.num_classes),
    ):
        if in_index != in_model:
            raise DataError(
                f"{_describe_row(row)}, {column}: {task.id} is {in_index}, and its model was trained with {in_model}; "
                "these are not data of that task"
            )


def _read_subset(split: Path | None, fold: str | None) -> set[Key] | None:
    """Return task and sample id of each sample of a subset; None: all rows are requested.

    Raises:
        ConfigError: A subset is given without a split, or does not exist.
    """
    if split is None:
        if fold is not None:
            raise ConfigError("--fold needs --split FILE, the split.csv of a study")
        return None
    fold = fold or "test"
    if fold not in SUBSETS:
        raise ConfigError(explain_unknown_name("--fold", fold, SUBSETS))
    return {key for key, (sample_fold, _) in read_split(split).items() if sample_fold == fold}


def _check_subset(split: Path, root: Path, missing: set[Key]) -> None:
    """Check that no sample of a split is missing in the data.

    Args:
        split: File of the split, for the message.
        root: Folder of the data, for the message.
        missing: Task and sample id of samples that are not in the index.

    Raises:
        DataError: A sample is missing.
    """
    if missing:
        task_id, sample_id = min(missing)
        raise DataError(f"{split}: {task_id}, {sample_id} is not in the data at {root}; give the split of these data")
