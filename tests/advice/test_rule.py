"""The rule: which cells count, what they predict, and each reason why nothing is known."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.advice.factories import SEGMENTATIONS, cell, new
from usaggr.advice.evidence import EvidenceCell
from usaggr.advice.rule import answer, bears_on, by_interval, near
from usaggr.statistics.verdicts import VERDICTS
from usaggr.tasks import CATALOGUE


def cells(value: float, half: float = 0.01, **changes: object) -> list[EvidenceCell]:
    """One cell of each of seven segmentation tasks, of alike effects."""
    away = (-0.001, 0.001, 0.0, 0.002, -0.002, 0.001, -0.001)
    return [cell(t, value + d, half, **changes) for t, d in zip(SEGMENTATIONS, away, strict=True)]  # type: ignore[arg-type]


# What is predicted


@pytest.mark.parametrize(
    ("value", "half", "verdict"),
    [(0.05, 0.01, "gain"), (0.0, 0.01, "no_loss"), (-0.06, 0.01, "loss"), (-0.01, 0.04, "undecided")],
)
def test_tasks_of_the_type_predict_a_new_one(value: float, half: float, verdict: str) -> None:
    said = answer(new(), "unified", cells(value, half))
    assert said.verdict == verdict
    assert said.level == "same type"
    assert len(said.cells) == 7
    assert said.prediction is not None
    assert said.prediction.mean == pytest.approx(value, abs=1e-3)
    assert said.prediction.low < value < said.prediction.high
    assert said.why == "7 tasks of its type, 7 cells"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.001, 1, "gain"), (-0.01, -0.001, "no_loss"), (-0.03, -0.001, "loss"), (-0.03, 0.01, "undecided")],
)
def test_verdicts_are_those_of_the_report(low: float, high: float, verdict: str) -> None:
    assert by_interval(low, high, 0.02) == verdict


def test_the_same_task_comes_first_with_its_own_verdict() -> None:
    own = cell("thyroid_nodule", -0.05, 0.06, "loss")  # certain after Holm's adjustment or not: the report has judged
    said = answer(new(), "unified", [*cells(0.05), own])
    assert (said.verdict, said.level, said.cells) == ("loss", "same task", (own,))
    assert said.why == "the same task in 1 other data set, 1 cell, with its own verdict"


def test_evidence_of_these_very_data_is_named_so() -> None:
    mine = replace(new(), content="c" * 64)
    cells_ = [cell("thyroid_nodule", 0.05), cell("thyroid_nodule", 0.05, sweep="b", content="d")]
    assert answer(mine, "unified", cells_[:1]).why.startswith("the same task in these very data, 1 cell")
    assert answer(mine, "unified", cells_).why.startswith("the same task in these very data and 1 other data set, 2")


def test_the_clinical_group_comes_before_the_type() -> None:
    obstetric = [cell(t, -0.06) for t in ("cervix", "fetal_head", "fetal_heart")]
    said = answer(new("cervix_multi"), "unified", [*cells(0.05), *obstetric])
    assert said.level == "same clinical group"
    assert {c.task.clinical_group for c in said.cells} == {"obstetrics"}


def test_two_data_sets_are_taken_with_all_they_span() -> None:
    mine = [cell("thyroid_nodule", 0.05, 0.01), cell("thyroid_nodule", -0.001, 0.01, sweep="b", content="d")]
    said = answer(new(), "unified", mine)
    assert said.prediction is not None
    assert (said.prediction.low, said.prediction.high) == pytest.approx((-0.011, 0.06))
    assert said.verdict == "no_loss"
    assert said.prediction.tau is None


def test_several_sweeps_of_one_data_set_are_no_surer_than_one() -> None:
    once = [*cells(0.03)]
    again = [replace(c, sweep="outputs/b") for c in once]
    one, both = answer(new(), "unified", once).prediction, answer(new(), "unified", [*once, *again]).prediction
    assert one is not None
    assert both is not None
    assert both.effects == one.effects == 7
    assert (both.low, both.high) == pytest.approx((one.low, one.high))


def test_of_several_scales_the_nearest_counts() -> None:
    scales = [
        replace(c, n_train=n, scale=s, scales=3) for c in cells(0.05) for n, s in ((60, 0.25), (110, 0.5), (190, 1.0))
    ]
    said = answer(new(n_train=100), "unified", scales)
    assert {c.n_train for c in said.cells} == {110}


def test_cells_of_other_types_and_ways_are_passed_over() -> None:
    others = [cell("breast_2cls", -0.5, 0.01, "loss"), *cells(-0.5, way="clinical", grouping="clinical")]
    assert answer(new(), "unified", [*cells(0.05), *others]).verdict == "gain"


def test_of_a_grouping_that_is_no_rule_tasks_of_the_type_alone_prove_nothing() -> None:
    mine = [replace(c, way="mine", grouping="mine") for c in cells(0.05)]
    said = answer(new(), "mine", mine)
    assert (said.verdict, said.why) == ("not_known", "its blocks hold no such task")
    assert answer(new("cervix"), "mine", mine).verdict == "undecided"


# Why nothing is known


def unknown(cells_: list[EvidenceCell], n_train: int = 100, task: str = "thyroid_nodule") -> str:
    said = answer(new(task, n_train), "unified", cells_)
    assert said.verdict == "not_known"
    assert not said.cells or said.prediction is not None
    return said.why


def test_not_known_without_a_task_of_the_type() -> None:
    assert unknown(cells(0.05), task="FUGC") == "no regression task was trained this way"


def test_not_known_out_of_the_range_of_training_samples() -> None:
    assert (
        unknown([*cells(0.05), *cells(0.05, n_train=400)], 1000)
        == "1000 training samples here, 100 to 400 in the sweeps"
    )
    assert unknown(cells(0.05), 0) == "0 training samples here, 100 in the sweeps"


def test_not_known_from_collapsed_or_unconverged_models() -> None:
    failed = cells(-0.3, verdict="loss", unusable="AU collapsed", invalid=True)
    assert unknown(failed) == "only collapsed or unconverged models (7 cells)"
    said = answer(new(), "unified", failed)
    assert said.left_out == tuple(failed)


def test_not_known_from_single_seeds() -> None:
    assert unknown(cells(0.05, unusable="one seed")) == "no cell counts: one seed"


def test_not_known_from_too_few_tasks() -> None:
    why = "2 tasks of its type and about its size; 3 are needed"
    assert unknown(cells(0.05)[:2]) == why


def test_not_known_from_a_wide_interval() -> None:
    wide = [cell(t, v) for t, v in zip(SEGMENTATIONS, (0.1, -0.1, 0.05, -0.05, 0.2, 0.0, -0.2), strict=True)]
    assert unknown(wide) == "the interval is wider than 3 margins on either side (7 tasks of its type, 7 cells)"


def test_not_known_from_evidence_that_contradicts_itself() -> None:
    both = [cell(t, 0.1, verdict="gain") for t in SEGMENTATIONS[:3]]
    both += [cell(t, -0.1, verdict="loss") for t in SEGMENTATIONS[3:]]
    assert unknown(both) == (
        "the evidence contradicts itself: gain for breast_lesion, carotid_artery, cervix; "
        "loss for fetal_head, fetal_heart, lung"
    )


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_likeness_of_sizes_is_mutual_and_within_a_factor_of_two(one: int, other: int) -> None:
    assert near(one, other) == near(other, one) == (0.5 <= one / other <= 2)


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
def test_there_is_no_answer_without_cells_behind_it(drawn: list[tuple[str, float, float, str, int, str, str]]) -> None:
    evidence = [
        cell(task, value, half, verdict, n_train, unusable=unusable, sweep=sweep)
        for task, value, half, verdict, n_train, unusable, sweep in drawn
    ]
    said = answer(new(), "unified", evidence)
    assert said.why
    assert all(c in evidence and not c.unusable and near(c.n_train, 100) for c in said.cells)
    assert all(c.task.type == "segmentation" for c in said.cells)
    if said.verdict != "not_known":
        assert said.cells
        assert said.prediction is not None
        assert said.prediction.low <= said.prediction.mean <= said.prediction.high


def test_the_level_at_which_a_cell_speaks_of_a_task() -> None:
    assert bears_on(new(), cell("thyroid_nodule")) == "same task"
    assert bears_on(new("cervix"), cell("fetal_head")) == "same clinical group"
    assert bears_on(new(), cell("fetal_head")) == "same type"
    assert bears_on(new(), cell("fetal_head", n_train=900)) is None
    assert bears_on(new(), cell("breast_2cls")) is None
    assert bears_on(new(), cell("fetal_head", way="mine")) is None
    assert CATALOGUE["thyroid_nodule"].type == "segmentation"
