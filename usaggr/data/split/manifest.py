"""The manifest of a data set: the subset of each sample, and the order in which scales take the training samples.

It is stored in the directory of a study as split.csv and data.json. Reports therefore need no images, and a study
refuses to add results of another data set or split to the directory.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usaggr.config.study import DataConfig
from usaggr.data.samples import Dataset, Sample
from usaggr.data.split.leakage import PlacedSample, Proof, prove_disjoint
from usaggr.data.split.make_split import Split, split_dataset
from usaggr.data.split.ranking import Ranker, TrainingSample, count_cover
from usaggr.document.display_names import pluralize
from usaggr.errors import ConfigError, DataError
from usaggr.results.data_description import read_hashes, write_data
from usaggr.results.integrity import SCHEMA_VERSION
from usaggr.results.sample_counts import count_at_scale
from usaggr.results.split import NO_SUBSET, SUBSETS, SplitRow, Subset, write_split_rows


@dataclass(frozen=True)
class Manifest:
    """A data set with the subset of every sample and, for each seed, a ranking of each task's training samples.

    A scale takes the first samples of the ranking (`usaggr.data.split.ranking`).
    """

    dataset: Dataset
    split: Split
    ranks: dict[int, dict[str, tuple[str, ...]]]
    """Ids of the training samples in rank order, by seed and task."""

    @cached_property
    def by_subset(self) -> dict[tuple[str, Subset], tuple[Sample, ...]]:
        """Samples of each task and subset, in the data set's order."""
        groups: dict[tuple[str, Subset], list[Sample]] = {
            (task_id, subset): [] for task_id in self.dataset.tasks for subset in SUBSETS
        }
        for sample, subset in zip(self.dataset.samples, self.split.subsets, strict=True):
            if subset is not None:
                groups[sample.task_id, subset].append(sample)
        return {key: tuple(samples) for key, samples in groups.items()}

    @cached_property
    def split_hash(self) -> str:
        """Hash of all samples' subsets; it changes if any sample changes its subset."""
        digest = hashlib.sha256()
        for sample, subset in zip(self.dataset.samples, self.split.subsets, strict=True):
            digest.update(f"{sample.task_id}\0{sample.sample_id}\0{subset}\n".encode())
        return digest.hexdigest()

    def select_training_samples(self, task_id: str, scale: float | int, seed: int) -> tuple[str, ...]:
        """Return the ids of a task's training samples at a scale, in rank order.

        Args:
            task_id: id of the task.
            scale: fraction of the training samples if it is a float, cap on their number if it is an integer.
            seed: seed of the ranking; one of the manifest's.
        """
        ranking = self.ranks[seed][task_id]
        return ranking[: count_at_scale(scale, len(ranking), self._count_cover(task_id, seed))]

    def get_task_hash(self, task_id: str) -> str:
        """Return the hash of the content and the subsets of a task's samples; its runs' fingerprints depend on it."""
        return self._task_hashes[task_id]

    def _count_cover(self, task_id: str, seed: int) -> int:
        """Return the size of a ranking's cover: its shortest start that contains each class at least once.

        A scale takes at least the cover, so that each class has a training sample. The result is cached.
        """
        cover = self._covers.get((task_id, seed))
        if cover is None:
            strata, ranking = self._strata[task_id], self.ranks[seed][task_id]
            has_one_stratum = len(set(strata.values())) == 1
            if has_one_stratum:  # all tasks but classifications; the first sample is the cover
                cover = min(1, len(ranking))
            else:
                cover = count_cover([strata[sample_id] for sample_id in ranking])
            self._covers[task_id, seed] = cover
        return cover

    @cached_property
    def _covers(self) -> dict[tuple[str, int], int]:
        """Cache of `_count_cover`, by task and seed."""
        return {}

    @cached_property
    def _strata(self) -> dict[str, dict[str, int]]:
        """Stratum of each sample (class of a classification sample, otherwise 0), by task and sample id."""
        return {task_id: {s.sample_id: s.stratum for s in samples} for task_id, samples in self.dataset.by_task.items()}

    @cached_property
    def _task_hashes(self) -> dict[str, str]:
        """Hash of each task's properties and samples. Another formula would make all finished runs outdated."""
        # Class names, organs and clinical groups are left out, because they do not change the numbers of a run.
        digests = {
            task.id: hashlib.sha256(repr((task.id, task.type, task.num_classes)).encode())
            for task in self.dataset.tasks.values()
        }
        for sample, subset in zip(self.dataset.samples, self.split.subsets, strict=True):
            # Ranks are left out: a run's fingerprint lists its training samples in rank order itself.
            line = f"{sample.sample_id}\0{sample.subject_id}\0{sample.image_hash}\0{sample.label_hash}\0{subset}"
            digests[sample.task_id].update(f"{line}{sample.changed_files}\n".encode())
        return {task_id: digest.hexdigest() for task_id, digest in digests.items()}


def make_manifest(dataset: Dataset, config: DataConfig, seeds: Sequence[int]) -> Manifest:
    """Split a data set and rank its training samples for each seed.

    Args:
        dataset: samples of all tasks.
        config: configuration of the split, and whether each seed draws its own ranking (`data.subset`).
        seeds: seeds of the study.

    Raises:
        DataError: a task has no sample in one of the subsets, or an official split divides a component.
    """
    split = split_dataset(dataset, config.split)
    if problem := describe_empty_subsets(dataset, split):
        raise DataError(problem)
    training: dict[str, list[TrainingSample]] = defaultdict(list)
    for sample, component, subset in zip(dataset.samples, split.components, split.subsets, strict=True):
        if subset == "train":
            training[sample.task_id].append(TrainingSample(sample.sample_id, component, sample.stratum))
    rankers = [Ranker(task_id, training[task_id]) for task_id in dataset.tasks]
    if config.subset == "per_seed":
        ranks = {seed: _rank_tasks(rankers, seed) for seed in seeds}
    else:  # with data.subset=fixed, all seeds share one ranking, drawn with the seed of the split
        ranks = dict.fromkeys(seeds, _rank_tasks(rankers, config.split.seed))
    return Manifest(dataset, split, ranks)


def _rank_tasks(rankers: Sequence[Ranker], seed: int) -> dict[str, tuple[str, ...]]:
    """Return the ids of the training samples in the rank order of one seed, by task."""
    return {ranker.task_id: ranker.rank(seed) for ranker in rankers}


def describe_empty_subsets(dataset: Dataset, split: Split) -> str:
    """Describe the first task without samples in one of the subsets; return an empty text if there is none."""
    counts = Counter(
        (sample.task_id, subset) for sample, subset in zip(dataset.samples, split.subsets, strict=True) if subset
    )
    for task_id in dataset.tasks:
        empty = [subset for subset in SUBSETS if not counts[task_id, subset]]
        if empty:
            return (
                f"task {task_id}: no sample in the subset {' and '.join(empty)}; it has "
                f"{pluralize(len(dataset.by_task[task_id]), 'sample')}, in too few components (subjects) "
                "to be split three ways; add subjects, or remove the task"
            )
    return ""


def describe_manifest(manifest: Manifest) -> dict[str, Any]:
    """Return the content of data.json: tasks with counts, skipped rows, and the proof that subsets are disjoint."""
    tasks = []
    for task in manifest.dataset.tasks.values():
        counts = {f"n_{subset}": len(manifest.by_subset[task.id, subset]) for subset in SUBSETS}
        subjects = len({s.subject_id for s in manifest.by_subset[task.id, "test"]})
        tasks.append(
            {
                "id": task.id,
                "type": task.type,
                "num_classes": task.num_classes,
                "class_names": list(task.class_names),
                "organ": task.organ,
                "clinical_group": task.clinical_group,
                **counts,
                "subjects_test": subjects,
            }
        )
    return {
        "schema_version": SCHEMA_VERSION,
        "root": str(manifest.dataset.root),
        "content_hash": manifest.dataset.content_hash,
        "split_hash": manifest.split_hash,
        "tasks": tasks,
        "skipped": [str(fault) for fault in manifest.dataset.skipped],
        "dropped": manifest.split.dropped,
        "warnings": list(manifest.dataset.warnings),
        "disjoint": count_overlaps(manifest),
        "readings": {task_id: asdict(rules) for task_id, rules in manifest.dataset.rules.items()},
    }


def count_overlaps(manifest: Manifest) -> dict[str, int]:
    """Count components, images, files and subjects, and those in more than one subset (0 unless the split is wrong)."""
    return prove_split(manifest.dataset, manifest.split).list_counts()


def prove_split(dataset: Dataset, split: Split) -> Proof:
    """Prove that no component, image, file or subject is in two subsets; dropped samples are in none.

    Subjects are taken from the index as written, so that the proof does not depend on `Sample.subject_id`, by which the
    split was made.
    """
    return prove_disjoint(
        PlacedSample(subset, component, s.image_hash, str(s.image_path), s.subject_written)
        for s, component, subset in zip(dataset.samples, split.components, split.subsets, strict=True)
        if subset is not None
    )


def write_manifest(manifest: Manifest, directory: Path) -> None:
    """Write split.csv and data.json to the directory of a study.

    Raises:
        ConfigError: the directory holds another data set or another split.
    """
    check_same_data(manifest, directory)
    seeds = sorted(manifest.ranks)
    write_split_rows(directory, seeds, _iterate_rows(manifest, seeds))
    write_data(directory, describe_manifest(manifest))


def _iterate_rows(manifest: Manifest, seeds: Sequence[int]) -> Iterator[tuple[SplitRow, list[int] | None]]:
    """Yield the row of each sample, with its rank for each seed; None instead of ranks if it is no training sample."""
    split = manifest.split
    rank_table = _make_rank_table(manifest, seeds)
    samples = zip(manifest.dataset.samples, split.components, split.subsets, rank_table, strict=True)
    for sample, component, subset, ranks in samples:
        yield _make_row(sample, component, subset), ranks.tolist() if subset == "train" else None


def _make_row(sample: Sample, component: int, subset: Subset | None) -> SplitRow:
    """Return a sample's row of split.csv, without its ranks.

    Args:
        sample: sample of the data set.
        component: number of its component.
        subset: None for a dropped sample.
    """
    return SplitRow(
        task_id=sample.task_id,
        sample_id=sample.sample_id,
        component=component,
        fold=subset or NO_SUBSET,
        # If one image has several rows in an index, the ids of the later ones end in #2, #3, ...
        image_path=re.sub(r"#\d+$", "", sample.sample_id),
        subject_id=sample.subject_id,
        subject_written=sample.subject_written,
        image_sha256=sample.image_hash,
    )


def _make_rank_table(manifest: Manifest, seeds: Sequence[int]) -> NDArray[np.int32]:
    """Return the rank of each sample of the data set for each seed; -1 if it is not a training sample.

    A large data set with many seeds has millions of ranks, so they are stored in an array with four bytes for each.

    Returns:
        Array of shape (samples, seeds).
    """
    index_by_id = {task_id: dict[str, int]() for task_id in manifest.dataset.tasks}
    for i, sample in enumerate(manifest.dataset.samples):
        index_by_id[sample.task_id][sample.sample_id] = i
    table = np.full((len(manifest.dataset.samples), len(seeds)), -1, np.int32)
    for column, seed in enumerate(seeds):
        for task_id, ranking in manifest.ranks[seed].items():
            ranked_indices = [index_by_id[task_id][sample_id] for sample_id in ranking]
            table[ranked_indices, column] = np.arange(len(ranking), dtype=np.int32)
    return table


def check_same_data(manifest: Manifest, directory: Path) -> None:
    """Refuse to mix results of different data or splits in one directory.

    Raises:
        ConfigError: the directory holds another data set or another split.
        RunError: its data.json is damaged, or another version of usaggr wrote it.
    """
    stored = read_hashes(directory)
    if stored is None:
        return
    dataset, remedy = manifest.dataset, f"choose another folder, such as name={directory.name}_2"
    if stored.content_hash != dataset.content_hash:
        # The same files, with another result of reading them: the user changed a setting, or updated usaggr.
        if stored.content_hash == dataset.first_content_hash:
            n_changed = sum(1 for sample in dataset.samples if sample.changed_files)
            raise ConfigError(
                f"{directory} holds results of the same files, of which this version of usaggr or these settings read "
                f"{n_changed} in another way (bit depth, orientation, transparency or palette; `usaggr data check` "
                f"shows it), so that other numbers would be trained; {remedy}"
            )
        raise ConfigError(f"{directory} holds results of another data set (from {stored.root}); {remedy}")
    if stored.split_hash != manifest.split_hash:
        raise ConfigError(f"{directory} holds results of another split (from {stored.root}); {remedy}")
