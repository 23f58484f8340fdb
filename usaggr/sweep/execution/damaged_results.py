"""Damaged results of finished runs, which a sweep renames at its start, so that it trains these runs again.

Each result.json is read, which takes a tenth of a millisecond. Of predictions only the size is checked. The report
compares their checksums, because it reads them anyway.
"""

from collections.abc import Iterable, Iterator

from usaggr.errors import RunError
from usaggr.io.atomic_files import make_write_error
from usaggr.results.find_runs import is_done
from usaggr.results.integrity import DamagedError, check_predictions
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.planning.study_plan import PlannedRun

ASIDE = "result.damaged.json"
"""Name of a damaged result in its run's directory; the run's next attempt removes it."""


def set_damaged_aside(runs: Iterable[PlannedRun]) -> Iterator[str]:
    """Rename the damaged results of finished runs, and yield one line about each.

    Raises:
        WriteError: a result cannot be renamed.
    """
    for run in runs:
        if not is_done(run.directory):
            continue
        directory = RunDirectory(run.directory)
        try:
            directory.read_result()
            check_predictions(directory.result_path, directory.predictions_path, check_content=False)
        except DamagedError as damage:
            try:
                directory.result_path.rename(directory.path / ASIDE)
            except OSError as error:
                raise make_write_error(directory.path, error) from error
            yield f"{damage}; its result was renamed to {ASIDE}, and the run is trained again"
        except RunError:  # written by a newer version, or not readable now: the report names the run
            continue
