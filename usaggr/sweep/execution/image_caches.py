"""What is made ready once, before the first run: the image caches that all runs read."""

from collections.abc import Callable, Sequence

from usaggr.data.batches.cache import ImageCache, build_or_open
from usaggr.data.batches.run_data import RunData, run_data
from usaggr.progress import Progress
from usaggr.sweep.planning.study_plan import Plan, PlannedRun


def open_caches(plan: Plan, runs: Sequence[PlannedRun], progress: Progress) -> Callable[[PlannedRun], RunData]:
    """Build or open the caches that these runs read (one a size and number of channels); gives each run its data.

    Raises:
        DataError: an image cannot be read any more, or a cache cannot be written.
    """
    caches: dict[tuple[tuple[int, int], int], ImageCache] = {}
    for run in runs:
        data = run.study.data
        key = (data.input_size, data.channels)
        if key not in caches:
            caches[key] = build_or_open(plan.manifest.dataset, data, progress)
    return lambda run: run_data(plan.manifest, run.spec, caches[run.study.data.input_size, run.study.data.channels])
