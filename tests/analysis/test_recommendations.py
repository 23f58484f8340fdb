"""Tests of recommendations: a gain comes first, then a grouping with no loss and fewer models, then the reference."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.figure_factories import compared
from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.recommendations import recommend

MODELS = {"task_specific": 8, "clinical": 3, "unified": 1}


def row(grouping: str, verdict: str, delta: float | None = 0.0, needed: int | None = None, **other: Any) -> CellVerdict:
    verdict_row = compared("breast_lesion", grouping, delta, verdict=verdict, seeds_needed=needed, note="", **other)
    return replace(verdict_row, task="lung")


@pytest.mark.parametrize(
    ("verdicts", "kind", "grouping"),
    [
        ([row("clinical", "gain", 0.03), row("unified", "gain", 0.05)], "gain", "unified"),
        ([row("clinical", "gain", 0.03), row("unified", "no_loss", 0.09)], "gain", "clinical"),
        ([row("clinical", "no_loss", 0.01), row("unified", "no_loss", -0.01)], "fewer models", "unified"),
        ([row("clinical", "no_loss"), row("unified", "loss", -0.1)], "fewer models", "clinical"),
        ([row("clinical", "no_loss"), row("unified", "undecided")], "fewer models", "clinical"),
        ([row("clinical", "loss", -0.1), row("unified", "loss", -0.2)], "reference", "task_specific"),
        ([row("clinical", "loss", -0.1), row("unified", "undecided")], "undecided", None),
        ([row("clinical", "", None), row("unified", "loss", -0.2)], "no verdict", None),
        ([row("clinical", "", None, same=True), row("unified", "loss", -0.2)], "reference", "task_specific"),
        ([row("clinical", "", None), row("unified", "", None)], "no verdict", None),
    ],
)
def test_each_combination_of_verdicts_has_its_answer(
    verdicts: list[CellVerdict], kind: str, grouping: str | None
) -> None:
    answer = recommend(verdicts, "task_specific", MODELS)
    assert (answer.task, answer.kind, answer.grouping) == ("lung", kind, grouping)


def test_no_loss_without_fewer_models_keeps_the_reference() -> None:
    answer = recommend([row("task_specific", "no_loss", 0.01)], "unified", MODELS)
    assert (answer.kind, answer.grouping) == ("reference", "unified")


def test_the_reported_seeds_decide_every_undecided_grouping() -> None:
    undecided = [row("clinical", "undecided", needed=12), row("unified", "undecided", needed=7)]
    assert recommend(undecided, "task_specific", MODELS).seeds_needed == 12
    never = recommend([row("clinical", "undecided")], "task_specific", MODELS)
    assert (never.kind, never.seeds_needed) == ("undecided", None)


def test_a_single_seed_is_shown_before_groupings_that_more_seeds_cannot_decide() -> None:
    answer = recommend([row("clinical", "undecided"), row("unified", "undecided", seeds=1)], "task_specific", MODELS)
    assert answer.evidence is not None
    assert (answer.kind, answer.evidence.grouping, answer.seeds_needed) == ("undecided", "unified", None)


def test_a_recommendation_without_verdicts_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        recommend([], "task_specific", MODELS)


VERDICTS = st.sampled_from(["gain", "no_loss", "loss", "undecided", ""])


@given(VERDICTS, VERDICTS, st.floats(0.001, 1), st.floats(0.001, 1))
def test_no_grouping_with_a_loss_or_an_undecided_verdict_is_recommended(a: str, b: str, x: float, y: float) -> None:
    signs = {"gain": 1, "loss": -1}
    pair = [row("clinical", a, x * signs.get(a, 1)), row("unified", b, y * signs.get(b, 1))]
    answer = recommend(pair, "task_specific", MODELS)
    verdicts = {"clinical": a, "unified": b}
    if answer.kind == "gain":
        assert answer.grouping is not None
        assert verdicts[answer.grouping] == "gain"
    else:
        assert "gain" not in verdicts.values()
    if answer.kind == "fewer models":
        assert verdicts[str(answer.grouping)] == "no_loss"
    if answer.kind == "reference":
        assert "undecided" not in verdicts.values()
