"""What one run reads: its tasks and their samples by fold, cut out of the manifest, and the cache of their images."""

from dataclasses import dataclass

from usaggr.data.batches.cache import ImageCache
from usaggr.data.samples import Sample
from usaggr.data.split.manifest import Manifest
from usaggr.results.spec import RunSpec
from usaggr.tasks import Task


@dataclass(frozen=True)
class RunData:
    """Travels to the process that trains; images stay in the cache's files."""

    tasks: dict[str, Task]
    train: dict[str, tuple[Sample, ...]]
    """Task: the samples that the run's scale takes, in rank order."""
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]
    cache: ImageCache


def run_data(manifest: Manifest, spec: RunSpec, cache: ImageCache) -> RunData:
    """The part of a data set that a run reads."""
    train = {}
    for task_id in spec.tasks:
        by_id = {s.sample_id: s for s in manifest.by_subset[task_id, "train"]}
        train[task_id] = tuple(by_id[sample_id] for sample_id in spec.train_samples[task_id])
    return RunData(
        tasks={task_id: manifest.dataset.tasks[task_id] for task_id in spec.tasks},
        train=train,
        val=tuple(s for task_id in spec.tasks for s in manifest.by_subset[task_id, "val"]),
        test=tuple(s for task_id in spec.tasks for s in manifest.by_subset[task_id, "test"]),
        cache=cache,
    )
