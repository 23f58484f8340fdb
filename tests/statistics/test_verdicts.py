"""A case computed by hand for each verdict, in the order in which verdicts are tried."""

import numpy as np
import pytest

from usaggr.statistics.verdicts import decide_verdicts


def alone(delta: float, p: float, p_ni: float) -> tuple[str | None, bool]:
    family = decide_verdicts([delta], [p], [p_ni])
    return family.verdicts[0], bool(family.small_loss[0])


@pytest.mark.parametrize(
    ("delta", "p", "p_ni", "verdict", "small"),
    [
        (0.05, 0.049, 0.9, "gain", False),
        (0.05, 0.001, 0.0001, "gain", False),
        (0.05, 0.051, 0.024, "no_loss", False),
        (-0.01, 0.5, 0.024, "no_loss", False),
        (-0.01, 0.01, 0.024, "no_loss", True),
        (-0.05, 0.049, 0.026, "loss", False),
        (-0.05, 0.051, 0.026, "undecided", False),
        (0.05, 0.05, 0.025, "undecided", False),
        (0.0, 0.01, 0.5, "undecided", False),
    ],
)
def test_each_verdict(delta: float, p: float, p_ni: float, verdict: str, small: bool) -> None:
    assert alone(delta, p, p_ni) == (verdict, small)


def test_both_tests_are_adjusted_in_the_family() -> None:
    family = decide_verdicts([0.1, 0.1, -0.01], [0.02, 0.03, 0.9], [0.009, 0.5, 0.01])
    assert family.p_adjusted == pytest.approx([0.06, 0.06, 0.9])
    assert family.p_ni_adjusted == pytest.approx([0.027, 0.5, 0.027])
    assert family.verdicts == ("undecided", "undecided", "undecided")


def test_a_cell_that_is_not_judged_makes_the_family_no_larger() -> None:
    family = decide_verdicts([0.1, np.nan, 0.2], [0.03, np.nan, 0.02], [0.5, np.nan, 0.5])
    assert family.p_adjusted == pytest.approx([0.04, np.nan, 0.04], nan_ok=True)
    assert family.verdicts == ("gain", None, "gain")
    assert not family.small_loss.any()


def test_a_cell_that_lacks_one_of_its_p_values_is_not_judged() -> None:
    assert decide_verdicts([0.1, -0.1, 0.1], [0.001, 0.001, np.nan], [np.nan, np.nan, 0.001]).verdicts == (
        None,
        None,
        None,
    )


def test_an_empty_family_has_no_verdicts() -> None:
    assert decide_verdicts([], [], []).verdicts == ()
