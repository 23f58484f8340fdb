"""What to use for a task follows from verdicts: a gain first, then a model saved at no loss, else what is known."""

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
    known = compared("breast_lesion", grouping, delta, verdict=verdict, seeds_needed=needed, note="", **other)
    return replace(known, task="lung")


@pytest.mark.parametrize(
    ("rows", "kind", "grouping"),
    [
        ([row("clinical", "gain", 0.03), row("unified", "gain", 0.05)], "gain", "unified"),
        ([row("clinical", "gain", 0.03), row("unified", "no_loss", 0.09)], "gain", "clinical"),
        ([row("clinical", "no_loss", 0.01), row("unified", "no_loss", -0.01)], "good enough", "unified"),
        ([row("clinical", "no_loss"), row("unified", "loss", -0.1)], "good enough", "clinical"),
        ([row("clinical", "no_loss"), row("unified", "undecided")], "good enough", "clinical"),
        ([row("clinical", "loss", -0.1), row("unified", "loss", -0.2)], "keep", "task_specific"),
        ([row("clinical", "loss", -0.1), row("unified", "undecided")], "not known", None),
        ([row("clinical", "", None), row("unified", "loss", -0.2)], "no verdict", None),
        ([row("clinical", "", None, same=True), row("unified", "loss", -0.2)], "keep", "task_specific"),
        ([row("clinical", "", None), row("unified", "", None)], "no verdict", None),
    ],
)
def test_each_combination_of_verdicts_has_its_answer(rows: list[CellVerdict], kind: str, grouping: str | None) -> None:
    found = recommend(rows, "task_specific", MODELS)
    assert (found.task, found.kind, found.grouping) == ("lung", kind, grouping)


def test_no_loss_that_saves_no_model_is_no_reason_to_leave_the_reference() -> None:
    found = recommend([row("task_specific", "no_loss", 0.01)], "unified", MODELS)
    assert (found.kind, found.grouping) == ("keep", "unified")


def test_the_fewest_seeds_that_would_tell_are_told() -> None:
    rows = [row("clinical", "undecided", needed=12), row("unified", "undecided", needed=7)]
    assert recommend(rows, "task_specific", MODELS).seeds_needed == 7
    never = recommend([row("clinical", "undecided")], "task_specific", MODELS)
    assert (never.kind, never.seeds_needed) == ("not known", None)


def test_without_a_comparison_there_is_nothing_to_recommend() -> None:
    with pytest.raises(ValueError, match="at least one"):
        recommend([], "task_specific", MODELS)


VERDICTS = st.sampled_from(["gain", "no_loss", "loss", "undecided", ""])


@given(VERDICTS, VERDICTS, st.floats(0.001, 1), st.floats(0.001, 1))
def test_no_grouping_with_a_loss_or_without_certainty_is_ever_recommended(a: str, b: str, x: float, y: float) -> None:
    signs = {"gain": 1, "loss": -1}
    rows = [row("clinical", a, x * signs.get(a, 1)), row("unified", b, y * signs.get(b, 1))]
    found = recommend(rows, "task_specific", MODELS)
    verdicts = {"clinical": a, "unified": b}
    if found.kind == "gain":
        assert found.grouping is not None
        assert verdicts[found.grouping] == "gain"
    else:
        assert "gain" not in verdicts.values()
    if found.kind == "good enough":
        assert verdicts[str(found.grouping)] == "no_loss"
    if found.kind == "keep":
        assert "undecided" not in verdicts.values()
