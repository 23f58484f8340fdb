"""Tests of the forest plot: differences in margins, with their intervals, verdict marks and numbers."""

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.report.figure_factories import TASKS, comparison, inside, study, texts
from usaggr.report.differences.forest import draw_forest

CELLS: dict[tuple[str, str], dict[str, Any]] = {
    ("breast_lesion", "unified"): {"delta": 0.04, "verdict": "gain"},
    ("breast_2cls", "unified"): {"delta": -0.05, "verdict": "loss"},
    ("fetal_femur", "unified"): {"delta": 1.0, "delta_low": -1.0, "delta_high": 3.0, "margin": 2.0},
}


def drawn(cells: dict[tuple[str, str], dict[str, Any]], **changes: Any) -> Figure:
    figure = draw_forest(comparison(cells), study(**changes), TASKS, "base", 1.0)
    assert figure is not None
    return figure


def panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_title(loc="left")]


def points(panel: Axes) -> dict[str, tuple[float, float, str]]:
    """Return value in margins, row and marker by task."""
    return {
        TASKS[round(y)]: (float(x), float(y), str(line.get_marker()))
        for line in panel.lines
        if line.get_marker() in ("^", "s", "v", "o", "D")
        for x, y in zip(*map(np.asarray, (line.get_xdata(), line.get_ydata())), strict=True)
    }


def intervals(panel: Axes) -> dict[str, tuple[float, float]]:
    segments = [segment for c in panel.collections for segment in c.get_segments()]  # type: ignore[attr-defined]
    return {TASKS[round(float(s[0, 1]))]: (float(s[0, 0]), float(s[1, 0])) for s in segments}


def test_points_and_intervals_are_differences_in_margins() -> None:
    (panel,) = panels(drawn(CELLS))
    assert {task: x for task, (x, _, _) in points(panel).items()} == pytest.approx(
        {"breast_lesion": 2.0, "breast_2cls": -2.5, "fetal_femur": 0.5}
    )
    bounds = intervals(panel)
    assert bounds["breast_lesion"] == pytest.approx((1.5, 2.5))
    assert bounds["fetal_femur"] == pytest.approx((-0.5, 1.5))


def test_verdicts_differ_in_marker_and_in_the_mark_before_the_numbers() -> None:
    figure = drawn(CELLS)
    markers = {task: marker for task, (_, _, marker) in points(panels(figure)[0]).items()}
    assert markers == {"breast_lesion": "^", "breast_2cls": "v", "fetal_femur": "o"}
    beside = figure.axes[2]
    assert texts(beside) == [
        "▲", "+0.040 [+0.030, +0.050]", "▼", "−0.050 [−0.060, −0.040]", "?", "+1.0 [−1.0, +3.0]",
    ]  # fmt: skip


def test_the_legend_has_the_verdicts_that_are_there_and_the_margin() -> None:
    (legend,) = drawn(CELLS).legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["▲ gain", "▼ loss", "? undecided", "worse by less than the margin"]


def test_the_band_is_from_minus_one_margin_to_zero() -> None:
    (panel,) = panels(drawn(CELLS))
    (band,) = panel.patches
    box = band.get_path().get_extents()
    assert (box.x0, box.x1) == pytest.approx((-1.0, 0.0)) or band.get_xy()[0] == -1  # type: ignore[attr-defined]
    assert any(np.allclose(np.asarray(line.get_xdata(), dtype=float), -1) for line in panel.lines)


def test_an_interval_past_the_panel_ends_in_an_arrow_at_its_edge() -> None:
    wide = CELLS | {("fetal_femur", "unified"): {"delta": 0.0, "delta_low": -900.0, "delta_high": 900.0}}
    (panel,) = panels(drawn(wide))
    low, high = panel.get_xlim()
    assert intervals(panel)["fetal_femur"] == pytest.approx((low, high))
    arrows = {line.get_marker(): float(np.asarray(line.get_xdata())[0]) for line in panel.lines}
    assert (arrows[4], arrows[5]) == pytest.approx((low, high))


def test_the_same_run_and_missing_cells_are_named_and_have_no_point() -> None:
    cells = CELLS | {
        ("breast_lesion", "unified"): {"delta": None, "same": True, "verdict": ""},
        ("breast_2cls", "unified"): {"delta": None, "verdict": ""},
    }
    figure = drawn(cells)
    assert set(points(panels(figure)[0])) == {"fetal_femur"}
    assert texts(figure.axes[2])[:4] == ["", "same run", "", "missing"]


def test_collapsed_and_unconverged_cells_are_hollow_and_explained_in_the_legend() -> None:
    figure = drawn(CELLS | {("breast_lesion", "unified"): {"delta": 0.04, "verdict": "gain", "collapsed": True}})
    faces = {line.get_marker(): line.get_markerfacecolor() for line in panels(figure)[0].lines}
    assert faces["^"] == "white"
    assert faces["v"] != "white"
    assert "hollow" in figure.legends[0].get_texts()[-1].get_text()


def test_groupings_have_panels_of_their_own_two_in_a_row() -> None:
    names = ("clinical", "unified", "random")
    cells = {(task, name): {"delta": 0.01 * i} for i, name in enumerate(names) for task in TASKS}
    figure = drawn(cells, groupings=("task_specific", *names))
    assert [panel.get_title(loc="left") for panel in panels(figure)] == ["CG − TS", "AU − TS", "random − TS"]
    assert points(panels(figure)[2])["breast_2cls"][0] == pytest.approx(1.0)
    assert panels(figure)[0].get_xlim() == panels(figure)[2].get_xlim()
    assert sum(axes.axison for axes in figure.axes) == 3
    assert inside(figure)


@pytest.mark.parametrize("groupings", [("unified",), ("clinical", "unified")])
def test_nothing_is_cut_off(groupings: tuple[str, ...]) -> None:
    cells = {(task, name): {"delta": 0.4, "verdict": "gain", "collapsed": True} for name in groupings for task in TASKS}
    assert inside(drawn(cells))


def test_there_is_no_forest_where_nothing_is_compared() -> None:
    alone = comparison({(task, "unified"): {"delta": None, "same": True} for task in TASKS})
    assert draw_forest(alone, study(), TASKS, "base", 1.0) is None
    assert draw_forest(comparison(CELLS), study(), TASKS, "base", 0.5) is None


def test_a_margin_of_zero_has_numbers_but_no_point() -> None:
    figure = drawn(CELLS | {("fetal_femur", "unified"): {"delta": 1.0, "margin": 0.0}})
    assert "fetal_femur" not in points(panels(figure)[0])
    assert texts(figure.axes[2])[-1] == "+1.0 [+1.0, +1.0]"


def test_a_qualified_no_loss_has_its_mark_after_the_numbers() -> None:
    figure = drawn(CELLS | {("breast_lesion", "unified"): {"verdict": "no_loss", "rarer_than": 24}})
    assert any(text.get_text().endswith(" ‡24") for axes in figure.axes for text in axes.texts)
