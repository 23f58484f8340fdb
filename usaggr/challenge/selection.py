"""Select the samples to score: all samples of a data set, or one subset of a study's `split.csv`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from usaggr.data.samples import Dataset, Sample
from usaggr.data.split.components import number_components
from usaggr.errors import ConfigError, DataError, explain_unknown_name
from usaggr.results.split import SUBSETS, read_split_rows


@dataclass(frozen=True)
class Selection:
    """Samples to score, in the data set's order, with the component of each."""

    samples: tuple[Sample, ...]
    components: tuple[int, ...]
    fold: str | None
    """Subset (train, val or test); None: all samples."""


def select(dataset: Dataset, split: Path | None, fold: str | None, tasks: Sequence[str] = ()) -> Selection:
    """Select samples by subset and task.

    Args:
        dataset: Data set to select from.
        split: The `split.csv` of a study; None: samples of every subset.
        fold: Subset of `split` (train, val or test); None: test if `split` is given, else all samples.
        tasks: Ids of tasks to include; empty: all.

    Raises:
        ConfigError: `fold` is given without `split`, or the subset or a task does not exist.
        DataError: The split belongs to other data, or no sample is left.
        RunError: The split cannot be read.
    """
    for task_id in tasks:
        if task_id not in dataset.tasks:
            raise ConfigError(explain_unknown_name("--tasks", task_id, dataset.tasks))
    if split is None:
        if fold is not None:
            raise ConfigError("--fold needs --split FILE; give the split.csv of a study")
        chosen = list(zip(dataset.samples, number_components(dataset.samples), strict=True))
    else:
        # Scores on train or val must be requested explicitly, because a model was trained or selected on these samples.
        fold = fold or "test"
        if fold not in SUBSETS:
            raise ConfigError(explain_unknown_name("--fold", fold, SUBSETS))
        chosen = _select_subset(dataset, split, fold)
    selected = [(sample, component) for sample, component in chosen if not tasks or sample.task_id in tasks]
    if not selected:
        raise DataError(f"{split}: the {fold} subset has no sample of {', '.join(tasks) or 'these data'}")
    return Selection(tuple(sample for sample, _ in selected), tuple(component for _, component in selected), fold)


def _select_subset(dataset: Dataset, split: Path, subset: str) -> list[tuple[Sample, int]]:
    samples = {(sample.task_id, sample.sample_id): sample for sample in dataset.samples}
    chosen = []
    for (task_id, sample_id), (subset_of_sample, component) in read_split(split).items():
        if subset_of_sample != subset:
            continue
        if (task_id, sample_id) not in samples:
            raise DataError(
                f"{split}: {task_id}, {sample_id} is not in the data at {dataset.root}; give the split.csv of a study "
                "of these data"
            )
        chosen.append((samples[task_id, sample_id], component))
    return sorted(chosen, key=lambda pair: (pair[0].task_id, pair[0].sample_id))


def read_split(path: Path) -> dict[tuple[str, str], tuple[str, int]]:
    """Return the subset and component of each sample, by task_id and sample_id; samples without a subset are left out.

    Raises:
        RunError: The file cannot be read; the message names the invalid cell.
    """
    return {(row.task_id, row.sample_id): (row.fold, row.component) for row in read_split_rows(path)}
