from pathlib import Path

import pytest

from tests.report.sweeps import FakeSweep, level
from usaggr.report.build import build_report
from usaggr.tasks import CATALOGUE


def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
    return level(CATALOGUE[task], 0.4 + 0.1 * scale + 0.02 * seed - 0.03 * len(block))


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sweep = FakeSweep(
        tmp_path_factory.mktemp("figures") / "study",
        scales=(0.25, 1.0),
        settings={"report": {"confidence": 0.95, "formats": ["svg", "png"]}},
    )
    return build_report([sweep.finish(scorer).directory]) / "figures"


def test_each_figure_is_there_in_each_format(figures: Path) -> None:
    names = {path.name for path in figures.iterdir()}
    assert names == {f"{name}.{end}" for name in ("score_against_scale", "delta_heatmap") for end in ("svg", "png")}
    assert all((figures / name).stat().st_size > 5000 for name in names)


def test_the_same_results_give_the_same_figures(figures: Path, tmp_path: Path) -> None:
    sweep = FakeSweep(
        tmp_path / "study", scales=(0.25, 1.0), settings={"report": {"confidence": 0.95, "formats": ["svg", "png"]}}
    )
    again = build_report([sweep.finish(scorer).directory]) / "figures"
    for path in figures.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes()
