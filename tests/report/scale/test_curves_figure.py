"""Tests of scores against training samples: values are those of the tables, and groupings differ without color."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import Collection, LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tests.report.sweeps import CATALOGUE, FakeSweep, level
from usaggr.analysis.cell_pseudovalues import CellPseudovalues
from usaggr.analysis.cell_rows import CellScore
from usaggr.analysis.collect import Collection as Collected
from usaggr.analysis.collect import collect
from usaggr.analysis.comparison import score_cells
from usaggr.analysis.observations import observe
from usaggr.report.scale.curves_figure import compute_grid_shape, draw_curves, make_tick_labels


def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
    return level(CATALOGUE[task], 0.1 * len(block) + 0.3 * scale + 0.01 * seed)


def cells_of_study(collection: Collected) -> tuple[CellScore, ...]:
    """Return the cells, which are the only input of the figure."""
    return score_cells(observe(collection), CellPseudovalues(collection), collection.study.confidence)


def drawn(sweep: FakeSweep) -> Figure:
    collection = collect([sweep.directory])
    figure = draw_curves(cells_of_study(collection), collection.study, collection.tasks, "base")
    assert figure is not None
    figure.draw_without_rendering()
    return figure


def panel(figure: Figure, task: str) -> Axes:
    return next(axes for axes in figure.axes if axes.get_title(loc="left") == task)


def lines(axes: Axes) -> dict[str, Line2D]:
    """Return the lines through the means by their label."""
    return {str(line.get_label()): line for line in axes.lines}


def interval(axes: Axes, grouping: str) -> Collection:
    return next(c for c in axes.collections if c.get_label() == f"interval of {grouping}")


@pytest.fixture(scope="module")
def figure(tmp_path_factory: pytest.TempPathFactory) -> Figure:
    return drawn(FakeSweep(tmp_path_factory.mktemp("curves") / "study", scales=(0.25, 1.0)).finish(scorer))


def test_each_task_has_a_panel_with_its_metric_unit_and_direction(figure: Figure) -> None:
    labels = {axes.get_title(loc="left"): axes.get_ylabel() for axes in figure.axes if axes.axison}
    assert labels == {"breast_2cls": "AUC ↑", "breast_lesion": "DSC ↑", "fetal_femur": "MRE (px) ↓"}


def test_lines_are_the_means_over_seeds(figure: Figure) -> None:
    by_label = lines(panel(figure, "breast_lesion"))
    assert set(by_label) == {"task_specific", "clinical", "unified", "trivial"}
    for grouping, size in {"task_specific": 1, "clinical": 2, "unified": 3}.items():
        expected = [0.4 + 0.6 * (0.1 * size + 0.3 * scale + 0.01) for scale in (0.25, 1.0)]
        assert np.asarray(by_label[grouping].get_ydata()) == pytest.approx(expected)
        assert np.asarray(by_label[grouping].get_xdata()) == pytest.approx([25, 100], rel=0.05)


def test_the_trivial_predictor_is_a_dashed_line(figure: Figure) -> None:
    trivial = lines(panel(figure, "fetal_femur"))["trivial"]
    assert trivial.get_linestyle() == "--"
    assert np.asarray(trivial.get_ydata()) == pytest.approx([100.0, 100.0])


def cells(sweep: FakeSweep, task: str, grouping: str) -> list[CellScore]:
    """Return the cells of the main metric, sorted by scale."""
    study = cells_of_study(collect([sweep.directory]))
    return sorted((c for c in study if (c.task, c.grouping) == (task, grouping) and c.main), key=lambda c: c.scale)


def test_bands_are_the_intervals_of_the_table(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "s", scales=(0.25, 1.0), spread=0.01).finish(scorer)
    band = interval(panel(drawn(sweep), "breast_lesion"), "unified")
    assert isinstance(band, PolyCollection)
    corners = band.get_paths()[0].vertices[:, 1]
    expected = cells(sweep, "breast_lesion", "unified")
    assert {round(y, 9) for y in corners} == {
        round(y, 9) for y in [y for cell in expected for y in (cell.low, cell.high)]
    }


def test_bands_that_would_fill_a_panel_are_bars(tmp_path: Path) -> None:
    def noisy(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        return level(CATALOGUE[task], 0.3 + 0.4 * seed)

    sweep = FakeSweep(tmp_path / "s", scales=(0.25, 1.0), seeds=(0, 1)).finish(noisy)
    bars = interval(panel(drawn(sweep), "breast_lesion"), "unified")
    assert isinstance(bars, LineCollection)
    expected = cells(sweep, "breast_lesion", "unified")
    for bar, cell in zip(bars.get_segments(), expected, strict=True):
        assert bar[:, 1] == pytest.approx([cell.low, cell.high])


def test_groupings_differ_in_marker_and_dashes_as_well_as_color(figure: Figure) -> None:
    looks = [line for label, line in lines(panel(figure, "breast_2cls")).items() if label != "trivial"]
    for name in ("get_marker", "get_linestyle", "get_color"):
        assert len({str(getattr(line, name)()) for line in looks}) >= (2 if name == "get_linestyle" else len(looks))


def test_points_of_one_scale_do_not_hide_each_other(figure: Figure) -> None:
    positions = [
        float(np.asarray(line.get_xdata())[0])
        for name, line in lines(panel(figure, "breast_2cls")).items()
        if name != "trivial"
    ]
    assert len(set(positions)) == 3


def test_the_legend_names_groupings_as_the_paper_does(figure: Figure) -> None:
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["TS (reference)", "CG", "AU", "trivial predictor"]


def test_ticks_are_the_numbers_of_samples_and_the_axis_is_logarithmic_where_they_are_far_apart(figure: Figure) -> None:
    axes = panel(figure, "breast_2cls")
    assert axes.get_xscale() == "log"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["25", "100"]


def test_similar_scales_have_a_linear_axis(tmp_path: Path) -> None:
    axes = panel(drawn(FakeSweep(tmp_path / "s", scales=(0.5, 1.0), seeds=(0,)).finish(scorer)), "breast_2cls")
    assert axes.get_xscale() == "linear"


def test_no_axis_exceeds_the_possible_scores(tmp_path: Path) -> None:
    def wild(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        return level(CATALOGUE[task], 0.95 - 0.4 * seed)

    figure = drawn(FakeSweep(tmp_path / "s").finish(wild))
    low, high = panel(figure, "breast_2cls").get_ylim()
    assert -0.1 < low < high < 1.1
    assert panel(figure, "fetal_femur").get_ylim()[0] > -20


def test_a_task_without_finished_runs_is_labeled(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "s").finish(scorer, skip=lambda run: "fetal_femur" in run.tasks)
    axes = panel(drawn(sweep), "fetal_femur")
    assert [text.get_text() for text in axes.texts] == ["no finished run"]


def test_a_distant_trivial_predictor_is_written_and_does_not_flatten_the_points(tmp_path: Path) -> None:
    def excellent(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        return level(CATALOGUE[task], 0.95 + 0.005 * seed)

    axes = panel(drawn(FakeSweep(tmp_path / "s", scales=(0.25, 1.0), spread=0.01).finish(excellent)), "breast_lesion")
    assert axes.get_ylim()[0] > 0.8
    assert [text.get_text() for text in axes.texts] == ["↓ trivial 0.400"]


def test_without_any_value_there_is_no_figure(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "s")
    sweep.write_plan()
    collection = collect([sweep.directory])
    assert draw_curves(cells_of_study(collection), collection.study, collection.tasks, "base") is None


@pytest.mark.parametrize(("panels", "shape"), [(1, (1, 1)), (3, (2, 2)), (9, (3, 3)), (27, (7, 4))])
def test_panels_are_laid_out_in_few_columns(panels: int, shape: tuple[int, int]) -> None:
    assert compute_grid_shape(panels) == shape


def test_nothing_overlaps_or_is_cut_off(figure: Figure) -> None:
    page = figure.bbox
    boxes = [axes.get_tightbbox() for axes in figure.axes if axes.axison]
    for i, box in enumerate(boxes):
        assert box is not None
        assert page.x0 <= box.x0 < box.x1 <= page.x1
        assert page.y0 <= box.y0 < box.y1 <= page.y1
        assert not any(box.overlaps(other) for other in boxes[:i] if other is not None)


@pytest.mark.parametrize(
    ("ticks", "logarithmic", "labels"),
    [
        ([25, 100], True, ["25", "100"]),
        ([744, 1859, 3718, 7435], True, ["744", "1,859", "", "7,435"]),
        ([744, 6692, 7435], True, ["744", "", "7,435"]),
        ([10, 20, 30, 90, 100], False, ["10", "", "30", "", "100"]),
        ([64], False, ["64"]),
    ],
)
def test_ticks_too_near_to_the_next_have_no_label(ticks: list[int], logarithmic: bool, labels: list[str]) -> None:
    assert make_tick_labels(ticks, logarithmic) == labels


def test_a_huge_interval_does_not_flatten_the_points(tmp_path: Path) -> None:
    """With two seeds, t(0.975; 1) = 12.7 gives a bar of several hundred pixels."""

    def far_apart(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        return level(CATALOGUE[task], 0.5 + 0.3 * seed)

    low, high = panel(drawn(FakeSweep(tmp_path / "s", seeds=(0, 1)).finish(far_apart)), "fetal_femur").get_ylim()
    assert high < 200
    assert low < 35 < high  # the mean is visible
