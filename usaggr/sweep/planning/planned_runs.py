"""The distinct runs of a study: each course of each block under each variant, scale and seed, by fingerprint."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usaggr.config.compose import apply_variant
from usaggr.config.section import FINGERPRINTED, result_settings
from usaggr.config.study import StudyConfig
from usaggr.data.batches.streams import stream_length
from usaggr.data.split.manifest import Manifest
from usaggr.models.weights import check_weights
from usaggr.results.find_runs import find_runs
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import State
from usaggr.results.spec import RunSpec, fingerprint_of_texts
from usaggr.sweep.planning.balancing_checks import check_balancing, check_sampling
from usaggr.sweep.planning.grouping import Grouping
from usaggr.sweep.planning.stages import Course, courses_of, second_stage


@dataclass(frozen=True)
class PlannedRun:
    """A run that the study asks for, and where it is or will be."""

    spec: RunSpec
    groupings: tuple[str, ...]
    """All that hold its block; none of a first stage that is no cell."""
    directory: Path
    study: StudyConfig
    """With the overrides of variant and stage; it keeps the weights that another run starts from."""
    examples: int
    """Training examples of all its tasks' streams: what its time is estimated from."""

    def state(self) -> State:
        """What the run is now, on disk."""
        return RunDirectory(self.directory).state()


@dataclass(frozen=True)
class _Variant:
    """What all runs of a variant, and of a second stage under it, share."""

    name: str
    study: StudyConfig
    settings: dict[str, Any]
    text: str
    """The settings, as they are hashed."""
    weights: str | None
    """Hash of the file with pretrained weights."""


_Setting = tuple[str, float | int, int]
"""Variant, scale, seed."""
_Variants = Mapping[tuple[str, tuple[str, ...]], _Variant]
"""By name, and by the overrides of a second stage."""
_Samples = Mapping[tuple[str, float | int, int], tuple[str, ...]]
"""Ids of training samples, by task, scale and seed."""


def planned_runs(study: StudyConfig, manifest: Manifest, groupings: Mapping[str, Grouping]) -> Iterator[PlannedRun]:
    """The distinct runs, in the order of groupings, variants, scales, seeds and blocks; parents before their children.

    Raises:
        ConfigError: weights or settings that do not go together.
    """
    found = find_runs(study.directory)
    courses = {name: courses_of(grouping) for name, grouping in groupings.items()}
    names = _names(groupings, courses)
    variants = _variants(study, groupings)
    tasks = {task_id for course in names for task_id in course.block}
    settings = [(task, scale, seed) for task in tasks for scale in study.scales for seed in study.seeds]
    samples = {key: manifest.training_samples(*key) for key in settings}
    fingerprints = _fingerprints(study, manifest, list(names), variants, samples)
    first: dict[str, tuple[Course, _Setting]] = {}
    holders: dict[str, list[str]] = {}
    for grouping in groupings.values():
        for setting in itertools.product(study.variants, study.scales, study.seeds):
            for course in courses[grouping.name].values():
                for one in course.lineage:
                    first.setdefault(fingerprints[one, setting], (one, setting))
                of = holders.setdefault(fingerprints[course, setting], [])
                if grouping.name not in of:
                    of.append(grouping.name)
    parents = {fingerprints[one.parent, at] for one, at in first.values() if one.parent is not None}
    keeping = {key: _keeping(variant.study) for key, variant in variants.items()} if parents else {}
    ids: dict[str, str] = {}
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}
    for fingerprint, (course, (name, scale, seed)) in first.items():
        variant, holding = variants[name, course.overrides], tuple(holders.get(fingerprint, ()))
        train = {task_id: samples[task_id, scale, seed] for task_id in course.block}
        parent = None if course.parent is None else ids[fingerprints[course.parent, (name, scale, seed)]]
        windows = _windows(course, variant.study, {task_id: len(of) for task_id, of in train.items()})
        window = windows if _is_staged(course) else None
        settled = (names[course], course.block, scale, seed, name, variant.settings, train, fingerprint)
        spec = RunSpec(*settled, parent, window)
        ids[fingerprint] = spec.run_id
        yield PlannedRun(
            spec,
            shared.setdefault(holding, holding),
            found.get(fingerprint) or study.directory / "runs" / spec.run_id,
            keeping[name, course.overrides] if fingerprint in parents else variant.study,
            sum(end - begin for begin, end in windows.values()),
        )


def _variants(study: StudyConfig, groupings: Mapping[str, Grouping]) -> dict[tuple[str, tuple[str, ...]], _Variant]:
    found: dict[tuple[str, tuple[str, ...]], _Variant] = {}
    for name, changes in study.variants.items():
        found[name, ()] = _variant(name, apply_variant(study, changes))
        for grouping in groupings.values():
            if grouping.staging is None:
                continue
            own = second_stage(study, tuple(changes), grouping)
            check_sampling(own.training, grouping.name)
            if (name, grouping.staging.overrides) not in found:
                found[name, grouping.staging.overrides] = _variant(name, own)
    return found


def _variant(name: str, study: StudyConfig) -> _Variant:
    check_balancing(study.training)
    settings = {section: result_settings(getattr(study, section)) for section in FINGERPRINTED}
    return _Variant(name, study, settings, json.dumps(settings, sort_keys=True), check_weights(study.model))


def _keeping(study: StudyConfig) -> StudyConfig:
    """The study of a run that another one starts from: it keeps its weights, which changes no number of it."""
    return study.model_copy(update={"training": study.training.model_copy(update={"keep_weights": "scored"})})


def _is_staged(course: Course) -> bool:
    return course.share is not None


def _windows(course: Course, study: StudyConfig, n_train: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Of each task's stream, the part that the course's last stage is trained on; the whole one, where it has but one.

    The sum of whole ones is what the run is trained on under any `training.sampling`, which deals it out anew.
    """
    training = study.training
    lengths = {task: stream_length(training.budget, training.min_examples, count) for task, count in n_train.items()}
    return {task_id: course.window(length) for task_id, length in lengths.items()}


def _fingerprints(
    study: StudyConfig, manifest: Manifest, courses: Sequence[Course], variants: _Variants, samples: _Samples
) -> dict[tuple[Course, _Setting], str]:
    """Of each course, parents before children, under each setting.

    The lists of samples that are hashed are long texts: those of one seed and scale are held at a time.
    """
    blocks = {course.block for course in courses}
    contents = {block: "".join(manifest.task_content(task_id) for task_id in block) for block in blocks}
    tasks = {task_id for block in blocks for task_id in block}
    quoted = {
        sample.sample_id: json.dumps(sample.sample_id) for t in tasks for sample in manifest.by_subset[t, "train"]
    }
    found: dict[tuple[Course, _Setting], str] = {}
    for seed in study.seeds:
        ranked = {task_id: [quoted[sample_id] for sample_id in manifest.ranks[seed][task_id]] for task_id in tasks}
        for scale in study.scales:
            counts = {task_id: len(samples[task_id, scale, seed]) for task_id in tasks}
            lists = {t: f"[{', '.join(ranked[t][: counts[t]])}]" for t in tasks}
            for course in courses:
                texts = {task_id: lists[task_id] for task_id in course.block}
                for name in study.variants:
                    v, setting = variants[name, course.overrides], (name, scale, seed)
                    above = None if course.parent is None else found[course.parent, setting]
                    own = {task_id: counts[task_id] for task_id in course.block}
                    window = _windows(course, v.study, own) if _is_staged(course) else None
                    known = (contents[course.block], seed, v.weights, above, window)
                    found[course, setting] = fingerprint_of_texts(v.text, course.block, texts, *known)
    return found


def _names(groupings: Mapping[str, Grouping], courses: Mapping[str, Mapping[str, Course]]) -> dict[Course, str]:
    """Name of each distinct course, parents before children.

    Of one stage: its task, `unified`, or what the first grouping that holds the block calls it. A first stage that is
    cut short has `.first` behind that, a second stage its grouping before its block's name there.
    """
    plain = [grouping for grouping in groupings.values() if grouping.staging is None]
    above = [grouping.staging.parent for grouping in groupings.values() if grouping.staging is not None]
    blocks = _block_names([*plain, *above])
    names: dict[Course, str] = {}
    for grouping in groupings.values():
        for block, course in courses[grouping.name].items():
            for one in course.lineage:
                whole = one.parent is None
                of_first = blocks[one.block] + (".first" if _is_staged(one) else "") if whole else ""
                names.setdefault(one, of_first if whole else f"{grouping.name}.{block}")
    return names


def _block_names(groupings: Sequence[Grouping]) -> dict[tuple[str, ...], str]:
    """Name of each distinct block: its task, `unified`, or what the first grouping that holds it calls it."""
    everything = max((block for g in groupings for block in g.blocks.values()), key=len)
    total = sum(len(block) for block in groupings[0].blocks.values())
    names: dict[tuple[str, ...], str] = {}
    for grouping in groupings:
        for name, tasks in grouping.blocks.items():
            names.setdefault(tasks, tasks[0] if len(tasks) == 1 else name)
    if len(everything) == total and total > 1:
        names[everything] = "unified"
    return names
