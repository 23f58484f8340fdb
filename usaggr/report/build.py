"""Building of the report folder from finished runs: tables, figures, pictures of test samples, and pages.

Torch is not needed. The data set is needed only for pictures of test samples, which are left out without it.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from usaggr import __version__
from usaggr.analysis.collect import Collection, collect
from usaggr.analysis.compare_study import StudyComparison
from usaggr.document.html import render_page
from usaggr.document.latex import write_latex
from usaggr.document.markdown import render_markdown
from usaggr.errors import RunError, WriteError
from usaggr.io.atomic_files import make_write_error, write_atomic
from usaggr.io.locks import hold_lock
from usaggr.progress import NoProgress, Progress
from usaggr.report.contents import write_report
from usaggr.report.figure_files import write_figures
from usaggr.report.table_files import write_tables
from usaggr.report.tables import make_tables
from usaggr.report.tasks.examples import write_examples
from usaggr.results import contract
from usaggr.results.reported_seeds import record_reported_seeds

_PATIENCE = 120.0
"""Seconds to wait for another process that builds the same report."""
_INPUTS = ".report.inputs"
"""Name of the file next to the report with the hash of the report's inputs."""
_AFFINITY_FILES = tuple(
    f"{contract.AFFINITY}/{name}" for name in (contract.AFFINITY_POINTS, contract.AFFINITY_DESCRIPTION)
)
"""Files of `usaggr affinity`, which the report also shows."""
_STUDY_FILES = (contract.STUDY, contract.GROUPINGS, contract.DATA, contract.SPLIT, contract.PLAN, *_AFFINITY_FILES)
_RUN_FILES = (
    contract.RUN_SETTINGS,
    contract.STATUS,
    contract.RESULT,
    contract.PREDICTIONS,
    contract.CURVE,
    contract.ROUTING,
)
_STEPS = 4
"""Steps of the progress: tables, figures, pictures of samples, pages."""


def build_report(
    directories: Sequence[Path], progress: Progress | None = None, settings: Mapping[str, Any] | None = None
) -> Path:
    """Build the report of one or several folders of results, in the `report/` folder of the first one.

    The new report replaces the old one only when it is complete. A report is written even if no run is finished yet.

    Args:
        directories: Folders of results of one study and split.
        progress: Receives the steps.
        settings: Settings of the report in place of the study's, such as {"margin": 0.05}; the study keeps its own.

    Returns:
        The report's folder.

    Raises:
        RunError: If a folder holds no results, the folders differ in study or split, or the report cannot be written.
    """
    progress = progress or NoProgress()
    inputs = _hash_inputs(directories)  # before they are read, so that a change in the meantime outdates the report
    collection = collect(directories, progress, settings)
    if settings:
        inputs += json.dumps(dict(settings))  # so that the next sweep builds the report with the study's settings again
    home = collection.directories[0]
    try:
        with hold_lock(home / ".report.lock", patience=_PATIENCE) as is_locked:
            if not is_locked:
                raise RunError(
                    f"{home / 'report'}: another process is building this report. Try again when it has finished."
                )
            report = _build_folder(collection, home, progress)
            write_atomic(home / _INPUTS, inputs)
            return report
    except WriteError:
        raise
    except OSError as error:
        raise make_write_error(home / "report", error) from error


def refresh_report(directories: Sequence[Path], progress: Progress | None = None) -> Path:
    """Return the existing report if its inputs have not changed since it was built; rebuild it otherwise.

    Args:
        directories: Folders of results of one study and split.
        progress: Receives the steps of building.

    Raises:
        RunError: See `build_report`.
    """
    home = Path(directories[0])
    try:
        inputs = (home / _INPUTS).read_bytes()
        is_current = (home / "report" / "index.html").is_file() and inputs == _hash_inputs(directories).encode()
    except OSError:
        is_current = False
    return home / "report" if is_current else build_report(directories, progress)


def _hash_inputs(directories: Sequence[Path]) -> str:
    """Return the hash of a report's inputs: files of the study by content, files of runs by time and size."""
    digest = hashlib.sha256(__version__.encode())
    for directory in map(Path, directories):
        for name in _STUDY_FILES:
            path = directory / name
            digest.update(path.read_bytes() if path.is_file() else b"")
        for path in sorted(directory.glob("runs/*/*")):
            if path.name in _RUN_FILES:
                stat = path.stat()
                digest.update(f"{path.parent.name}/{path.name} {stat.st_mtime_ns} {stat.st_size}\n".encode())
    return digest.hexdigest()


def _build_folder(collection: Collection, home: Path, progress: Progress) -> Path:
    """Build the report in a temporary folder, and move it to `home` / "report" when it is complete."""
    report, new, old = (home / name for name in ("report", "report.tmp", "report.old"))
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    progress.start("writing the report", _STEPS)
    try:
        comparison = _write_files(collection, new, progress)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    # A folder cannot replace another one in one step, so the old report is moved away first and removed last.
    shutil.rmtree(old, ignore_errors=True)
    if report.exists():
        report.rename(old)
    new.rename(report)
    shutil.rmtree(old, ignore_errors=True)
    record_reported_seeds(home, comparison.reported_seeds)
    progress.advance()
    progress.finish()
    return report


def _write_files(collection: Collection, folder: Path, progress: Progress) -> StudyComparison:
    """Write all files of the report, and return its comparison.

    The caller reports the last step of the progress when the folder is in its final place.
    """
    tables = make_tables(collection)
    write_tables(tables, folder / "tables")
    progress.advance()
    figures = write_figures(tables, folder / "figures")
    progress.advance()
    # Without progress: reading the data set starts a progress of its own, which would end that of the report.
    examples = write_examples(collection, tables, folder / "samples")
    progress.advance()
    document = write_report(tables, figures, examples)
    (folder / "report.md").write_text(render_markdown(document), encoding="utf-8")
    (folder / "index.html").write_text(render_page(document, folder), encoding="utf-8")
    write_latex(document, folder / "tables")
    return tables.comparison
