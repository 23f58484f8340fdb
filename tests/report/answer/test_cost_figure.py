"""Tests of score against cost: one point per grouping and scale, for each kind of cost that is available."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.report.figure_factories import inside, study, summary_line
from usaggr.analysis.summary import SummaryLine
from usaggr.report.answer.cost_figure import draw_cost

MODELS = {"task_specific": 27, "clinical": 9, "unified": 1}
LINES = [
    summary_line("task_specific", parameters=27_000_000, train_seconds=36_000.0),
    summary_line("clinical", delta_m=0.02, low=0.01, high=0.03, parameters=9_000_000, train_seconds=28_800.0),
    summary_line("unified", delta_m=-0.05, low=-0.08, high=-0.02, parameters=1_000_000, train_seconds=18_000.0),
]


def drawn(summary: Sequence[SummaryLine] = LINES, scales: tuple[float | int, ...] = (1.0,)) -> Figure:
    figure = draw_cost(summary, study(scales=scales), MODELS, "base")
    assert figure is not None
    return figure


def points(axes: Axes) -> dict[str, tuple[float, float]]:
    """Return cost and score by the label `grouping, scale`."""
    return {
        str(line.get_label()): (float(np.asarray(line.get_xdata())[0]), float(np.asarray(line.get_ydata())[0]))
        for line in axes.lines
        if ", " in str(line.get_label())
    }


def test_points_are_at_their_cost_and_mean_relative_change_in_percent() -> None:
    models, parameters, time = drawn().axes
    assert points(models)["unified, 1"] == pytest.approx((1, -5))
    assert points(models)["clinical, 1"] == pytest.approx((9, 2))
    assert points(parameters)["clinical, 1"] == pytest.approx((9, 2))
    assert points(time)["unified, 1"] == pytest.approx((5, -5))
    assert time.get_xlabel() == "training time (hours)"


def test_the_reference_is_at_zero() -> None:
    assert points(drawn().axes[0])["task_specific, 1"] == pytest.approx((27, 0))


def test_short_times_are_in_minutes() -> None:
    time = drawn([replace(line, train_seconds=s) for line, s in zip(LINES, (600.0, 300.0, 120.0), strict=True)]).axes[2]
    assert time.get_xlabel() == "training time (minutes)"
    assert points(time)["unified, 1"][0] == pytest.approx(2)


def test_points_of_one_cost_do_not_hide_each_other_and_larger_scales_have_larger_markers() -> None:
    two_scales = [*LINES, *(replace(line, scale=0.25) for line in LINES)]
    models = drawn(two_scales, scales=(0.25, 1.0)).axes[0]
    left, right = points(models)["clinical, 0.25"][0], points(models)["clinical, 1"][0]
    assert left != right
    assert (left * right) ** 0.5 == pytest.approx(9, rel=0.01)
    sizes = {str(line.get_label()): line.get_markersize() for line in models.lines}
    assert sizes["clinical, 0.25"] < sizes["clinical, 1"]


def test_unknown_parameters_leave_their_points_out() -> None:
    models, parameters, _ = drawn([LINES[0], replace(LINES[1], parameters=None), LINES[2]]).axes
    assert "clinical, 1" in points(models)
    assert "clinical, 1" not in points(parameters)


def test_without_any_change_there_is_no_figure() -> None:
    assert draw_cost([replace(line, delta_m=np.nan) for line in LINES], study(), MODELS, "base") is None
    assert draw_cost(LINES, study(), MODELS, "other") is None


def test_nothing_is_cut_off() -> None:
    assert inside(drawn())
