"""The plan of a study: its distinct runs, from groupings x scales x seeds x variants.

A block that stands in two groupings is one run: runs are told apart by fingerprint alone. Planning needs the data's
manifest but no network, so it imports no torch.
"""

import csv
import gc
import io
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from usaggr.compose import apply_variant, describe_study
from usaggr.config import StudyConfig
from usaggr.config_section import FINGERPRINTED, result_settings
from usaggr.data.dataset import load_dataset
from usaggr.data.manifest import Manifest, check_same_data, make_manifest, write_manifest
from usaggr.data.streams import stream_length
from usaggr.errors import ConfigError, one_of
from usaggr.files import write_atomic
from usaggr.models.weights import check_weights
from usaggr.progress import NoProgress, Progress
from usaggr.runs import RunDirectory, RunSpec, State, fingerprint_of_texts
from usaggr.stored import SCHEMA_VERSION
from usaggr.sweep.balancing import check_balancing
from usaggr.sweep.groupings import Grouping
from usaggr.sweep.partitions import describe_groupings, make_groupings
from usaggr.sweep.store import find_runs
from usaggr.sweep.versions import COLUMN, STUDY_HEAD, check_versions

PLAN_COLUMNS = (
    "run_id", "block", "groupings", "tasks", "scale", "seed", "variant", "parent", "fingerprint", "state", COLUMN,
)  # fmt: skip


@dataclass(frozen=True)
class PlannedRun:
    """A run that the study asks for, and where it is or will be."""

    spec: RunSpec
    groupings: tuple[str, ...]
    """All that hold its block."""
    directory: Path
    study: StudyConfig
    """With the variant's overrides."""
    examples: int
    """Training examples of all its tasks' streams: what its time is estimated from."""

    def state(self) -> State:
        """What the run is now, on disk."""
        return RunDirectory(self.directory).state()


@dataclass(frozen=True)
class Plan:
    """All runs of a study, in the order of groupings, variants, scales, seeds and blocks."""

    study: StudyConfig
    directory: Path
    manifest: Manifest
    groupings: dict[str, Grouping]
    runs: tuple[PlannedRun, ...]

    @cached_property
    def asked(self) -> int:
        """Runs there would be if no block were shared between groupings."""
        return sum(len(run.groupings) for run in self.runs)


def make_plan(study: StudyConfig, progress: Progress | None = None) -> Plan:
    """Read the data, partition the tasks, and list the distinct runs.

    Raises:
        ConfigError: a task or grouping that does not fit the data, or a directory that holds other data.
        DataError: what is wrong with the data.
    """
    with _without_collector():
        return _make_plan(study, progress or NoProgress())


def _make_plan(study: StudyConfig, progress: Progress) -> Plan:
    dataset = load_dataset(study.data, progress)
    for task_id in study.tasks or ():
        if task_id not in dataset.tasks:
            raise ConfigError(one_of("tasks", task_id, dataset.tasks))
    tasks = {t: dataset.tasks[t] for t in sorted(study.tasks or dataset.tasks)}
    for task_id in study.training.task_weights:
        if task_id not in dataset.tasks:
            raise ConfigError(one_of("training.task_weights", task_id, dataset.tasks))
    manifest = make_manifest(dataset, study.data, study.seeds)
    check_versions(study.directory)
    check_same_data(manifest, study.directory)
    groupings = make_groupings(study, tasks, dataset)
    return Plan(study, study.directory, manifest, groupings, tuple(_runs(study, manifest, groupings)))


def write_plan(plan: Plan) -> None:
    """Write study.yaml, groupings.yaml, data.json, split.csv and plan.csv into the study's directory.

    Raises:
        ConfigError: the directory holds another data set or another split.
        RunError: a newer version of the tool wrote it, or it cannot be written to.
    """
    check_versions(plan.directory)
    write_manifest(plan.manifest, plan.directory)
    write_atomic(plan.directory / "study.yaml", STUDY_HEAD + describe_study(plan.study))
    write_atomic(plan.directory / "groupings.yaml", describe_groupings(plan.groupings))
    write_states(plan)


def write_states(plan: Plan) -> None:
    """Write plan.csv anew, with the runs' present states."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(PLAN_COLUMNS)
    for run in plan.runs:
        spec = run.spec
        holders, tasks = ";".join(run.groupings), ";".join(spec.tasks)
        where = (run.directory.name, spec.block, holders, tasks, spec.scale, spec.seed, spec.variant)
        writer.writerow([*where, spec.parent or "", spec.fingerprint, run.state(), SCHEMA_VERSION])
    write_atomic(plan.directory / "plan.csv", text.getvalue())


@contextmanager
def _without_collector() -> Iterator[None]:
    """Switch off the search for cyclic garbage: planning makes many small objects that all stay, and no cycles."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


@dataclass(frozen=True)
class _Variant:
    """What all runs of a variant share."""

    name: str
    study: StudyConfig
    settings: dict[str, Any]
    text: str
    """The settings, as they are hashed."""
    weights: str | None
    """Hash of the file with pretrained weights."""


_Setting = tuple[str, float | int, int]
"""Variant, scale, seed."""
_Block = tuple[str, ...]
"""Sorted task ids."""


def _runs(study: StudyConfig, manifest: Manifest, groupings: dict[str, Grouping]) -> Iterator[PlannedRun]:
    """The distinct runs, in the order of groupings, variants, scales, seeds and blocks."""
    found = find_runs(study.directory)
    variants = {name: _variant(name, apply_variant(study, changes)) for name, changes in study.variants.items()}
    names = _block_names(groupings)
    samples = {
        (task_id, scale, seed): manifest.training_samples(task_id, scale, seed)
        for task_id in {task_id for block in names for task_id in block}
        for scale in study.scales
        for seed in study.seeds
    }
    fingerprints = _fingerprints(study, manifest, list(names), variants, samples)
    first: dict[str, tuple[_Block, _Setting]] = {}
    holders: dict[str, list[str]] = {}
    for grouping in groupings.values():
        for setting in itertools.product(variants, study.scales, study.seeds):
            for block in grouping.blocks.values():
                fingerprint = fingerprints[block, setting]
                first.setdefault(fingerprint, (block, setting))
                of = holders.setdefault(fingerprint, [])
                if grouping.name not in of:
                    of.append(grouping.name)
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}
    for fingerprint, (block, (name, scale, seed)) in first.items():
        variant, holding = variants[name], tuple(holders[fingerprint])
        train = {task_id: samples[task_id, scale, seed] for task_id in block}
        spec = RunSpec(names[block], block, scale, seed, name, variant.settings, train, fingerprint)
        training = variant.study.training
        yield PlannedRun(
            spec,
            shared.setdefault(holding, holding),
            found.get(fingerprint) or study.directory / "runs" / spec.run_id,
            variant.study,
            sum(stream_length(training.budget, training.min_examples, len(ids)) for ids in train.values()),
        )


def _variant(name: str, study: StudyConfig) -> _Variant:
    check_balancing(study.training)
    settings = {section: result_settings(getattr(study, section)) for section in FINGERPRINTED}
    return _Variant(name, study, settings, json.dumps(settings, sort_keys=True), check_weights(study.model))


def _fingerprints(
    study: StudyConfig,
    manifest: Manifest,
    blocks: Sequence[_Block],
    variants: Mapping[str, _Variant],
    samples: Mapping[tuple[str, float | int, int], tuple[str, ...]],
) -> dict[tuple[_Block, _Setting], str]:
    """Of each block under each setting.

    The lists of samples that are hashed are long texts: those of one seed and scale are held at a time.
    """
    contents = {block: "".join(manifest.task_content(task_id) for task_id in block) for block in blocks}
    tasks = {task_id for block in blocks for task_id in block}
    quoted = {sample.sample_id: json.dumps(sample.sample_id) for t in tasks for sample in manifest.by_fold[t, "train"]}
    found: dict[tuple[_Block, _Setting], str] = {}
    for seed in study.seeds:
        ranked = {task_id: [quoted[sample_id] for sample_id in manifest.ranks[seed][task_id]] for task_id in tasks}
        for scale in study.scales:
            lists = {t: f"[{', '.join(ranked[t][: len(samples[t, scale, seed])])}]" for t in tasks}
            for block in blocks:
                texts = {task_id: lists[task_id] for task_id in block}
                for v in variants.values():
                    of = fingerprint_of_texts(v.text, block, texts, contents[block], seed, v.weights, None)
                    found[block, (v.name, scale, seed)] = of
    return found


def _block_names(groupings: dict[str, Grouping]) -> dict[tuple[str, ...], str]:
    """Name of each distinct block: its task, `unified`, or what the first grouping that holds it calls it."""
    everything = max((block for g in groupings.values() for block in g.blocks.values()), key=len)
    total = sum(len(block) for block in next(iter(groupings.values())).blocks.values())
    names: dict[tuple[str, ...], str] = {}
    for grouping in groupings.values():
        for name, tasks in grouping.blocks.items():
            names.setdefault(tasks, tasks[0] if len(tasks) == 1 else name)
    if len(everything) == total and total > 1:
        names[everything] = "unified"
    return names
