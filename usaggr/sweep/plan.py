"""The plan of a study: its distinct runs, from groupings x scales x seeds x variants.

A block that stands in two groupings is one run: runs are told apart by fingerprint alone. Planning needs the data's
manifest but no network, so it imports no torch.
"""

import csv
import gc
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from usaggr.compose import apply_variant, describe_study, read_groupings
from usaggr.config import StudyConfig
from usaggr.config_errors import explain
from usaggr.config_section import FINGERPRINTED, result_settings
from usaggr.data.dataset import load_dataset
from usaggr.data.manifest import Manifest, check_same_data, make_manifest, write_manifest
from usaggr.data.streams import stream_length
from usaggr.errors import ConfigError, one_of
from usaggr.models.weights import check_weights
from usaggr.progress import NoProgress, Progress
from usaggr.runs import RunDirectory, RunSpec, State, fingerprint_of, write_atomic
from usaggr.sweep.groupings import Grouping, GroupingConfig, partition
from usaggr.sweep.store import find_runs

PLAN_COLUMNS = (
    "run_id", "block", "groupings", "tasks", "scale", "seed", "variant", "parent", "fingerprint", "state",
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
    check_same_data(manifest, study.directory)
    groupings = {
        name: partition(name, _grouping_config(name, content), tasks) for name, content in read_groupings(study).items()
    }
    found = find_runs(study.directory)
    planned: dict[str, PlannedRun] = {}
    for grouping, spec, variant in _specs(study, manifest, groupings):
        known = planned.get(spec.fingerprint)
        holders = (*known.groupings, grouping) if known else (grouping,)
        planned[spec.fingerprint] = PlannedRun(
            spec=known.spec if known else spec,
            groupings=tuple(dict.fromkeys(holders)),
            directory=found.get(spec.fingerprint, study.directory / "runs" / (known.spec if known else spec).run_id),
            study=variant,
            examples=sum(
                stream_length(variant.training.budget, variant.training.min_examples, len(ids))
                for ids in spec.train_samples.values()
            ),
        )
    return Plan(study, study.directory, manifest, groupings, tuple(planned.values()))


def write_plan(plan: Plan) -> None:
    """Write study.yaml, data.json, split.csv and plan.csv into the study's directory.

    Raises:
        ConfigError: the directory holds another data set or another split.
    """
    write_manifest(plan.manifest, plan.directory)
    write_atomic(plan.directory / "study.yaml", describe_study(plan.study))
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
        writer.writerow([*where, spec.parent or "", spec.fingerprint, run.state()])
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


def _specs(
    study: StudyConfig, manifest: Manifest, groupings: dict[str, Grouping]
) -> Iterator[tuple[str, RunSpec, StudyConfig]]:
    variants = {name: apply_variant(study, overrides) for name, overrides in study.variants.items()}
    settings = {
        name: {section: result_settings(getattr(variant, section)) for section in FINGERPRINTED}
        for name, variant in variants.items()
    }
    weights = {name: check_weights(variant.model) for name, variant in variants.items()}
    contents = {task_id: manifest.task_content(task_id) for task_id in manifest.dataset.tasks}
    samples = {
        (task_id, scale, seed): manifest.training_samples(task_id, scale, seed)
        for task_id in manifest.dataset.tasks
        for scale in study.scales
        for seed in study.seeds
    }
    names = _block_names(groupings)
    for grouping in groupings.values():
        for name, variant in variants.items():
            for scale in study.scales:
                for seed in study.seeds:
                    for tasks in grouping.blocks.values():
                        train = {task_id: samples[task_id, scale, seed] for task_id in tasks}
                        content = "".join(contents[task_id] for task_id in tasks)
                        fingerprint = fingerprint_of(settings[name], tasks, train, content, seed, weights[name], None)
                        spec = RunSpec(names[tasks], tasks, scale, seed, name, settings[name], train, fingerprint)
                        yield grouping.name, spec, variant


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


def _grouping_config(name: str, content: dict[str, object]) -> GroupingConfig:
    try:
        return GroupingConfig.model_validate(content)
    except ValidationError as error:
        lines = explain(error, schema=GroupingConfig).splitlines()
        raise ConfigError("\n".join(f"grouping {name}: {line}" for line in lines)) from error
