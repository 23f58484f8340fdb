"""What tests of the whole report share."""

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.report.reading import material_of, simple
from tests.report.sweeps import FakeSweep
from usaggr.document.elements import Document
from usaggr.report import build, figure_files
from usaggr.report.contents import write_report
from usaggr.report.figures import FigureFile
from usaggr.report.material import Material

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PIXEL = base64.b64decode(
    b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build reports without any figure, for tests of their words, tables and files."""

    def write(tables: object, folder: Path) -> tuple[FigureFile, ...]:
        folder.mkdir()
        return ()

    monkeypatch.setattr(build, "write_figures", write)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a pixel in place of each figure, for tests that ask which figures a report has and not what they show.

    Layout and drawing take most of the time of a report. Figures are still composed.
    """

    def save(figure: "Figure", folder: Path, file: FigureFile) -> None:
        for kind in file.formats:
            (folder / f"{file.name}.{kind}").write_bytes(_PIXEL if kind == "png" else b"<svg/>")

    monkeypatch.setattr(figure_files, "_save", save)


@pytest.fixture(scope="session")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Three tasks under three groupings, without predictions, all runs done."""
    return material_of(FakeSweep(tmp_path_factory.mktemp("usual") / "study").finish(simple))


@pytest.fixture(scope="session")
def usual_report(usual: Material) -> Document:
    return write_report(usual.tables)
