"""The image caches that the runs of a sweep read; built once, before the first run."""

import sys
from collections.abc import Callable, Sequence

from usaggr.data.batches.cache import ImageCache, build_or_open
from usaggr.data.batches.run_data import RunData, select_run_data
from usaggr.progress import Progress
from usaggr.sweep.planning.study_plan import Plan, PlannedRun


def open_caches(plan: Plan, runs: Sequence[PlannedRun], progress: Progress) -> Callable[[PlannedRun], RunData]:
    """Build or open the image caches of runs, one per image size and number of channels.

    Args:
        plan: runs of the study and their data.
        runs: runs to train.
        progress: counts the images.

    Returns:
        A function that returns the data of a run. It builds a cache again that was removed meanwhile.

    Raises:
        DataError: an image can no longer be read, or a cache cannot be written.
    """
    caches: dict[tuple[tuple[int, int], int], ImageCache] = {}
    for run in runs:
        data = run.study.data
        key = (data.input_size, data.channels)
        if key not in caches:
            caches[key] = build_or_open(plan.manifest.dataset, data, progress)

    def get_data(run: PlannedRun) -> RunData:
        data = run.study.data
        key = (data.input_size, data.channels)
        if not caches[key].is_complete():
            print(f"{caches[key].directory}: was removed or changed; the image cache is built again", file=sys.stderr)
            caches[key] = build_or_open(plan.manifest.dataset, data)
        return select_run_data(plan.manifest, run.spec, caches[key])

    return get_data
