"""Tests of the rule: which cells count, what they predict, and each reason for an answer that is not known."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.advice.factories import SEGMENTATIONS, cell, new
from usaggr.advice.evidence import EvidenceCell
from usaggr.advice.rule import assess_mode, decide_verdict, find_level, is_near
from usaggr.statistics.verdicts import VERDICTS
from usaggr.tasks import CATALOGUE


def cells(value: float, half: float = 0.01, **changes: object) -> list[EvidenceCell]:
    """Make one cell for each of seven segmentation tasks, with similar effects."""
    offsets = (-0.001, 0.001, 0.0, 0.002, -0.002, 0.001, -0.001)
    return [cell(t, value + offset, half, **changes) for t, offset in zip(SEGMENTATIONS, offsets, strict=True)]  # type: ignore[arg-type]


# Predictions


@pytest.mark.parametrize(
    ("value", "half", "verdict"),
    [(0.05, 0.01, "gain"), (0.0, 0.01, "no_loss"), (-0.06, 0.01, "loss"), (-0.01, 0.04, "undecided")],
)
def test_tasks_of_the_type_predict_a_new_one(value: float, half: float, verdict: str) -> None:
    result = assess_mode(new(), "unified", cells(value, half))
    assert result.verdict == verdict
    assert result.level == "same type"
    assert len(result.cells) == 7
    assert result.prediction is not None
    assert result.prediction.mean == pytest.approx(value, abs=1e-3)
    assert result.prediction.low < value < result.prediction.high
    assert result.reason == "7 tasks of the same type (7 results)"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.001, 1, "gain"), (-0.01, -0.001, "no_loss"), (-0.03, -0.001, "loss"), (-0.03, 0.01, "undecided")],
)
def test_intervals_are_judged_as_in_the_report(low: float, high: float, verdict: str) -> None:
    assert decide_verdict(low, high, 0.02) == verdict


def test_the_same_task_comes_first_with_its_own_verdict() -> None:
    same_task = cell("thyroid_nodule", -0.05, 0.06, "loss")  # the report judged it, although its interval includes 0
    result = assess_mode(new(), "unified", [*cells(0.05), same_task])
    assert (result.verdict, result.level, result.cells) == ("loss", "same task", (same_task,))
    assert result.reason == "the same task in 1 other data set (1 result), with its own verdict"


def test_evidence_from_this_data_set_is_labeled() -> None:
    mine = replace(new(), content="c" * 64)
    cells_ = [cell("thyroid_nodule", 0.05), cell("thyroid_nodule", 0.05, sweep="b", content="d")]
    assert assess_mode(mine, "unified", cells_[:1]).reason.startswith("the same task in this data set (1 result)")
    assert assess_mode(mine, "unified", cells_).reason.startswith(
        "the same task in this data set and 1 other data set (2"
    )


def test_the_clinical_group_comes_before_the_type() -> None:
    obstetric = [cell(t, -0.06) for t in ("cervix", "fetal_head", "fetal_heart")]
    result = assess_mode(new("cervix_multi"), "unified", [*cells(0.05), *obstetric])
    assert result.level == "same clinical group"
    assert {c.task.clinical_group for c in result.cells} == {"obstetrics"}


def test_the_interval_of_two_data_sets_spans_both() -> None:
    mine = [cell("thyroid_nodule", 0.05, 0.01), cell("thyroid_nodule", -0.001, 0.01, sweep="b", content="d")]
    result = assess_mode(new(), "unified", mine)
    assert result.prediction is not None
    assert (result.prediction.low, result.prediction.high) == pytest.approx((-0.011, 0.06))
    assert result.verdict == "no_loss"
    assert result.prediction.tau is None


def test_several_sweeps_of_one_data_set_give_the_interval_of_one() -> None:
    once = [*cells(0.03)]
    again = [replace(c, sweep="outputs/b") for c in once]
    single = assess_mode(new(), "unified", once).prediction
    double = assess_mode(new(), "unified", [*once, *again]).prediction
    assert single is not None
    assert double is not None
    assert double.effects == single.effects == 7
    assert (double.low, double.high) == pytest.approx((single.low, single.high))


def test_the_nearest_of_several_scales_counts() -> None:
    scales = [
        replace(c, n_train=n, scale=s, scales=3) for c in cells(0.05) for n, s in ((60, 0.25), (110, 0.5), (190, 1.0))
    ]
    result = assess_mode(new(n_train=100), "unified", scales)
    assert {c.n_train for c in result.cells} == {110}


def test_cells_of_other_types_and_ways_are_ignored() -> None:
    unrelated = [cell("breast_2cls", -0.5, 0.01, "loss"), *cells(-0.5, mode="clinical", grouping="clinical")]
    assert assess_mode(new(), "unified", [*cells(0.05), *unrelated]).verdict == "gain"


def test_tasks_of_the_same_type_are_no_evidence_for_a_grouping_without_a_rule() -> None:
    mine = [replace(c, mode="mine", grouping="mine") for c in cells(0.05)]
    result = assess_mode(new(), "mine", mine)
    assert (result.verdict, result.reason) == ("not_known", "no similar task is in a block of this grouping")
    assert assess_mode(new("cervix"), "mine", mine).verdict == "undecided"


# Reasons for an answer that is not known


def why_not_known(cells_: list[EvidenceCell], n_train: int = 100, task: str = "thyroid_nodule") -> str:
    result = assess_mode(new(task, n_train), "unified", cells_)
    assert result.verdict == "not_known"
    assert not result.cells or result.prediction is not None
    return result.reason


def test_not_known_without_a_task_of_the_type() -> None:
    assert why_not_known(cells(0.05), task="FUGC") == "no regression task was trained this way"


def test_not_known_outside_the_range_of_training_samples() -> None:
    assert (
        why_not_known([*cells(0.05), *cells(0.05, n_train=400)], 1000)
        == "1000 training samples here, but 100 to 400 in the sweeps"
    )
    assert why_not_known(cells(0.05), 0) == "0 training samples here, but 100 in the sweeps"


def test_not_known_from_collapsed_or_unconverged_models() -> None:
    failed = cells(-0.3, verdict="loss", unusable="the shared model collapsed", invalid=True)
    assert why_not_known(failed) == "only collapsed or unconverged models (7 results)"
    result = assess_mode(new(), "unified", failed)
    assert result.left_out == tuple(failed)


def test_not_known_from_single_seeds() -> None:
    assert why_not_known(cells(0.05, unusable="one seed")) == "no usable evidence: one seed"


def test_not_known_from_too_few_tasks() -> None:
    why = "only 2 tasks of the same type with similar numbers of training samples; 3 are needed"
    assert why_not_known(cells(0.05)[:2]) == why


def test_not_known_from_a_wide_interval() -> None:
    wide = [cell(t, v) for t, v in zip(SEGMENTATIONS, (0.1, -0.1, 0.05, -0.05, 0.2, 0.0, -0.2), strict=True)]
    assert why_not_known(wide) == (
        "the interval extends more than 3 margins to either side; 7 tasks of the same type (7 results)"
    )


def test_not_known_from_contradictory_evidence() -> None:
    contradictory = [cell(t, 0.1, verdict="gain") for t in SEGMENTATIONS[:3]]
    contradictory += [cell(t, -0.1, verdict="loss") for t in SEGMENTATIONS[3:]]
    assert why_not_known(contradictory) == (
        "the evidence is contradictory: gain for breast_lesion, carotid_artery, cervix; "
        "loss for fetal_head, fetal_heart, lung"
    )


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_similarity_of_sizes_is_symmetric_and_within_a_factor_of_two(size: int, other: int) -> None:
    assert is_near(size, other) == is_near(other, size) == (0.5 <= size / other <= 2)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*SEGMENTATIONS, "breast_2cls", "thyroid_nodule"]),
            st.floats(-0.2, 0.2),
            st.floats(0.001, 0.2),
            st.sampled_from([*VERDICTS]),
            st.sampled_from([20, 60, 100, 150, 400]),
            st.sampled_from(["", "one seed"]),
            st.sampled_from(["outputs/a", "outputs/b"]),
        ),
        max_size=14,
    )
)
def test_every_answer_has_usable_cells_or_a_reason(drawn: list[tuple[str, float, float, str, int, str, str]]) -> None:
    evidence = [
        cell(task, value, half, verdict, n_train, unusable=unusable, sweep=sweep)
        for task, value, half, verdict, n_train, unusable, sweep in drawn
    ]
    result = assess_mode(new(), "unified", evidence)
    assert result.reason
    assert all(c in evidence and not c.unusable and is_near(c.n_train, 100) for c in result.cells)
    assert all(c.task.type == "segmentation" for c in result.cells)
    if result.verdict != "not_known":
        assert result.cells
        assert result.prediction is not None
        assert result.prediction.low <= result.prediction.mean <= result.prediction.high


def test_the_level_of_a_cell_is_its_highest_similarity() -> None:
    assert find_level(new(), cell("thyroid_nodule")) == "same task"
    assert find_level(new("cervix"), cell("fetal_head")) == "same clinical group"
    assert find_level(new(), cell("fetal_head")) == "same type"
    assert find_level(new(), cell("fetal_head", n_train=900)) is None
    assert find_level(new(), cell("breast_2cls")) is None
    assert find_level(new(), cell("fetal_head", mode="mine")) is None
    assert CATALOGUE["thyroid_nodule"].type == "segmentation"


def test_a_no_loss_states_which_failures_its_evidence_does_not_exclude() -> None:
    rates = (24, None, 9, 65, None, 24, 24)
    results = {}
    for value in (0.0, 0.08):
        drawn = [replace(made, rarer_than=rate) for made, rate in zip(cells(value), rates, strict=True)]
        results[value] = assess_mode(new(), "unified", drawn)
    assert (results[0.0].verdict, results[0.0].rarer_than) == ("no_loss", 9)
    assert results[0.0].reason.endswith("; apart from failures rarer than 1 in 9")
    assert (results[0.08].verdict, results[0.08].rarer_than) == ("gain", None)


def test_failures_of_a_classification_are_counted_in_the_rarer_class() -> None:
    evidence = replace(cell("breast_2cls", 0.0, verdict="no_loss"), rarer_than=9)
    result = assess_mode(new("breast_2cls"), "unified", [evidence])
    assert result.verdict == "no_loss"
    assert result.reason.endswith("; apart from failures rarer than 1 in 9 in the rarer class")
