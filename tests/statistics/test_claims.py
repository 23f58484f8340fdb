"""Verdicts on each claim, in cases worked out by hand."""

from typing import Any

import numpy as np
import pytest

from usaggr.statistics.claims import (
    STATEMENTS,
    Claim,
    Quantity,
    decide_consistency,
    decide_rich_and_scarce,
    decide_scale_dependence,
    decide_type_sensitivity,
    make_undecided,
)

NAN = float("nan")


def about(value: float, half: float, p: float = NAN) -> Quantity:
    return Quantity(value, value - half, value + half, p)


@pytest.mark.parametrize(
    ("slope", "verdict", "why"),
    [
        (about(0.10, 0.05), "supported", "more data help it"),
        (about(-0.10, 0.05), "supported", "more data hurt it"),
        (about(0.005, 0.01), "contradicted", "within ±0.02"),
        (about(0.005, 0.05), "undecided", "includes 0 and does not lie within ±0.02"),
        (about(0.010, 0.005), "undecided", "too small to matter"),
        (about(0.020, 0.001), "supported", "excludes 0"),
        (Quantity(0.1, NAN, NAN), "undecided", ""),
    ],
)
def test_claim_a_depends_on_whether_the_slope_is_certain_or_certainly_small(
    slope: Quantity, verdict: str, why: str
) -> None:
    claim = decide_scale_dependence("CG, within tasks", "slope", slope)
    assert (claim.letter, claim.verdict) == ("a", verdict)
    assert why in claim.reason
    assert (claim.estimate, claim.statement) == (slope.value, STATEMENTS["a"])


def test_the_bound_of_claim_a_can_be_set() -> None:
    assert decide_scale_dependence("CG", "slope", about(0.0, 0.05), bound=0.1).verdict == "contradicted"


@pytest.mark.parametrize(
    ("rich", "scarce", "verdict", "why"),
    [
        (about(0.05, 0.02), about(-0.10, 0.05), "supported", "a certain gain"),
        (about(0.05, 0.02), about(-0.06, 0.05), "undecided", "a loss beyond the margin where they are scarce"),
        (about(0.05, 0.06), about(-0.10, 0.05), "undecided", "a gain where data are rich"),
        (about(0.05, 0.06), about(-0.03, 0.05), "undecided", "a gain where data are rich and a loss beyond"),
        (about(0.05, 0.02), about(0.01, 0.02), "contradicted", "certainly no loss beyond the margin"),
        (about(-0.05, 0.02), about(-0.10, 0.05), "contradicted", "a certain loss where data are rich"),
        (about(-0.05, 0.02), about(0.01, 0.02), "contradicted", "no loss beyond the margin where data are scarce, and"),
    ],
)
def test_claim_b_needs_a_gain_where_rich_and_a_loss_where_scarce(
    rich: Quantity, scarce: Quantity, verdict: str, why: str
) -> None:
    claim = decide_rich_and_scarce("CG", "means", rich, scarce, 0.02, "confounded")
    assert claim.verdict == verdict
    assert why in claim.reason
    assert claim.reason.endswith("; confounded")
    assert (claim.estimate, claim.low, claim.high) == (scarce.value, scarce.low, scarce.high)


def test_claim_b_gives_both_estimates() -> None:
    why = decide_rich_and_scarce("CG", "means", about(0.05, 0.02), about(-0.1, 0.05), 0.02).reason
    assert "rich +0.050 [+0.030, +0.070], scarce −0.100 [−0.150, −0.050], margin 0.02" in why


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [(about(0.05, 0.04), "supported"), (about(-0.05, 0.04), "contradicted"), (about(0.05, 0.06), "undecided")],
)
def test_claim_c_depends_on_the_sign_of_the_difference_of_spreads(difference: Quantity, verdict: str) -> None:
    assert decide_consistency("CG against AU", "spread", difference).verdict == verdict


@pytest.mark.parametrize(
    ("segmentation", "gaps", "verdict", "why"),
    [
        (about(-0.1, 0.02), {"classification": about(-0.1, 0.05, 0.001), "regression": about(-0.08, 0.05, 0.01)},
         "supported", "certainly lower than every other type"),
        (about(-0.1, 0.02), {"classification": about(-0.1, 0.05, 0.001), "regression": about(-0.03, 0.05, 0.3)},
         "undecided", "not certainly apart from regression"),
        (about(0.1, 0.02), {"classification": about(-0.1, 0.05, 0.001)}, "undecided", "not certain to drop"),
        (about(-0.1, 0.02), {"classification": about(0.1, 0.05, 0.001), "regression": about(-0.1, 0.05, 0.001)},
         "contradicted", "classification certainly lower than segmentation"),
    ],
)  # fmt: skip
def test_claim_d_compares_segmentation_with_every_other_type(
    segmentation: Quantity, gaps: dict[str, Quantity], verdict: str, why: str
) -> None:
    claim = decide_type_sensitivity("AU", "gaps", segmentation, gaps)
    assert claim.verdict == verdict
    assert why in claim.reason
    assert claim.estimate == max(gap.value for gap in gaps.values())


def test_claim_d_is_adjusted_for_the_number_of_types() -> None:
    gaps = {name: about(0.1, 0.099, 0.03) for name in ("classification", "regression", "detection")}
    assert decide_type_sensitivity("AU", "gaps", about(-0.1, 0.02), gaps).verdict == "undecided"
    assert decide_type_sensitivity("AU", "gaps", about(-0.1, 0.02), {"detection": about(0.1, 0.09, 0.03)}).verdict != (
        "undecided"
    )


def test_a_claim_that_cannot_be_tested_has_its_reason_and_the_available_numbers() -> None:
    claim = make_undecided("c", "CG against AU", "spread", "skill", "not asked by this sweep: one clinical group")
    assert claim == Claim("c", "CG against AU", STATEMENTS["c"], "spread", None, None, None, "skill", "undecided",
                          "not asked by this sweep: one clinical group")  # fmt: skip
    options: dict[str, Any] = {"estimate": Quantity(0.1, NAN, np.inf)}
    partly = make_undecided("c", "CG against AU", "spread", "skill", "one seed", **options)
    assert (partly.estimate, partly.low, partly.high) == (0.1, None, None)
