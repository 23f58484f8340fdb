"""Which samples are scored: all of a data set, or those of a fold of a study's split.csv."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from usaggr.data.samples import Dataset, Sample
from usaggr.data.split.components import number_components
from usaggr.errors import ConfigError, DataError, one_of
from usaggr.results.split import SUBSETS, read_split_rows


@dataclass(frozen=True)
class Selection:
    """Samples to be scored, in the data set's order, with the component of each."""

    samples: tuple[Sample, ...]
    components: tuple[int, ...]
    fold: str | None
    """None: all samples."""


def select(dataset: Dataset, split: Path | None, fold: str | None, tasks: Sequence[str] = ()) -> Selection:
    """Samples of a fold, or all; of some tasks, or all.

    Raises:
        ConfigError: a fold without a split, or one or a task that there is none of.
        DataError: the split is not one of these data.
        RunError: the split cannot be read.
    """
    for task_id in tasks:
        if task_id not in dataset.tasks:
            raise ConfigError(one_of("--tasks", task_id, dataset.tasks))
    if split is None:
        if fold is not None:
            raise ConfigError("--fold needs --split FILE, the split.csv of a study")
        chosen = list(zip(dataset.samples, number_components(dataset.samples), strict=True))
    else:
        fold = fold or "test"
        if fold not in SUBSETS:
            raise ConfigError(one_of("--fold", fold, SUBSETS))
        chosen = _of_fold(dataset, split, fold)
    kept = [(sample, component) for sample, component in chosen if not tasks or sample.task_id in tasks]
    if not kept:
        raise DataError(f"{split}: no sample of the fold {fold} is of {', '.join(tasks) or 'these data'}")
    return Selection(tuple(sample for sample, _ in kept), tuple(component for _, component in kept), fold)


def _of_fold(dataset: Dataset, split: Path, fold: str) -> list[tuple[Sample, int]]:
    rows = read_split(split)
    known = {(sample.task_id, sample.sample_id): sample for sample in dataset.samples}
    chosen = []
    for (task_id, sample_id), (of_row, component) in rows.items():
        if of_row != fold:
            continue
        if (task_id, sample_id) not in known:
            raise DataError(
                f"{split}: {task_id}, {sample_id} is not in the data at {dataset.root}; give their own split"
            )
        chosen.append((known[task_id, sample_id], component))
    return sorted(chosen, key=lambda pair: (pair[0].task_id, pair[0].sample_id))


def read_split(path: Path) -> dict[tuple[str, str], tuple[str, int]]:
    """Return the fold and component of each sample, by task_id and sample_id; samples without a fold are left out.

    Raises:
        RunError: it cannot be read, or which cell of it is wrong.
    """
    return {(row.task_id, row.sample_id): (row.fold, row.component) for row in read_split_rows(path)}
