"""Blocks of tasks from estimated affinities, with a limit on the number of models or on their parameters."""

from collections.abc import Mapping, Sequence

import numpy as np

from usaggr.affinity.clustering import cluster, score_partition
from usaggr.affinity.estimate import Affinities, AffinityRequest, estimate
from usaggr.config.study import StudyConfig
from usaggr.data.batches.cache import build_or_open
from usaggr.data.batches.run_data import select_run_data
from usaggr.errors import ConfigError
from usaggr.progress import Progress
from usaggr.results.affinity import SIMILARITIES, Array, Measure
from usaggr.tasks import Task

Blocks = dict[str, tuple[str, ...]]
"""Name of a block: its sorted task ids."""
MILLION = 10**6
"""Parameters per unit of `--max-cost`."""


def affinity_blocks(
    study: StudyConfig,
    measure: Measure = "lookahead",
    most_blocks: int | None = None,
    progress: Progress | None = None,
    overhead: float | None = None,
) -> Blocks:
    """Return the affinity grouping of a study's tasks; the entry point for Python.

    Trains the study's unified run for each of its seeds at its first scale, with probes, unless the result is in
    `outputs/<name>/affinity/` already. Measures of routing and features need no training. The result can be written as
    a grouping file: `yaml.safe_dump({"blocks": {name: list(tasks) for name, tasks in blocks.items()}})`, in a folder
    `conf/grouping/` or that of `compose_study(..., config_dir=...)`.

    Args:
        study: Study from `compose_study`; its groupings need not include `unified`.
        measure: lookahead, gradient, routing or features.
        most_blocks: Largest number of models; None: the number of clinical groups of the tasks.
        progress: Receives the progress of the work.
        overhead: Seconds of probes per second of training; None: 0.3. More gives more estimates per pair.

    Raises:
        ConfigError, DataError, RunError, RunInterrupted: As for `estimate`.
    """
    request = AffinityRequest((measure,)) if overhead is None else AffinityRequest((measure,), overhead)
    affinities = estimate(study, request, progress)
    max_blocks = count_clinical_groups(affinities.tasks) if most_blocks is None else most_blocks
    return make_blocks(affinities, measure, max_blocks)


def count_clinical_groups(tasks: Mapping[str, Task]) -> int:
    """Return the number of clinical groups: the default limit, so that both groupings have as many models."""
    return len({task.clinical_group for task in tasks.values()})


def make_blocks(affinities: Affinities, measure: Measure, max_blocks: int) -> Blocks:
    """Return the best blocks by a measure's mean over seeds.

    Args:
        affinities: Estimates by measure and seed.
        measure: Measure to cluster by.
        max_blocks: Largest number of blocks.
    """
    tasks = tuple(affinities.tasks)
    partition = cluster(make_clustering_matrix(affinities, measure), max_blocks)
    return name_blocks([[tasks[i] for i in block] for block in partition], affinities.tasks)


def make_clustering_matrix(affinities: Affinities, measure: Measure) -> Array:
    """Return the matrix (T, T) to cluster by: the mean over seeds, 0 without an estimate.

    Similarities are never negative, so that no task would stay alone. Their mean over all pairs is subtracted.
    """
    mean = affinities.compute_mean(measure)
    if measure in SIMILARITIES:
        mean = mean - np.nanmean(mean)
    return np.nan_to_num(mean, nan=0.0)


def score_blocks(affinities: Affinities, measure: Measure, blocks: Mapping[str, Sequence[str]]) -> float:
    """Return the mean over tasks of the mean affinity of the block's other tasks to the task.

    Args:
        affinities: Estimates by measure and seed.
        measure: Measure to score by.
        blocks: Any partition of the tasks.
    """
    index_of = {task_id: i for i, task_id in enumerate(affinities.tasks)}
    partition = [[index_of[task_id] for task_id in block] for block in blocks.values()]
    return score_partition(make_clustering_matrix(affinities, measure), partition)


def get_block_limit(affinities: Affinities, max_blocks: int | None, max_cost: float | None, progress: Progress) -> int:
    """Return the largest number of models that the limits allow; by default, the number of clinical groups.

    Args:
        affinities: Study and tasks.
        max_blocks: Largest number of models; None: no such limit.
        max_cost: Million parameters of all models together; None: no such limit.
        progress: Receives the progress of opening the data.

    Raises:
        ConfigError: One model has more parameters than `max_cost`.
    """
    limits = [] if max_blocks is None else [max_blocks]
    if max_cost is not None:
        limits.append(_count_affordable_models(affinities, max_cost, progress))
    return min(limits, default=count_clinical_groups(affinities.tasks))


def name_blocks(blocks: Sequence[Sequence[str]], tasks: Mapping[str, Task]) -> Blocks:
    """Name blocks by their content: the task, what the tasks have in common, or the first task.

    Tasks can have in common, in this order: clinical group, organ, type. A name that is in use gets a number.
    """
    named: Blocks = {}
    for block in sorted((sorted(block) for block in blocks), key=lambda block: (len(block) > 1, block)):
        name = _choose_name(block, tasks)
        number = 2
        # The name of a block with one task is the task's, so that no other block may have it.
        used_names = {*named, *(() if len(block) == 1 else tasks)}
        unique = name
        while unique in used_names:
            unique, number = f"{name}_{number}", number + 1
        named[unique] = tuple(block)
    return dict(sorted(named.items()))


def _choose_name(block: Sequence[str], tasks: Mapping[str, Task]) -> str:
    """Return the name of a block by what its tasks have in common; see `name_blocks`."""
    if len(block) == 1:
        return block[0]
    if len(block) == len(tasks):
        return "unified"
    for attribute in ("clinical_group", "organ", "type"):
        values = {str(getattr(tasks[task_id], attribute)) for task_id in block}
        if len(values) == 1 and values != {""}:
            return values.pop()
    return f"{block[0]}_and_{len(block) - 1}_more"


def _count_affordable_models(affinities: Affinities, max_cost: float, progress: Progress) -> int:
    """Return how many models of the study's network have up to `max_cost` million parameters together.

    Args:
        affinities: Study and tasks.
        max_cost: Limit in million parameters.
        progress: Receives the progress of opening the data.

    Raises:
        ConfigError: One model has more parameters than `max_cost`.
    """
    from usaggr.affinity.probed_training import count_shared_and_task_parameters  # imports torch, which takes seconds

    run = affinities.plan.runs[0]
    manifest = affinities.plan.manifest
    data = select_run_data(manifest, run.spec, build_or_open(manifest.dataset, run.study.data, progress))
    shared, by_task = count_shared_and_task_parameters(run.study, data, run.spec.seed)
    # Every task is in one model, so that the parameters of all tasks occur once for any number of models.
    task_total = sum(by_task.values())
    count = int((max_cost * MILLION - task_total) // shared)
    if count < 1:
        raise ConfigError(
            f"--max-cost: one model of all tasks has {(shared + task_total) / MILLION:.4g} million parameters, more "
            f"than {max_cost:g}"
        )
    return min(count, len(affinities.tasks))
