"""A finished study that several tests of the chapters read, written once. Nothing of it can be changed."""

import pytest

from tests.report.chapters.reading import material_of, simple
from tests.report.sweeps import FakeSweep
from usaggr.document.elements import Document
from usaggr.report.chapters.material import Material
from usaggr.report.chapters.whole import write_report


@pytest.fixture(scope="session")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Three tasks under three groupings, without predictions, all runs done."""
    return material_of(FakeSweep(tmp_path_factory.mktemp("usual") / "study").finish(simple))


@pytest.fixture(scope="session")
def usual_report(usual: Material) -> Document:
    return write_report(usual.collection, usual.tables)
