"""Finished runs whose results are not what was written: put aside when a sweep begins, so that it trains them again.

Each result.json is read, a tenth of a millisecond each; of predictions, only the size is looked at: whole files are
compared by the report, which reads them anyway.
"""

from collections.abc import Iterable, Iterator

from usaggr.errors import RunError
from usaggr.io.atomic_files import cannot_write
from usaggr.results.find_runs import is_done
from usaggr.results.integrity import DamagedError, check_predictions
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.planning.study_plan import PlannedRun

ASIDE = "result.damaged.json"
"""In a run's directory, until its next attempt begins."""


def put_aside_damaged(runs: Iterable[PlannedRun]) -> Iterator[str]:
    """What is wrong with each damaged result, in one line, once it is put aside."""
    for run in runs:
        directory = RunDirectory(run.directory)
        if not is_done(run.directory):
            continue
        try:
            directory.result()
            check_predictions(directory.result_path, directory.predictions_path, whole=False)
        except DamagedError as damage:
            try:
                directory.result_path.rename(directory.path / ASIDE)
            except OSError as error:
                raise cannot_write(directory.path, error) from error
            yield f"{damage}; its result is put aside as {ASIDE}"
        except RunError:  # of a newer version, or not to be read now: the report says so
            continue
