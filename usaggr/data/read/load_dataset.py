"""A data set, from its index to validated samples: the door through which every other room gets its samples."""

from collections.abc import Iterable
from pathlib import Path

from usaggr.config.study import DataConfig
from usaggr.data.read.file_facts import FileFacts, ProbeKey, probe_files
from usaggr.data.read.index import IndexRow, read_index
from usaggr.data.read.index_tasks import Declaration, declaration_of, declared_tasks
from usaggr.data.read.paths import cache_root, data_root
from usaggr.data.read.validation import count_kinds, validate
from usaggr.data.samples import Dataset, Fault
from usaggr.errors import DataError
from usaggr.progress import NoProgress, Progress

SHOWN = 20
"""Faults that an error lists."""


def load_dataset(data: DataConfig, progress: Progress | None = None) -> Dataset:
    """Read and validate a data set; with `data.name: synthetic`, draw it first if need be.

    Under `data.on_bad_sample: skip`, the faults are in `Dataset.skipped`.

    Raises:
        DataError: no index, an index that contradicts itself, faulty rows (`on_bad_sample: error`), or a task that has
            none but faulty rows (`skip`).
        ConfigError: names of classes that do not fit the index.
    """
    dataset, faults, lost = _read(data, progress or NoProgress())
    if faults and data.on_bad_sample == "error":
        raise DataError(
            f"{len(faults)} fault{'s' * (len(faults) > 1)} in the index ({count_kinds(faults)}); mend it, or leave "
            f"these rows out with data.on_bad_sample=skip:\n{_listed(faults)}"
        )
    if lost:
        raise DataError(
            f"no row without a fault is left of {', '.join(lost)} ({count_kinds(faults)}); mend the index, or take "
            f"the task out of it:\n{_listed(faults)}"
        )
    return dataset


def check_dataset(data: DataConfig, progress: Progress | None = None) -> tuple[Dataset | None, tuple[Fault, ...]]:
    """The data set without its faulty rows, and all faults, whatever `data.on_bad_sample` says.

    None stands for a data set in which a task has none but faulty rows.

    Raises:
        DataError: no index, or one that contradicts itself.
        ConfigError: names of classes that do not fit the index.
    """
    dataset, faults, lost = _read(data, progress or NoProgress())
    return (None if lost else dataset), faults


def _read(data: DataConfig, progress: Progress) -> tuple[Dataset, tuple[Fault, ...], list[str]]:
    """The data set of all rows without a fault, the faults, and the tasks that have no row left."""
    root = _root(data, progress)
    rows, faults = read_index(root)
    declared: list[tuple[IndexRow, Declaration | None]] = []
    for row in rows:
        declaration, wrong = declaration_of(row)
        faults += wrong
        declared.append((row, declaration))
    tasks, warnings = declared_tasks(((row, task) for row, task in declared if task is not None), data)

    def probe(keys: Iterable[ProbeKey]) -> dict[ProbeKey, FileFacts]:
        return probe_files(keys, cache_root(data), data.max_pixels, data.workers, progress)

    samples, wrong, remarks = validate(declared, root, data, probe)
    faults += wrong
    faults.sort(key=lambda fault: (fault.csv_file, fault.row))
    samples.sort(key=lambda sample: (sample.task_id, sample.sample_id))
    named = {row.text("task_id") for row in rows} - {""}
    lost = sorted(named - {sample.task_id for sample in samples})
    kept = {task_id: task for task_id, task in tasks.items() if task_id not in lost}
    return Dataset(root, kept, tuple(samples), tuple(faults), (*warnings, *remarks)), tuple(faults), lost


def _root(data: DataConfig, progress: Progress) -> Path:
    if data.name == "synthetic":
        # Drawing is slow to import and needed once.
        from usaggr.data.synthetic.writer import synthetic_root

        return synthetic_root(data, cache_root(data), progress).resolve()
    return data_root(data)


def _listed(faults: tuple[Fault, ...]) -> str:
    more = f"\n  ... and {len(faults) - SHOWN} more (usaggr data check lists all)" if len(faults) > SHOWN else ""
    return "\n".join(f"  {fault}" for fault in faults[:SHOWN]) + more
