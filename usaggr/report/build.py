"""Builds the report folder from what is on disk: tables, figures, pictures of test samples, and the pages.

Torch is not needed; the data set only for pictures of test samples, which are left out without it.
"""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from usaggr import __version__
from usaggr.analysis.collect import Collection, collect
from usaggr.document.html import render_page
from usaggr.document.latex import write_latex
from usaggr.document.markdown import render_markdown
from usaggr.errors import RunError, WriteError
from usaggr.io.atomic_files import cannot_write, write_atomic
from usaggr.io.locks import exclusive
from usaggr.progress import NoProgress, Progress
from usaggr.report.contents import write_report
from usaggr.report.figure_files import write_figures
from usaggr.report.table_files import write_tables
from usaggr.report.tables import make_tables
from usaggr.report.tasks.examples import write_examples
from usaggr.results import contract

_PATIENCE = 120.0
"""Seconds to wait for another process that builds the same report."""
_INPUTS = ".report.inputs"
"""Beside the report: the hash of what it was made of."""
_OF_AFFINITY = tuple(f"{contract.AFFINITY}/{name}" for name in (contract.AFFINITY_POINTS, contract.AFFINITY_HEAD))
_OF_A_STUDY = (contract.STUDY, contract.GROUPINGS, contract.DATA, contract.SPLIT, contract.PLAN, *_OF_AFFINITY)
_OF_A_RUN = (
    contract.RUN_SETTINGS,
    contract.STATUS,
    contract.RESULT,
    contract.PREDICTIONS,
    contract.CURVE,
    contract.ROUTING,
)
_STEPS = 4
"""Of writing: tables, figures, pictures of samples, pages."""


def build_report(directories: Sequence[Path], progress: Progress | None = None) -> Path:
    """Build the report of one or several folders of results in the first one's `report/`, and return that folder.

    The new report takes the old one's place only when it is whole. It stands, and says so, if no run is done yet.

    Raises:
        RunError: a folder holds no results, folders are not of one study and split, or the report cannot be written.
    """
    progress = progress or NoProgress()
    inputs = _inputs(directories)  # before they are read: what changes meanwhile makes the report out of date
    collection = collect(directories, progress)
    home = collection.directories[0]
    try:
        with exclusive(home / ".report.lock", patience=_PATIENCE) as mine:
            if not mine:
                raise RunError(f"{home / 'report'}: another process is building it; try again when it is done")
            report = _build(collection, home, progress)
            write_atomic(home / _INPUTS, inputs)
            return report
    except WriteError:
        raise
    except OSError as error:
        raise cannot_write(home / "report", error) from error


def refresh_report(directories: Sequence[Path], progress: Progress | None = None) -> Path:
    """The report as it stands, if all that it is made of is what it was when it was built; built anew otherwise.

    Raises:
        RunError: as `build_report`.
    """
    home = Path(directories[0])
    try:
        known = (home / _INPUTS).read_bytes()
        stands = (home / "report" / "index.html").is_file() and known == _inputs(directories).encode()
    except OSError:
        stands = False
    return home / "report" if stands else build_report(directories, progress)


def _inputs(directories: Sequence[Path]) -> str:
    """Hash of what a report is made of: the study's own files by content, those of runs by time and size."""
    digest = hashlib.sha256(__version__.encode())
    for directory in map(Path, directories):
        for name in _OF_A_STUDY:
            path = directory / name
            digest.update(path.read_bytes() if path.is_file() else b"")
        for path in sorted(directory.glob("runs/*/*")):
            if path.name in _OF_A_RUN:
                found = path.stat()
                digest.update(f"{path.parent.name}/{path.name} {found.st_mtime_ns} {found.st_size}\n".encode())
    return digest.hexdigest()


def _build(collection: Collection, home: Path, progress: Progress) -> Path:
    report, new, old = (home / name for name in ("report", "report.tmp", "report.old"))
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    progress.start("writing the report", _STEPS)
    try:
        _write(collection, new, progress)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
    if report.exists():
        report.rename(old)
    new.rename(report)
    shutil.rmtree(old, ignore_errors=True)
    progress.advance()
    progress.finish()
    return report


def _write(collection: Collection, folder: Path, progress: Progress) -> None:
    """Everything in the folder; the last step, the pages, is told when the report is in its place."""
    tables = make_tables(collection)
    write_tables(tables, folder / "tables")
    progress.advance()
    figures = write_figures(tables, folder / "figures")
    progress.advance()
    # Silent: reading the data set has a progress of its own, which would end that of the report.
    examples = write_examples(collection, tables, folder / "samples")
    progress.advance()
    document = write_report(tables, figures, examples)
    (folder / "report.md").write_text(render_markdown(document), encoding="utf-8")
    (folder / "index.html").write_text(render_page(document, folder), encoding="utf-8")
    write_latex(document, folder / "tables")
