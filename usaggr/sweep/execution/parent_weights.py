"""Hands a parent's weights to the runs that start from them: into each one's own directory, which travels with it."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from usaggr.errors import RunError
from usaggr.io.atomic_files import cannot_write, replacing
from usaggr.io.checksums import SUFFIX
from usaggr.results.contract import PARENT, WEIGHTS
from usaggr.results.find_runs import is_done
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.planning.planned_runs import PlannedRun

ASIDE = "result.weightless.json"
"""In a run's directory, until its next attempt begins."""


def hand_down(parent: PlannedRun, child: PlannedRun) -> None:
    """Put the scored weights of a finished run where its child reads them; the same file, where the disk has links.

    Raises:
        RunError: they are not there.
        WriteError: they cannot be written.
    """
    if is_done(child.directory):
        return
    there = parent.directory / WEIGHTS
    if not there.is_file():
        raise RunError(
            f"its parent {parent.directory.name} has no {WEIGHTS}: they were removed; the same `usaggr sweep` trains "
            "the parent again"
        )
    for file in (there.with_suffix(SUFFIX), there):
        if file.is_file():
            _bring(file, child.directory / PARENT / file.name)


def weightless(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Finished runs without the weights that some run has yet to start from: trained before it was planned."""
    by_id = {run.spec.run_id: run for run in runs}
    needed = {run.spec.parent for run in runs if run.spec.window is not None and not is_done(run.directory)}
    parents = [by_id[run_id] for run_id in by_id if run_id in needed]
    return [run for run in parents if is_done(run.directory) and not (run.directory / WEIGHTS).is_file()]


def put_aside_weightless(runs: Sequence[PlannedRun]) -> Iterator[str]:
    """What is said of each of them in one line, once its result is put aside, so that it is trained again."""
    for run in weightless(runs):
        directory = RunDirectory(run.directory)
        try:
            directory.result_path.rename(directory.path / ASIDE)
        except FileNotFoundError:  # another sweep was first
            continue
        except OSError as error:
            raise cannot_write(directory.path, error) from error
        yield (
            f"{run.directory.name}: done, but without the weights that other runs start from; it is trained again, to "
            "the same numbers"
        )


def _bring(file: Path, to: Path) -> None:
    with suppress(OSError):
        if to.stat().st_size == file.stat().st_size:
            return
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with replacing(to) as new:
            new.unlink(missing_ok=True)
            try:
                os.link(file, new)
            except OSError:
                shutil.copyfile(file, new)
    except OSError as error:
        raise cannot_write(to, error) from error
