"""From estimated affinities to named blocks, under a limit on the number of models or on their parameters."""

from collections.abc import Mapping, Sequence

import numpy as np

from usaggr.affinity.clustering import cluster, value_of
from usaggr.affinity.estimate import Affinities, Asked, estimate
from usaggr.config.study import StudyConfig
from usaggr.data.batches.cache import build_or_open
from usaggr.data.batches.run_data import run_data
from usaggr.errors import ConfigError
from usaggr.progress import Progress
from usaggr.results.affinity import SIMILARITIES, Array, Measure
from usaggr.tasks import Task

Blocks = dict[str, tuple[str, ...]]
"""Block name: sorted task ids."""
MILLION = 10**6


def affinity_blocks(
    study: StudyConfig,
    measure: Measure = "lookahead",
    most_blocks: int | None = None,
    progress: Progress | None = None,
    overhead: float | None = None,
) -> Blocks:
    """The affinity grouping of a study's tasks, from Python.

    Trains the study's unified run for each of its seeds at its first scale, with probes (a measure of routing or
    features trains nothing), unless `outputs/<name>/affinity/` has that already. What comes back goes into a grouping
    file as it is: `yaml.safe_dump({"blocks": {name: list(tasks) for name, tasks in blocks.items()}})`, in a folder
    `conf/grouping/` or that of `compose_study(..., config_dir=...)`.

    Args:
        study: from `compose_study`; its groupings need not hold `unified`.
        measure: lookahead, gradient, routing or features.
        most_blocks: models at the most; None: as many as the tasks have clinical groups.
        progress: told of the work.
        overhead: seconds of probes for one of training; None: 0.3. More gives more estimates a pair.

    Raises:
        ConfigError, DataError, RunError, RunInterrupted: as `estimate`.
    """
    asked = Asked((measure,)) if overhead is None else Asked((measure,), overhead)
    found = estimate(study, asked, progress)
    return blocks_of(found, measure, default_blocks(found.tasks) if most_blocks is None else most_blocks)


def default_blocks(tasks: Mapping[str, Task]) -> int:
    """As many as the grouping `clinical` has, so that the two are alike but for what stands together."""
    return len({task.clinical_group for task in tasks.values()})


def blocks_of(found: Affinities, measure: Measure, most_blocks: int) -> Blocks:
    """The best blocks by a measure's mean over seeds, at most so many."""
    tasks = tuple(found.tasks)
    partition = cluster(clustered(found, measure), most_blocks)
    return named_blocks([[tasks[place] for place in block] for block in partition], found.tasks)


def clustered(found: Affinities, measure: Measure) -> Array:
    """(T, T) what is clustered: the mean over seeds, nought where there is no estimate.

    Similarities have no zero, so that no task would ever stay alone: their mean over all pairs is taken off.
    """
    mean = found.mean(measure)
    if measure in SIMILARITIES:
        mean = mean - np.nanmean(mean)
    return np.nan_to_num(mean, nan=0.0)


def worth(found: Affinities, measure: Measure, blocks: Mapping[str, Sequence[str]]) -> float:
    """Mean over tasks of the mean affinity that the others of their block have on them, of any partition."""
    places = {task_id: place for place, task_id in enumerate(found.tasks)}
    return value_of(clustered(found, measure), [[places[task_id] for task_id in block] for block in blocks.values()])


def limit_of(found: Affinities, most_blocks: int | None, max_cost: float | None, progress: Progress) -> int:
    """How many models there may be.

    Args:
        found: says study and tasks.
        most_blocks: at the most; None: no such limit.
        max_cost: million parameters of all models together; None: no such limit.
        progress: told of the work.

    Raises:
        ConfigError: not even one model is within max_cost.
    """
    limits = [] if most_blocks is None else [most_blocks]
    if max_cost is not None:
        limits.append(_affordable(found, max_cost, progress))
    return min(limits, default=default_blocks(found.tasks))


def named_blocks(blocks: Sequence[Sequence[str]], tasks: Mapping[str, Task]) -> Blocks:
    """Blocks with names that say what they hold: a task's, what its tasks have in common, or its first task's.

    What they may have in common: clinical group, organ, type. A name that another block has gets a number.
    """
    named: Blocks = {}
    for block in sorted((sorted(block) for block in blocks), key=lambda block: (len(block) > 1, block)):
        name = _name(block, tasks)
        number = 2
        taken = {*named, *(() if len(block) == 1 else tasks)}  # of a run with one task, the name is the task's
        unique = name
        while unique in taken:
            unique, number = f"{name}_{number}", number + 1
        named[unique] = tuple(block)
    return dict(sorted(named.items()))


def _name(block: Sequence[str], tasks: Mapping[str, Task]) -> str:
    if len(block) == 1:
        return block[0]
    if len(block) == len(tasks):
        return "unified"
    for attribute in ("clinical_group", "organ", "type"):
        values = {str(getattr(tasks[task_id], attribute)) for task_id in block}
        if len(values) == 1 and values != {""}:
            return values.pop()
    return f"{block[0]}_and_{len(block) - 1}_more"


def _affordable(found: Affinities, max_cost: float, progress: Progress) -> int:
    from usaggr.affinity.probed_training import parameter_counts  # torch is for those who ask

    run = found.plan.runs[0]
    data = run_data(found.plan.manifest, run.spec, build_or_open(found.plan.manifest.dataset, run.study.data, progress))
    once, own = parameter_counts(run.study, data, run.spec.seed)
    heads = sum(own.values())
    count = int((max_cost * MILLION - heads) // once)
    if count < 1:
        raise ConfigError(
            f"--max-cost: one model of all tasks has {(once + heads) / MILLION:.4g} million parameters, more than "
            f"{max_cost:g}"
        )
    return min(count, len(found.tasks))
