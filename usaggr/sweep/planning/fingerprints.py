"""Fingerprints of all runs of a study: hashes of everything that can change a run's numbers."""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from usaggr.config.study import StudyConfig
from usaggr.data.split.manifest import Manifest
from usaggr.results.spec import compute_fingerprint_of_json
from usaggr.sweep.planning.stages import Stage
from usaggr.sweep.planning.variants import AppliedVariant, VariantKey


class Setting(NamedTuple):
    """A combination of variant, scale and seed."""

    variant: str
    scale: float | int
    seed: int


TrainingSamples = Mapping[tuple[str, float | int, int], tuple[str, ...]]
"""Ids of training samples in rank order, by task, scale and seed."""


def compute_fingerprints(
    study: StudyConfig,
    manifest: Manifest,
    stages: Sequence[Stage],
    variants: Mapping[VariantKey, AppliedVariant],
    samples: TrainingSamples,
) -> dict[tuple[Stage, Setting], str]:
    """Return the fingerprint of each stage under each variant, scale and seed.

    The hashed lists of samples are long texts, so only those of one seed and scale are in memory at a time.

    Args:
        study: its variants, scales and seeds.
        manifest: content of the tasks and ranks of their training samples.
        stages: distinct stages of the study, parents before children.
        variants: applied variants.
        samples: training samples of each task, scale and seed.
    """
    blocks = {stage.block for stage in stages}
    contents = {block: "".join(manifest.get_task_hash(task_id) for task_id in block) for block in blocks}
    tasks = {task_id for block in blocks for task_id in block}
    # Each id is quoted once here, not once in every run's list: quoting takes most of the time of a large plan.
    quoted = {
        sample.sample_id: json.dumps(sample.sample_id) for t in tasks for sample in manifest.by_subset[t, "train"]
    }
    fingerprints: dict[tuple[Stage, Setting], str] = {}
    for seed in study.seeds:
        ranked = {task_id: [quoted[sample_id] for sample_id in manifest.ranks[seed][task_id]] for task_id in tasks}
        for scale in study.scales:
            counts = {task_id: len(samples[task_id, scale, seed]) for task_id in tasks}
            # Each scale takes the first samples of the ranking, so that a larger scale contains a smaller one.
            id_lists = {task_id: f"[{', '.join(ranked[task_id][: counts[task_id]])}]" for task_id in tasks}
            for stage in stages:
                texts = {task_id: id_lists[task_id] for task_id in stage.block}
                n_train = {task_id: counts[task_id] for task_id in stage.block}
                for name in study.variants:
                    variant, setting = variants[name, stage.overrides], Setting(name, scale, seed)
                    fingerprints[stage, setting] = compute_fingerprint_of_json(
                        variant.settings_text,
                        stage.block,
                        texts,
                        contents[stage.block],
                        seed,
                        variant.weights_hash,
                        None if stage.parent is None else fingerprints[stage.parent, setting],
                        stage.compute_windows(variant.study.training, n_train) if stage.is_staged else None,
                    )
    return fingerprints
