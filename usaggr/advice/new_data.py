"""The data set that advice is asked for: its tasks and how many training samples each has after the split."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from usaggr.advice.sharing_modes import NewTask
from usaggr.config.study import DataConfig
from usaggr.data.read.index import IndexRow, read_index_file
from usaggr.data.read.index_tasks import Declaration, declaration_of, declared_tasks
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.split.make_split import split_dataset
from usaggr.document.display_names import plural
from usaggr.errors import DataError
from usaggr.progress import Progress
from usaggr.sweep.planning.study_groupings import find_image_sources


@dataclass(frozen=True)
class NewData:
    """A data set of which nothing has been trained."""

    name: str
    where: str
    """Its root, or its index."""
    tasks: tuple[NewTask, ...]
    """By id."""
    content: str
    """Hash of its content; empty where images were not read."""
    remarks: tuple[str, ...]
    """What a reader should know of the counts."""
    phantoms: bool = False
    """Whether they are synthetic."""


def read_data(data: DataConfig, progress: Progress) -> NewData:
    """A whole data set, split as a sweep would split it.

    Raises:
        DataError: as `load_dataset`, or an official split that cuts a component.
        ConfigError: names of classes that do not fit the index.
    """
    dataset = load_dataset(data, progress)
    split = split_dataset(dataset, data.split)
    training = Counter(s.task_id for s, fold in zip(dataset.samples, split.subsets, strict=True) if fold == "train")
    sources = find_image_sources(dataset.samples)
    tasks = tuple(
        NewTask(task, training[task_id], sources.get(task_id), dataset.content_hash)
        for task_id, task in sorted(dataset.tasks.items())
    )
    skipped = [f"{plural(len(dataset.skipped), 'faulty row')} of the index left out"] if dataset.skipped else []
    return NewData(
        _name(data, dataset.root),
        str(dataset.root),
        tasks,
        dataset.content_hash,
        (*skipped, *dataset.warnings),
        data.name == "synthetic",
    )


def read_index_table(path: Path, data: DataConfig) -> NewData:
    """The tasks of one index file, without its images, which need not be there.

    Training samples are the rows that its column `split` calls train, else the training part of all rows
    (data.split.fractions): the split itself, which keeps subjects together, needs the images.

    Raises:
        DataError: the file is no index, contradicts itself, or has faulty rows (unless data.on_bad_sample is skip).
        ConfigError: names of classes that do not fit the index.
    """
    rows, faults = read_index_file(path)
    declared: list[tuple[IndexRow, Declaration]] = []
    for row in rows:
        declaration, wrong = declaration_of(row)
        faults += wrong
        if declaration is not None:
            declared.append((row, declaration))
    if faults and (data.on_bad_sample == "error" or not declared):
        raise DataError(
            f"{path}: {plural(len(faults), 'fault')} in the index, the first: {faults[0]}; mend it, or leave such rows "
            "out with data.on_bad_sample=skip"
        )
    if not declared:
        raise DataError(f"{path}: the index has no rows")
    tasks, warnings = declared_tasks(declared, data)
    counts = Counter(found.task_id for _, found in declared)
    official = {found.task_id for row, found in declared if row.text("split")}
    named = Counter(found.task_id for row, found in declared if row.text("split").lower() == "train")
    part = data.split.fractions[0]
    remark = (
        f"training samples are counted from the rows of {path.name}, {100 * part:g} % of them where no column split "
        "names the training fold; images were not read, and subjects not kept together"
    )
    return NewData(
        path.stem,
        str(path),
        tuple(
            NewTask(task, named[task_id] if task_id in official else round(part * counts[task_id]))
            for task_id, task in sorted(tasks.items())
        ),
        "",
        (remark, *warnings),
    )


def _name(data: DataConfig, root: Path) -> str:
    return "synthetic" if data.name == "synthetic" else root.name
