"""The manifest of a data set: its split and rankings, stored in split.csv and data.json.

The directory of a study contains the manifest of its data. Reports therefore need no images, and results of another
data set or split are refused.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
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
from usaggr.data.split.ranking import Ranker, TrainingSample, count_at_scale, count_cover
from usaggr.errors import ConfigError, DataError
from usaggr.results.data_description import read_hashes, write_data
from usaggr.results.integrity import SCHEMA_VERSION
from usaggr.results.split import NO_SUBSET, SUBSETS, SplitRow, Subset, write_split_rows

MIN_TEST_SUBJECTS = 5
"""Smallest number of test subjects with which a task gets a verdict; with fewer, only its scores are reported."""


@dataclass(frozen=True)
class Manifest:
    """A data set with the subset of every sample and, for each seed, the rank of every training sample."""

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
        return {name: tuple(samples) for name, samples in groups.items()}

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
        """Return the hash of the content and the subsets of a task's samples; fingerprints of its runs contain it."""
        return self._task_hashes[task_id]

    def _count_cover(self, task_id: str, seed: int) -> int:
        """Return the number of samples from the start of a ranking that contain all of its classes; cached."""
        cover = self._covers.get((task_id, seed))
        if cover is None:
            strata, ranking = self._strata[task_id], self.ranks[seed][task_id]
            if len(set(strata.values())) == 1:  # most tasks have one class, for which nothing has to be counted
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
        """Stratum of each sample, by task and sample id."""
        return {task_id: {s.sample_id: s.stratum for s in samples} for task_id, samples in self.dataset.by_task.items()}

    @cached_property
    def _task_hashes(self) -> dict[str, str]:
        # Class names, organs and clinical groups are left out, because they change no run.
        digests = {
            task.id: hashlib.sha256(repr((task.id, task.type, task.num_classes)).encode())
            for task in self.dataset.tasks.values()
        }
        for sample, subset in zip(self.dataset.samples, self.split.subsets, strict=True):
            # A run's fingerprint lists its training samples, so the subset's name without the rank is enough here.
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
    # With data.subset=fixed, all seeds share one ranking, drawn by the split's seed.
    ranking_seeds = {seed: seed if config.subset == "per_seed" else config.split.seed for seed in seeds}
    rankers = [Ranker(task_id, training[task_id]) for task_id in dataset.tasks]
    rankings: dict[int, dict[str, tuple[str, ...]]] = {}
    for ranking_seed in sorted(set(ranking_seeds.values())):
        rankings[ranking_seed] = {ranker.task_id: ranker.rank(ranking_seed) for ranker in rankers}
    return Manifest(dataset, split, {seed: rankings[ranking_seeds[seed]] for seed in seeds})


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
                f"{len(dataset.by_task[task_id])} samples, in too few components (subjects) "
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
    """Count components, images, files and subjects, and those in two subsets (0 unless the split is wrong)."""
    return prove_split(manifest.dataset, manifest.split).list_counts()


def prove_split(dataset: Dataset, split: Split) -> Proof:
    """Prove that no image, file or subject (as written in the index) is in two subsets."""
    return prove_disjoint(
        PlacedSample(subset, component, s.image_hash, str(s.image_path), s.subject_written)
        for s, component, subset in zip(dataset.samples, split.components, split.subsets, strict=True)
        if subset is not None
    )


def write_manifest(manifest: Manifest, directory: Path) -> None:
    """Write split.csv and data.json.

    Raises:
        ConfigError: the directory holds another data set or another split.
    """
    check_same_data(manifest, directory)
    seeds = sorted(manifest.ranks)
    ranks, samples, split = _make_rank_table(manifest, seeds), manifest.dataset.samples, manifest.split
    split_rows = (
        (_make_row(sample, component, subset), ranks[i].tolist() if subset == "train" else None)
        for i, (sample, component, subset) in enumerate(zip(samples, split.components, split.subsets, strict=True))
    )
    write_split_rows(directory, seeds, split_rows)
    write_data(directory, describe_manifest(manifest))


def _make_row(sample: Sample, component: int, subset: Subset | None) -> SplitRow:
    """Return a sample's row of split.csv.

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
        # The ids of further rows of one image end in #2, #3, ..., which is not part of the path.
        image_path=re.sub(r"#\d+$", "", sample.sample_id),
        subject_id=sample.subject_id,
        subject_written=sample.subject_written,
        image_sha256=sample.image_hash,
    )


def _make_rank_table(manifest: Manifest, seeds: Sequence[int]) -> NDArray[np.int32]:
    """Return the rank of each sample of the data set for each seed; -1 if it is not a training sample.

    An array of four bytes per rank, because a large data set with many seeds has millions of ranks.

    Returns:
        Array of shape (samples, seeds).
    """
    sample_indices = {task_id: dict[str, int]() for task_id in manifest.dataset.tasks}
    for i, sample in enumerate(manifest.dataset.samples):
        sample_indices[sample.task_id][sample.sample_id] = i
    table = np.full((len(manifest.dataset.samples), len(seeds)), -1, np.int32)
    for column, seed in enumerate(seeds):
        for task_id, ids in manifest.ranks[seed].items():
            task_indices = [sample_indices[task_id][sample_id] for sample_id in ids]
            table[task_indices, column] = np.arange(len(ids), dtype=np.int32)
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
    for difference, stored_hash, current_hash in (
        ("another data set", stored.content_hash, manifest.dataset.content_hash),
        ("another split", stored.split_hash, manifest.split_hash),
    ):
        if stored_hash == current_hash:
            continue
        if stored_hash == manifest.dataset.first_content_hash:
            changed = sum(bool(sample.changed_files) for sample in manifest.dataset.samples)
            raise ConfigError(
                f"{directory} holds results of the same files, of which this version of usaggr or these settings read "
                f"{changed} in another way (bit depth, orientation, transparency or palette; `usaggr data check` shows "
                f"it), so that other numbers would be trained; choose another folder, such as name={directory.name}_2"
            )
        raise ConfigError(
            f"{directory} holds results of {difference} (from {stored.root}); "
            f"choose another folder, such as name={directory.name}_2"
        )
