"""Reads the data set that needs advice: its tasks and their numbers of training samples after the split."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from usaggr.advice.sharing_modes import NewTask
from usaggr.config.study import DataConfig
from usaggr.data.read.index import IndexRow, read_index_file
from usaggr.data.read.index_tasks import Declaration, collect_tasks, parse_declaration
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.split.make_split import split_dataset
from usaggr.document.display_names import pluralize
from usaggr.errors import DataError
from usaggr.progress import Progress
from usaggr.sweep.planning.study_groupings import find_image_sources


@dataclass(frozen=True)
class NewData:
    """Data set on which no model needs to have been trained."""

    name: str
    location: str
    """Root folder of the data set, or its index file."""
    tasks: tuple[NewTask, ...]
    """Tasks, sorted by id."""
    content: str
    """Hash of the data set; empty if the images were not read."""
    remarks: tuple[str, ...]
    """Sentences on how the counts were made."""
    phantoms: bool = False
    """True if the data are synthetic."""


def read_data(data: DataConfig, progress: Progress) -> NewData:
    """Read a data set with its images, split as a sweep would split it.

    Raises:
        DataError: As in `load_dataset`, or an official split divides a component.
        ConfigError: Names of classes do not match the index.
    """
    dataset = load_dataset(data, progress)
    split = split_dataset(dataset, data.split)
    training = Counter(s.task_id for s, fold in zip(dataset.samples, split.subsets, strict=True) if fold == "train")
    sources = find_image_sources(dataset.samples)
    tasks = tuple(
        NewTask(task, training[task_id], sources.get(task_id), dataset.content_hash)
        for task_id, task in sorted(dataset.tasks.items())
    )
    skipped = [f"{pluralize(len(dataset.skipped), 'invalid row')} of the index left out"] if dataset.skipped else []
    return NewData(
        _name_data(data, dataset.root),
        str(dataset.root),
        tasks,
        dataset.content_hash,
        (*skipped, *dataset.warnings),
        data.name == "synthetic",
    )


def read_index_table(path: Path, data: DataConfig) -> NewData:
    """Read the tasks of one index file, without its images, which need not exist.

    Training samples are the rows with `train` in the column `split`. Without that column they are the training fraction
    of all rows (data.split.fractions), because the actual split keeps subjects together and needs the images.

    Raises:
        DataError: The file is no index, contradicts itself, or has invalid rows (unless data.on_bad_sample is skip).
        ConfigError: Names of classes do not match the index.
    """
    index_rows, errors = read_index_file(path)
    declared: list[tuple[IndexRow, Declaration]] = []
    for row in index_rows:
        declaration, row_errors = parse_declaration(row)
        errors += row_errors
        if declaration is not None:
            declared.append((row, declaration))
    if errors and (data.on_bad_sample == "error" or not declared):
        raise DataError(
            f"{path}: {pluralize(len(errors), 'error')} in the index, first: {errors[0]}; correct the index, or leave "
            "out invalid rows with data.on_bad_sample=skip"
        )
    if not declared:
        raise DataError(f"{path}: the index has no rows")
    tasks, warnings = collect_tasks(declared, data)
    # One value in the column `split` makes it the split of its task; rows without a value are then not counted.
    counts = Counter(declaration.task_id for _, declaration in declared)
    has_split = {declaration.task_id for row, declaration in declared if row.get_text("split")}
    in_train = Counter(declaration.task_id for row, declaration in declared if row.get_text("split").lower() == "train")
    fraction = data.split.fractions[0]
    remark = (
        f"Training samples are counted from the rows of {path.name}: those whose column split is train, or "
        f"{100 * fraction:g} % of a task's rows without that column. Images were not read, and subjects were not kept "
        "together."
    )
    return NewData(
        path.stem,
        str(path),
        tuple(
            NewTask(task, in_train[task_id] if task_id in has_split else round(fraction * counts[task_id]))
            for task_id, task in sorted(tasks.items())
        ),
        "",
        (remark, *warnings),
    )


def _name_data(data: DataConfig, root: Path) -> str:
    return "synthetic" if data.name == "synthetic" else root.name
