"""The manifest of a data set: its split, its rankings and what is told of them, on disk as split.csv and data.json.

It is what a study's directory keeps of its data, so that reports need no images, and another data set or split is
refused.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usaggr.config.study import DataConfig
from usaggr.data.samples import Dataset, Sample
from usaggr.data.split.leakage import Placement, Proof, prove_disjoint
from usaggr.data.split.make_split import Split, split_dataset
from usaggr.data.split.ranking import Ranked, Ranker, count_of_scale, cover_size
from usaggr.errors import ConfigError, DataError
from usaggr.results.data_description import read_hashes, write_data
from usaggr.results.integrity import SCHEMA_VERSION
from usaggr.results.split import NO_SUBSET, SUBSETS, SplitRow, Subset, write_split_rows

MIN_TEST_SUBJECTS = 5
"""Under so many test subjects a task gets scores but no verdict."""


@dataclass(frozen=True)
class Manifest:
    """A data set with the fold of every sample and, for each seed, the rank of every training sample."""

    dataset: Dataset
    split: Split
    ranks: dict[int, dict[str, tuple[str, ...]]]
    """Seed: task: ids of the training samples in rank order."""

    @cached_property
    def by_subset(self) -> dict[tuple[str, Subset], tuple[Sample, ...]]:
        """Samples of each task and fold, in the data set's order."""
        groups: dict[tuple[str, Subset], list[Sample]] = {(t, f): [] for t in self.dataset.tasks for f in SUBSETS}
        for sample, fold in zip(self.dataset.samples, self.split.subsets, strict=True):
            if fold is not None:
                groups[sample.task_id, fold].append(sample)
        return {name: tuple(samples) for name, samples in groups.items()}

    @cached_property
    def split_hash(self) -> str:
        """Changes where any sample changes its fold."""
        digest = hashlib.sha256()
        for sample, fold in zip(self.dataset.samples, self.split.subsets, strict=True):
            digest.update(f"{sample.task_id}\0{sample.sample_id}\0{fold}\n".encode())
        return digest.hexdigest()

    def training_samples(self, task_id: str, scale: float | int, seed: int) -> tuple[str, ...]:
        """Ids of the samples that a scale takes, in rank order."""
        ranking = self.ranks[seed][task_id]
        return ranking[: count_of_scale(scale, len(ranking), self._cover(task_id, seed))]

    def task_content(self, task_id: str) -> str:
        """Hash of the content and the folds of a task's samples."""
        return self._task_content[task_id]

    def _cover(self, task_id: str, seed: int) -> int:
        """How many samples of a ranking hold all of its classes."""
        found = self._covers.get((task_id, seed))
        if found is None:
            strata, ranking = self._strata[task_id], self.ranks[seed][task_id]
            one = len(set(strata.values())) == 1
            found = min(1, len(ranking)) if one else cover_size([strata[sample_id] for sample_id in ranking])
            self._covers[task_id, seed] = found
        return found

    @cached_property
    def _covers(self) -> dict[tuple[str, int], int]:
        return {}

    @cached_property
    def _strata(self) -> dict[str, dict[str, int]]:
        return {task_id: {s.sample_id: s.stratum for s in of} for task_id, of in self.dataset.by_task.items()}

    @cached_property
    def _task_content(self) -> dict[str, str]:
        # Not the task's names, organ and clinical group: they change no run.
        digests = {
            task.id: hashlib.sha256(repr((task.id, task.type, task.num_classes)).encode())
            for task in self.dataset.tasks.values()
        }
        for sample, fold in zip(self.dataset.samples, self.split.subsets, strict=True):
            # The training samples are named one by one in a run's fingerprint, so a fold's name is enough here.
            line = f"{sample.sample_id}\0{sample.subject_id}\0{sample.image_hash}\0{sample.label_hash}\0{fold}\n"
            digests[sample.task_id].update(line.encode())
        return {task_id: digest.hexdigest() for task_id, digest in digests.items()}


def make_manifest(dataset: Dataset, config: DataConfig, seeds: Sequence[int]) -> Manifest:
    """Split a data set and rank its training samples for each seed.

    Raises:
        DataError: a task has no sample in one of the folds, or an official split cuts a component.
    """
    split = split_dataset(dataset, config.split)
    training: dict[str, list[Ranked]] = defaultdict(list)
    counts: Counter[tuple[str, Subset]] = Counter()
    for sample, component, fold in zip(dataset.samples, split.components, split.subsets, strict=True):
        if fold == "train":
            training[sample.task_id].append(Ranked(sample.sample_id, component, sample.stratum))
        if fold is not None:
            counts[sample.task_id, fold] += 1
    for task_id in dataset.tasks:
        empty = [fold for fold in SUBSETS if not counts[task_id, fold]]
        if empty:
            raise DataError(
                f"task {task_id}: no sample in the fold {' and '.join(empty)}; it has {len(dataset.by_task[task_id])} "
                "samples, in too few components (subjects) to be split three ways"
            )
    # With data.subset=fixed, one ranking (drawn by the split's seed) serves all seeds.
    drawn_by = {seed: seed if config.subset == "per_seed" else config.split.seed for seed in seeds}
    rankers = [Ranker(task_id, training[task_id]) for task_id in dataset.tasks]
    rankings = {by: {r.task_id: r.ranking(by) for r in rankers} for by in sorted(set(drawn_by.values()))}
    return Manifest(dataset, split, {seed: rankings[drawn_by[seed]] for seed in seeds})


def describe(manifest: Manifest) -> dict[str, Any]:
    """What data.json holds: the tasks with their counts, what was skipped, and the proof that folds are disjoint."""
    tasks = []
    for task in manifest.dataset.tasks.values():
        counts = {f"n_{fold}": len(manifest.by_subset[task.id, fold]) for fold in SUBSETS}
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
        "disjoint": disjointness(manifest),
    }


def disjointness(manifest: Manifest) -> dict[str, int]:
    """How many components, images, files and subjects there are, and how many stand in two folds (none may)."""
    return prove_split(manifest.dataset, manifest.split).counts()


def prove_split(dataset: Dataset, split: Split) -> Proof:
    """Prove from images, files and the written names of subjects that none of them is in two folds."""
    return prove_disjoint(
        Placement(fold, component, s.image_hash, str(s.image_path), s.subject_written)
        for s, component, fold in zip(dataset.samples, split.components, split.subsets, strict=True)
        if fold is not None
    )


def write_manifest(manifest: Manifest, directory: Path) -> None:
    """Write split.csv and data.json.

    Raises:
        ConfigError: the directory holds another data set or another split.
    """
    check_same_data(manifest, directory)
    seeds = sorted(manifest.ranks)
    ranks, samples, split = _rank_table(manifest, seeds), manifest.dataset.samples, manifest.split
    rows = (
        (_row(sample, component, fold), ranks[i].tolist() if fold == "train" else None)
        for i, (sample, component, fold) in enumerate(zip(samples, split.components, split.subsets, strict=True))
    )
    write_split_rows(directory, seeds, rows)
    write_data(directory, describe(manifest))


def _row(sample: Sample, component: int, fold: Subset | None) -> SplitRow:
    return SplitRow(
        task_id=sample.task_id,
        sample_id=sample.sample_id,
        component=component,
        fold=fold or NO_SUBSET,
        image_path=re.sub(r"#\d+$", "", sample.sample_id),
        subject_id=sample.subject_id,
        subject_written=sample.subject_written,
        image_sha256=sample.image_hash,
    )


def _rank_table(manifest: Manifest, seeds: Sequence[int]) -> NDArray[np.int32]:
    """Rank of each sample of the data set (rows) for each seed (columns); -1 where it is no training sample.

    Ten thousand runs of a large data set have millions of ranks: in an array they take four bytes each.
    """
    rows = {task_id: dict[str, int]() for task_id in manifest.dataset.tasks}
    for i, sample in enumerate(manifest.dataset.samples):
        rows[sample.task_id][sample.sample_id] = i
    table = np.full((len(manifest.dataset.samples), len(seeds)), -1, np.int32)
    for column, seed in enumerate(seeds):
        for task_id, ids in manifest.ranks[seed].items():
            of = rows[task_id]
            table[[of[sample_id] for sample_id in ids], column] = np.arange(len(ids), dtype=np.int32)
    return table


def check_same_data(manifest: Manifest, directory: Path) -> None:
    """Refuse to mix results of different data or splits in one directory.

    Raises:
        ConfigError: the directory holds another data set or another split.
        RunError: its data.json is damaged, or another version of the tool wrote it.
    """
    old = read_hashes(directory)
    if old is None:
        return
    for what, stored, new in (
        ("another data set", old.content_hash, manifest.dataset.content_hash),
        ("another split", old.split_hash, manifest.split_hash),
    ):
        if stored != new:
            raise ConfigError(
                f"{directory} holds results of {what} (from {old.root}); "
                f"choose another folder, such as name={directory.name}_2"
            )
