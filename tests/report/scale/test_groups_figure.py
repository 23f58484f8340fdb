"""Tests of the figures of clinical groups and task types: means and intervals are those of the tables."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes

from tests.report.figure_factories import inside, study
from usaggr.report.scale.group_means import GroupMean, GroupSdRow
from usaggr.report.scale.groups_figure import draw_consistency, draw_sensitivity
from usaggr.statistics.claims import Quantity
from usaggr.statistics.group_sd import GroupSd

GROUPS = ("breast", "lung", "obstetrics")


def make_group_means(names: tuple[str, ...], scales: tuple[float, ...] = (1.0,)) -> list[GroupMean]:
    """Return means of 0.01, 0.02, ... for clinical and the negatives for unified, with intervals of ± 0.005."""
    means: list[GroupMean] = []
    for scale in scales:
        for grouping, sign in (("clinical", 1), ("unified", -1)):
            for i, row in enumerate(names):
                value = sign * 0.01 * (i + 1)
                mean = Quantity(value, value - 0.005, value + 0.005)
                means.append(GroupMean("base", scale, grouping, row, i + 2, 100.0, mean, mean, 3))
    return means


CONSISTENCY = make_group_means(GROUPS)
SPREAD = [
    GroupSdRow("base", 1.0, grouping, 3, 0, spread, spread, 3)
    for grouping, spread in (("clinical", GroupSd(3, 0.02, 0.0, 0.03)), ("unified", GroupSd(3, 0.01, 0.005, 0.015)))
]


def points(panel: Axes) -> dict[str, list[float]]:
    return {
        str(line.get_label()): np.asarray(line.get_xdata(), dtype=float).tolist()
        for line in panel.lines
        if line.get_label() in ("clinical", "unified")
    }


def intervals(panel: Axes) -> list[tuple[float, float]]:
    return [
        (float(s[0, 0]), float(s[1, 0]))
        for c in panel.collections
        for s in c.get_segments()  # type: ignore[attr-defined]
    ]


def test_clinical_groups_are_rows_in_percent_with_the_number_of_their_tasks() -> None:
    figure = draw_consistency(CONSISTENCY, SPREAD, study(), "base")
    assert figure is not None
    upper, lower = figure.axes
    assert [label.get_text() for label in upper.get_yticklabels()] == ["breast (2)", "lung (3)", "obstetrics (4)"]
    values = points(upper)
    assert values["clinical"] == pytest.approx([1, 2, 3])
    assert values["unified"] == pytest.approx([-1, -2, -3])
    assert np.asarray(intervals(upper)[:3]) == pytest.approx(np.asarray([(0.5, 1.5), (1.5, 2.5), (2.5, 3.5)]))
    assert points(lower) == {"clinical": pytest.approx([2.0]), "unified": pytest.approx([1.0])}
    assert lower.get_xlim()[0] == 0


def test_without_a_spread_the_figure_shows_only_means() -> None:
    figure = draw_consistency(CONSISTENCY, [], study(), "base")
    assert figure is not None
    assert len(figure.axes) == 1


def test_groupings_have_separate_lines_within_a_row_in_the_order_of_the_legend() -> None:
    figure = draw_consistency(CONSISTENCY, SPREAD, study(), "base")
    assert figure is not None
    heights = [float(np.asarray(line.get_ydata())[0]) for line in figure.axes[0].lines if line.get_label() in points(
        figure.axes[0])]  # fmt: skip
    assert heights == sorted(heights)
    assert len(set(heights)) == 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["CG", "AU"]


def test_task_types_have_the_projects_order_with_a_panel_per_scale() -> None:
    table = make_group_means(("regression", "segmentation"), scales=(0.25, 1.0))
    figure = draw_sensitivity(table, study(scales=(0.25, 1.0)), "base")
    assert figure is not None
    assert [axes.get_title() for axes in figure.axes] == ["25 % of data", "all data"]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["segmentation (3)", "regression (2)"]
    marks = next(line for line in figure.axes[1].lines if line.get_label() == "clinical")
    assert np.asarray(marks.get_xdata()) == pytest.approx([0.01, 0.02])
    assert np.round(np.asarray(marks.get_ydata(), dtype=float)).tolist() == [1, 0]


def test_one_distant_group_does_not_squeeze_the_others_together() -> None:
    values = [0.01, 0.02, 3.0, -0.01, -0.02, -0.03]
    far = [
        replace(row, relative=replace(row.relative, value=value))
        for row, value in zip(CONSISTENCY, values, strict=True)
    ]
    figure = draw_consistency(far, SPREAD, study(), "base")
    assert figure is not None
    assert figure.axes[0].get_xscale() == "symlog"
    place = figure.axes[0].transData.transform
    width = figure.axes[0].bbox.width
    assert (place((2.0, 0))[0] - place((-2.0, 0))[0]) / width > 0.05
    low, high = figure.axes[0].get_xlim()
    assert low < -3 < 300 < high


def test_an_interval_past_the_panel_ends_in_an_arrow() -> None:
    wide = [replace(row, relative=replace(row.relative, high=9.0)) for row in CONSISTENCY]
    figure = draw_consistency(wide, SPREAD, study(), "base")
    assert figure is not None
    panel = figure.axes[0]
    assert panel.get_xlim()[1] < 100
    assert {line.get_marker() for line in panel.lines} >= {5}
    assert max(high for _, high in intervals(panel)) == pytest.approx(panel.get_xlim()[1])


def test_empty_tables_give_no_figure() -> None:
    assert draw_consistency([], [], study(), "base") is None
    assert draw_sensitivity([], study(), "base") is None
    assert draw_consistency(CONSISTENCY, SPREAD, study(), "other") is None


def test_nothing_is_cut_off() -> None:
    names = ("a_clinical_group_with_quite_a_name", *GROUPS)
    scales = (0.1, 0.5, 1.0)
    figure = draw_consistency(make_group_means(names, scales), SPREAD, study(scales=scales), "base")
    assert figure is not None
    assert inside(figure)
