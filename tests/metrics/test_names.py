import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usaggr.metrics.names import (
    METRICS,
    Metric,
    compute_improvement,
    compute_skill,
    get_main_metric,
    get_metric,
    get_metric_label,
)
from usaggr.tasks import TASK_TYPES

ALL = [m for metrics in METRICS.values() for m in metrics]
metrics = st.sampled_from(ALL)
values = st.floats(0, 1)


def test_names_and_main_metrics_are_those_of_the_contract() -> None:
    assert {t: " ".join(m.name for m in METRICS[t]) for t in TASK_TYPES} == {
        "segmentation": "dsc hd hd95 nsd",
        "classification": "auc accuracy balanced_accuracy f1_macro f1_weighted mcc",
        "detection": "iou",
        "regression": "mre mre_relative",
    }
    assert [get_main_metric(t).name for t in TASK_TYPES] == ["dsc", "auc", "iou", "mre"]
    assert {m.name for m in ALL if not m.higher_is_better} == {"hd", "hd95", "mre", "mre_relative"}


@pytest.mark.parametrize("m", ALL, ids=lambda m: m.name)
def test_the_best_value_is_0_for_errors_and_1_for_the_others(m: Metric) -> None:
    assert m.best == (1 if m.higher_is_better else 0)
    assert get_metric(m.name) is m


def test_the_worst_value_is_infinite_for_errors_minus_1_for_mcc_and_0_for_other_scores() -> None:
    worst = {m.name: m.worst for m in ALL if m.higher_is_better}
    assert worst.pop("mcc") == -1
    assert set(worst.values()) == {0}
    assert {m.worst for m in ALL if not m.higher_is_better} == {math.inf}


def test_a_label_has_the_unit_of_its_metric_and_other_names_do_not_change() -> None:
    assert [get_metric_label(name, unit=True) for name in ("hd95", "mre_relative", "skill")] == [
        "HD95 (px)",
        "MRE/diagonal",
        "skill",
    ]
    assert get_metric_label("hd95") == "HD95"


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(KeyError, match="dice"):
        get_metric("dice")


def test_improvement_is_positive_for_better_values_in_both_directions() -> None:
    assert compute_improvement(0.8, 0.7, get_metric("dsc")) == pytest.approx(0.1)
    assert compute_improvement(20, 30, get_metric("hd")) == 10


@given(values, values, metrics)
def test_improvement_changes_its_sign_if_values_are_exchanged(a: float, b: float, m: Metric) -> None:
    assert compute_improvement(a, b, m) == -compute_improvement(b, a, m)


@pytest.mark.parametrize(
    ("score", "trivial", "name", "expected"),
    [
        (0.9, 0.5, "auc", 0.8),
        (0.3, 0.5, "auc", -0.4),
        (5.0, 20.0, "mre", 0.75),
        (90.0, 20.0, "mre", -1.0),
        (-0.4, 0.0, "mcc", -0.4),
        (1.0, 1.0, "dsc", 0.0),
        (0.9, 1.0, "dsc", -1.0),
        (0.0, 0.0, "mre", 0.0),
        (3.0, 0.0, "mre", -1.0),
    ],
)
def test_skill_is_the_fraction_of_the_way_from_the_trivial_predictor_to_perfection(
    score: float, trivial: float, name: str, expected: float
) -> None:
    assert compute_skill(score, trivial, get_metric(name)) == pytest.approx(expected)


@given(values, values, values, metrics)
def test_skill_is_in_range_and_never_falls_when_a_score_gets_better(
    first: float,
    second: float,
    trivial: float,
    m: Metric,
) -> None:
    worse, better = sorted((first, second), reverse=not m.higher_is_better)
    assert -1 <= compute_skill(worse, trivial, m) <= compute_skill(better, trivial, m) <= 1


@pytest.mark.parametrize("values", [(math.nan, 0.5), (0.5, math.nan), (math.inf, 0.5), (0.5, math.inf)])
def test_a_value_that_is_not_finite_has_no_skill(values: tuple[float, float]) -> None:
    assert math.isnan(compute_skill(*values, get_metric("dsc")))


@given(values, metrics)
def test_skill_is_0_for_the_trivial_predictor_and_1_for_perfection(trivial: float, m: Metric) -> None:
    assert compute_skill(trivial, trivial, m) == 0
    assert compute_skill(m.best, trivial, m) == (0 if trivial == m.best else 1)
