"""Weights of parents, which are linked or copied into the directories of the runs that start from them.

So a job of a cluster needs only the directory of its run.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from usaggr.errors import RunError
from usaggr.io.atomic_files import make_write_error, replace_file
from usaggr.io.checksums import SUFFIX
from usaggr.results.contract import PARENT, WEIGHTS
from usaggr.results.find_runs import is_done
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.planning.planned_runs import PlannedRun

ASIDE = "result.weightless.json"
"""Name of the result of a run without weights, in its directory; the run's next attempt removes it."""


def provide_parent_weights(parent: PlannedRun, child: PlannedRun) -> None:
    """Link or copy the scored weights of a finished run into the directory of a run that starts from them.

    Raises:
        RunError: the parent has no weights.
        WriteError: the weights cannot be written.
    """
    if is_done(child.directory):
        return
    weights = parent.directory / WEIGHTS
    if not weights.is_file():
        raise RunError(
            f"its parent {parent.directory.name} has no {WEIGHTS}, because the file was removed; run the same "
            "`usaggr sweep` to train the parent again"
        )
    # The checksum first: weights without their checksum would be read unchecked.
    for file in (weights.with_suffix(SUFFIX), weights):
        if file.is_file():
            _link_or_copy(file, child.directory / PARENT / file.name)


def find_weightless(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Return finished runs that lack weights from which unfinished runs start.

    They were trained before these runs were planned, so that they did not keep their weights.
    """
    unfinished = [run for run in runs if run.spec.window is not None and not is_done(run.directory)]
    needed = {run.spec.parent for run in unfinished}
    parents = [run for run in runs if run.spec.run_id in needed]
    return [run for run in parents if is_done(run.directory) and not (run.directory / WEIGHTS).is_file()]


def set_weightless_aside(runs: Sequence[PlannedRun]) -> Iterator[str]:
    """Rename the results of finished runs that lack needed weights, and yield one line about each.

    These runs are trained again, to the same numbers.

    Raises:
        WriteError: a result cannot be renamed.
    """
    for run in find_weightless(runs):
        directory = RunDirectory(run.directory)
        try:
            directory.result_path.rename(directory.path / ASIDE)
        except FileNotFoundError:  # another sweep was first
            continue
        except OSError as error:
            raise make_write_error(directory.path, error) from error
        yield (
            f"{run.directory.name}: done, but without the weights that other runs start from; it is trained again, to "
            "the same numbers"
        )


def _link_or_copy(file: Path, target: Path) -> None:
    with suppress(OSError):  # the target does not exist yet
        if target.stat().st_size == file.stat().st_size:
            return
    # Under a temporary name first, so that another process never reads half a copy.
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(target) as temporary:
            temporary.unlink(missing_ok=True)
            try:
                os.link(file, temporary)
            except OSError:  # the file system has no hard links, or the runs are on two of them
                shutil.copyfile(file, temporary)
    except OSError as error:
        raise make_write_error(target, error) from error
