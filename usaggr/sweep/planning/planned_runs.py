"""The distinct runs of a study: each stage of each block under each variant, scale and seed.

Runs are identified by their fingerprints alone. A block that is in two groupings is therefore trained once.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from usaggr.config.study import StudyConfig
from usaggr.data.split.manifest import Manifest
from usaggr.results.find_runs import find_runs
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import State
from usaggr.results.spec import RunSpec
from usaggr.sweep.planning.fingerprints import Setting, compute_fingerprints
from usaggr.sweep.planning.grouping import Grouping
from usaggr.sweep.planning.run_names import name_stages
from usaggr.sweep.planning.stages import Stage, make_stages
from usaggr.sweep.planning.variants import apply_variants


@dataclass(frozen=True)
class PlannedRun:
    """A run of the study, and the directory that holds or will hold it."""

    spec: RunSpec
    groupings: tuple[str, ...]
    """All groupings with its block; empty for a first stage whose scores no grouping uses."""
    directory: Path
    study: StudyConfig
    """The study with the overrides of variant and stage. Runs that others start from keep their weights."""
    examples: int
    """Number of training examples of all tasks together, from which the training time is estimated."""

    def read_state(self) -> State:
        """Read the run's current state from disk."""
        return RunDirectory(self.directory).read_state()


@dataclass
class _DistinctRun:
    """The first occurrence of a run in the study, and the groupings that use its scores."""

    stage: Stage
    setting: Setting
    groupings: list[str] = field(default_factory=list)


def plan_runs(study: StudyConfig, manifest: Manifest, groupings: Mapping[str, Grouping]) -> Iterator[PlannedRun]:
    """Yield the distinct runs in the order of groupings, variants, scales, seeds and blocks; parents first.

    Args:
        study: the study without overrides of variants.
        manifest: split and rankings of its data.
        groupings: its groupings by name.

    Raises:
        ConfigError: a weights file is missing, or settings do not go together.
    """
    directories = find_runs(study.directory)
    stages = {name: make_stages(grouping) for name, grouping in groupings.items()}
    names = name_stages(groupings, stages)
    variants = apply_variants(study, groupings)
    tasks = {task_id for stage in names for task_id in stage.block}
    sample_keys = itertools.product(tasks, study.scales, study.seeds)
    samples = {key: manifest.select_training_samples(*key) for key in sample_keys}
    fingerprints = compute_fingerprints(study, manifest, list(names), variants, samples)
    distinct = _find_distinct_runs(study, stages, fingerprints)

    parents = {fingerprints[run.stage.parent, run.setting] for run in distinct.values() if run.stage.parent is not None}
    # One study object for all parents of a variant: a large plan has ten thousand runs.
    parent_studies = {key: _keep_weights(variant.study) for key, variant in variants.items()} if parents else {}
    run_ids: dict[str, str] = {}
    # For the same reason, equal tuples of grouping names are stored once.
    interned: dict[tuple[str, ...], tuple[str, ...]] = {}
    for fingerprint, run in distinct.items():
        stage, setting = run.stage, run.setting
        variant_key = (setting.variant, stage.overrides)
        variant, used_by = variants[variant_key], tuple(run.groupings)
        train = {task_id: samples[task_id, setting.scale, setting.seed] for task_id in stage.block}
        windows = stage.compute_windows(variant.study.training, {task_id: len(ids) for task_id, ids in train.items()})
        spec = RunSpec(
            block=names[stage],
            tasks=stage.block,
            scale=setting.scale,
            seed=setting.seed,
            variant=setting.variant,
            settings=variant.settings,
            train_samples=train,
            fingerprint=fingerprint,
            parent=None if stage.parent is None else run_ids[fingerprints[stage.parent, setting]],
            window=windows if stage.is_staged else None,
        )
        run_ids[fingerprint] = spec.run_id
        yield PlannedRun(
            spec=spec,
            groupings=interned.setdefault(used_by, used_by),
            directory=directories.get(fingerprint) or study.directory / "runs" / spec.run_id,
            study=parent_studies[variant_key] if fingerprint in parents else variant.study,
            examples=sum(end - start for start, end in windows.values()),
        )


def _find_distinct_runs(
    study: StudyConfig,
    stages: Mapping[str, Mapping[str, Stage]],
    fingerprints: Mapping[tuple[Stage, Setting], str],
) -> dict[str, _DistinctRun]:
    """Return the distinct runs of a study by fingerprint, in the order of the plan.

    Args:
        study: gives the variants, scales and seeds.
        stages: last stage of each block, by grouping and block.
        fingerprints: fingerprint of each stage under each setting.
    """
    settings = [Setting(*values) for values in itertools.product(study.variants, study.scales, study.seeds)]
    distinct: dict[str, _DistinctRun] = {}
    for grouping, last_stages in stages.items():
        for setting in settings:
            for last_stage in last_stages.values():
                for stage in last_stage.lineage:
                    distinct.setdefault(fingerprints[stage, setting], _DistinctRun(stage, setting))
                used_by = distinct[fingerprints[last_stage, setting]].groupings
                if grouping not in used_by:  # two variants of equal settings are one run
                    used_by.append(grouping)
    return distinct


def _keep_weights(study: StudyConfig) -> StudyConfig:
    """Return a study whose runs keep their weights, for runs that others start from; this changes no result."""
    return study.model_copy(update={"training": study.training.model_copy(update={"keep_weights": "scored"})})
