"""Loading of a data set, from its index to validated samples; all other rooms get their labeled samples from here."""

from collections.abc import Iterable
from pathlib import Path

from usaggr.config.study import DataConfig
from usaggr.data.read.fault_groups import list_fault_groups
from usaggr.data.read.file_facts import FileFacts, ProbeKey, probe_files
from usaggr.data.read.index import IndexRow, read_index
from usaggr.data.read.index_tasks import Declaration, collect_tasks, parse_declaration
from usaggr.data.read.paths import find_cache_folder, find_data_root
from usaggr.data.read.sample_readings import assign_readings
from usaggr.data.read.task_ids import unify_task_ids
from usaggr.data.read.unread_columns import warn_unread_columns
from usaggr.data.read.validation import count_kinds, validate_rows
from usaggr.data.samples import Dataset, Fault
from usaggr.errors import DataError
from usaggr.progress import NoProgress, Progress

MAX_LISTED_FAULTS = 20
"""Largest number of lines about errors in a message."""


def load_dataset(data: DataConfig, progress: Progress | None = None, *, keep_facts: bool = True) -> Dataset:
    """Read and validate a data set. Phantoms (`data=synthetic`) are drawn first if the cache does not have them.

    With `data.on_bad_sample=skip`, the errors of invalid rows are in `Dataset.skipped`.

    Args:
        data: Settings of the data set.
        progress: Receives the number of files that are read.
        keep_facts: Store facts about files in the cache folder. A report sets False: it may describe the results of
            someone else, whose `data.cache_dir` may be any folder, so that nothing may be written there. Phantoms are
            drawn regardless; a report reads them as `data=fmuia` to prevent this.

    Raises:
        DataError: There is no index, it contradicts itself, it has errors (`on_bad_sample=error`), or a task has no
            valid row (`skip`).
        ConfigError: Class names of the configuration do not fit the index.
    """
    dataset, faults, empty_tasks = _read_dataset(data, progress or NoProgress(), keep_facts)
    if faults and data.on_bad_sample == "error":
        raise DataError(
            f"{len(faults)} error{'s' * (len(faults) > 1)} in the index ({count_kinds(faults)}); fix them, or leave "
            f"these rows out with data.on_bad_sample=skip:",
            *_list_faults(faults),
        )
    if empty_tasks:
        raise DataError(
            f"no valid row is left for {', '.join(empty_tasks)} ({count_kinds(faults)}); fix the errors, or remove "
            f"{'this task' if len(empty_tasks) == 1 else 'these tasks'} from the index:",
            *_list_faults(faults),
        )
    return dataset


def check_dataset(data: DataConfig, progress: Progress | None = None) -> tuple[Dataset | None, tuple[Fault, ...]]:
    """Return the data set of the valid rows, and the errors of the others, regardless of `data.on_bad_sample`.

    The data set is None if a task has no valid row.

    Raises:
        DataError: There is no index, or it contradicts itself.
        ConfigError: Class names of the configuration do not fit the index.
    """
    dataset, faults, empty_tasks = _read_dataset(data, progress or NoProgress(), keep_facts=True)
    return (None if empty_tasks else dataset), faults


def _read_dataset(
    data: DataConfig, progress: Progress, keep_facts: bool
) -> tuple[Dataset, tuple[Fault, ...], list[str]]:
    """Return the data set of all valid rows, the errors of the other rows, and the tasks without a valid row.

    Args:
        data: Settings of the data set.
        progress: Receives the number of files that are read.
        keep_facts: See `load_dataset`.
    """
    root = _prepare_root(data, progress)
    raw_rows, faults = read_index(root, follow_links=data.follow_links)
    index_rows, id_warnings = unify_task_ids(raw_rows)
    declarations: list[tuple[IndexRow, Declaration | None]] = []
    for row in index_rows:
        declaration, row_faults = parse_declaration(row)
        faults += row_faults
        declarations.append((row, declaration))
    column_warnings = warn_unread_columns(index_rows)
    valid_declarations = ((row, declaration) for row, declaration in declarations if declaration is not None)
    tasks, task_warnings = collect_tasks(valid_declarations, data)

    def probe(keys: Iterable[ProbeKey]) -> dict[ProbeKey, FileFacts]:
        return probe_files(keys, find_cache_folder(data), data.max_pixels, data.workers, progress, keep_facts)

    samples, sample_faults, subject_warnings = validate_rows(declarations, root, data, probe)
    faults += sample_faults
    faults.sort(key=lambda fault: (fault.csv_file, fault.row))
    samples.sort(key=lambda sample: (sample.task_id, sample.sample_id))
    # From the rows, not from `tasks`: a task without any valid declaration is not in `tasks`.
    task_ids = {row.get_text("task_id") for row in index_rows} - {""}
    empty_tasks = sorted(task_ids - {sample.task_id for sample in samples})
    tasks_with_samples = {task_id: task for task_id, task in tasks.items() if task_id not in empty_tasks}
    samples, rules, depth_warnings = assign_readings(samples, data)
    warnings = (*column_warnings, *id_warnings, *task_warnings, *subject_warnings, *depth_warnings)
    dataset = Dataset(root, tasks_with_samples, tuple(samples), tuple(faults), warnings, rules)
    return dataset, tuple(faults), empty_tasks


def _prepare_root(data: DataConfig, progress: Progress) -> Path:
    """Return the root of the data set; phantoms are drawn if the cache does not have them."""
    if data.name == "synthetic":
        # Imported here, because drawing needs OpenCV, which `plan` on other data may not need.
        from usaggr.data.synthetic.writer import prepare_synthetic

        return prepare_synthetic(data, find_cache_folder(data), progress).resolve()
    return find_data_root(data)


def _list_faults(faults: tuple[Fault, ...]) -> list[str]:
    lines = list_fault_groups(faults)
    more = len(lines) - MAX_LISTED_FAULTS
    ending = [f"  ... and {more} more lines (usaggr data check --out FILE lists all errors)"] if more > 0 else []
    return [*(f"  {line}" for line in lines[:MAX_LISTED_FAULTS]), *ending]
