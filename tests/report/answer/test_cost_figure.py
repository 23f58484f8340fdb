"""Score against cost: a point a grouping and scale, in each kind of cost that is known."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.report.figure_factories import inside, study
from usaggr.report.answer.cost_figure import draw_cost

MODELS = {"task_specific": 27, "clinical": 9, "unified": 1}
COLUMNS = ("grouping", "scale", "variant", "delta_m", "low", "high", "parameters", "train_seconds")
ROWS: list[tuple[Any, ...]] = [
    ("task_specific", 1.0, "base", np.nan, np.nan, np.nan, 27_000_000, 36_000.0),
    ("clinical", 1.0, "base", 0.02, 0.01, 0.03, 9_000_000, 28_800.0),
    ("unified", 1.0, "base", -0.05, -0.08, -0.02, 1_000_000, 18_000.0),
]


def table(rows: list[tuple[Any, ...]] = ROWS) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"parameters": "Int64"})


def drawn(summary: pd.DataFrame, scales: tuple[float | int, ...] = (1.0,)) -> Figure:
    figure = draw_cost(summary, study(scales=scales), MODELS, "base")
    assert figure is not None
    return figure


def points(axes: Axes) -> dict[str, tuple[float, float]]:
    """`grouping, scale`: cost and score."""
    return {
        str(line.get_label()): (float(np.asarray(line.get_xdata())[0]), float(np.asarray(line.get_ydata())[0]))
        for line in axes.lines
        if ", " in str(line.get_label())
    }


def test_points_stand_at_their_cost_and_mean_relative_change_in_percent() -> None:
    models, parameters, time = drawn(table()).axes
    assert points(models)["unified, 1"] == pytest.approx((1, -5))
    assert points(models)["clinical, 1"] == pytest.approx((9, 2))
    assert points(parameters)["clinical, 1"] == pytest.approx((9, 2))
    assert points(time)["unified, 1"] == pytest.approx((5, -5))
    assert time.get_xlabel() == "training time (hours)"


def test_the_reference_stands_at_nought() -> None:
    assert points(drawn(table()).axes[0])["task_specific, 1"] == pytest.approx((27, 0))


def test_short_times_are_told_in_minutes() -> None:
    time = drawn(table().assign(train_seconds=[600.0, 300.0, 120.0])).axes[2]
    assert time.get_xlabel() == "training time (minutes)"
    assert points(time)["unified, 1"][0] == pytest.approx(2)


def test_points_of_one_cost_do_not_hide_each_other_and_larger_scales_have_larger_markers() -> None:
    both = table([*ROWS, *((name, 0.25, *rest) for name, _, *rest in ROWS)])
    models = drawn(both, scales=(0.25, 1.0)).axes[0]
    left, right = points(models)["clinical, 0.25"][0], points(models)["clinical, 1"][0]
    assert left != right
    assert (left * right) ** 0.5 == pytest.approx(9, rel=0.01)
    sizes = {str(line.get_label()): line.get_markersize() for line in models.lines}
    assert sizes["clinical, 0.25"] < sizes["clinical, 1"]


def test_unknown_parameters_leave_their_points_out() -> None:
    models, parameters, _ = drawn(table().assign(parameters=pd.array([27_000_000, None, 1_000_000], "Int64"))).axes
    assert "clinical, 1" in points(models)
    assert "clinical, 1" not in points(parameters)


def test_without_any_change_there_is_no_figure() -> None:
    assert draw_cost(table().assign(delta_m=np.nan), study(), MODELS, "base") is None
    assert draw_cost(table(), study(), MODELS, "other") is None


def test_nothing_is_cut_off() -> None:
    assert inside(drawn(table()))
