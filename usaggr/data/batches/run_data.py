"""The data of one run: its tasks, their samples in each subset, and the cache of their images."""

from dataclasses import dataclass

from usaggr.data.batches.cache import ImageCache
from usaggr.data.samples import Sample
from usaggr.data.split.manifest import Manifest
from usaggr.results.spec import RunSpec
from usaggr.tasks import Task


@dataclass(frozen=True)
class RunData:
    """Data of one run, in the form that is sent to the training process; images stay in the files of the cache."""

    tasks: dict[str, Task]
    train: dict[str, tuple[Sample, ...]]
    """Training samples at the run's scale, in rank order, by task."""
    val: tuple[Sample, ...]
    """Validation samples of all tasks."""
    test: tuple[Sample, ...]
    """Test samples of all tasks."""
    cache: ImageCache


def select_run_data(manifest: Manifest, spec: RunSpec, cache: ImageCache) -> RunData:
    """Select the samples of a run from a data set.

    Args:
        manifest: the data set with its split.
        spec: tasks and training samples of the run.
        cache: images of the data set.
    """
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
