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
    describe_confounded_scale_dependence,
    make_undecided,
)
from usaggr.statistics.scale_trend import SignChange

NAN = float("nan")


def about(value: float, half: float, p: float = NAN) -> Quantity:
    return Quantity(value, value - half, value + half, p)


RISES, FALLS, FLAT = about(0.2, 0.1), about(-0.2, 0.1), about(0.0, 0.1)


def transformed(log_error: Quantity, log_skill: Quantity) -> dict[str, Quantity]:
    return {"log error": log_error, "log skill": log_skill}


@pytest.mark.parametrize(
    ("slope", "log_error", "log_skill", "verdict", "why"),
    [
        (about(0.10, 0.05), RISES, RISES, "supported", "the difference rises with more data"),
        (about(-0.10, 0.05), FALLS, FALLS, "supported", "the difference falls with more data"),
        (about(-0.10, 0.05), FLAT, FALLS, "undecided", "but not in log error with the same sign"),
        (about(-0.10, 0.05), RISES, FALLS, "undecided", "but not in log error with the same sign"),
        (about(0.10, 0.05), RISES, FLAT, "undecided", "but not in log skill with the same sign"),
        (about(0.10, 0.05), FLAT, FLAT, "undecided", "but not in log error and log skill with the same sign"),
        (about(0.10, 0.05), Quantity(0.1, NAN, NAN), RISES, "undecided", "log error +0.100, no interval"),
        (about(0.0, 0.1), RISES, RISES, "undecided", "includes 0 and does not lie within ±0.02"),
        (about(0.005, 0.01), FLAT, FLAT, "contradicted", "within ±0.02"),
        (about(0.005, 0.01), RISES, FLAT, "contradicted", "although the slope in log error excludes 0"),
        (about(0.010, 0.005), FLAT, FLAT, "contradicted", "no strong dependence (skill"),
        (about(-0.010, 0.005), RISES, FLAT, "contradicted", "although the slope in log error excludes 0"),
        (about(0.005, 0.05), FLAT, FLAT, "undecided", "includes 0 and does not lie within ±0.02"),
        (about(0.010, 0.005), RISES, RISES, "contradicted", "in log error and log skill excludes 0"),
        (about(0.020, 0.001), RISES, RISES, "supported", "exclude 0"),
        (Quantity(0.1, NAN, NAN), RISES, RISES, "undecided", ""),
    ],
)
def test_claim_a_needs_slopes_in_skill_log_error_and_log_skill_with_one_sign(
    slope: Quantity, log_error: Quantity, log_skill: Quantity, verdict: str, why: str
) -> None:
    claim = decide_scale_dependence("CG, within tasks", "slope", slope, transformed(log_error, log_skill))
    assert (claim.letter, claim.verdict) == ("a", verdict)
    assert why in claim.reason
    assert (claim.estimate, claim.statement) == (slope.value, STATEMENTS["a"])


@pytest.mark.parametrize(
    ("slope", "verdict"), [(FALLS, "supported"), (FLAT, "supported"), (about(0.0, 0.01), "undecided")]
)
def test_a_change_of_sign_supports_claim_a_unless_the_slope_is_small(slope: Quantity, verdict: str) -> None:
    claim = decide_scale_dependence("CG", "slope", slope, transformed(FLAT, FLAT), SignChange(0.25, 1.0))
    assert claim.verdict == verdict
    assert "changes its sign: significantly better at scale 0.25, significantly worse at 1" in claim.reason
    assert ("no trend in one direction" in claim.reason) == (verdict == "undecided")


@pytest.mark.parametrize("half", [0.019, 0.009, 0.004, 0.0001])
@pytest.mark.parametrize("other", [FLAT, RISES, FALLS])
def test_a_shorter_interval_of_a_negligible_slope_never_weakens_the_verdict(half: float, other: Quantity) -> None:
    claim = decide_scale_dependence("CG", "slope", about(0.0005, half), transformed(other, other))
    assert claim.verdict == "contradicted"


def test_all_slopes_are_in_the_reason_of_claim_a() -> None:
    claim = decide_scale_dependence("CG", "slope", about(0.1, 0.05), transformed(RISES, FLAT), remark="without 2 cells")
    assert "(skill +0.100 [+0.050, +0.150], log error +0.200 [+0.100, +0.300], log skill" in claim.reason
    assert claim.reason.endswith("; without 2 cells")


def test_the_bound_of_claim_a_can_be_set() -> None:
    assert decide_scale_dependence("CG", "slope", about(0.0, 0.05), {}, bound=0.1).verdict == "contradicted"
    reason = describe_confounded_scale_dependence("CG", "slope", about(0.0, 0.05), bound=0.1).reason
    assert "within ±0.1" in reason


@pytest.mark.parametrize(
    ("slope", "why"),
    [
        (about(0.10, 0.05), "the interval excludes 0, but a confounded comparison decides no claim"),
        (about(-0.10, 0.05), "the interval excludes 0, but a confounded comparison decides no claim"),
        (about(0.0, 0.01), "the slope lies within ±0.02, but a confounded comparison decides no claim"),
        (about(0.0, 0.1), "includes 0 and does not lie within ±0.02"),
    ],
)
def test_a_confounded_slope_never_decides_claim_a(slope: Quantity, why: str) -> None:
    claim = describe_confounded_scale_dependence("CG", "slope", slope, remark="confounded")
    assert claim.verdict == "undecided"
    assert why in claim.reason
    assert claim.reason.endswith("; confounded")


@pytest.mark.parametrize(
    ("rich", "scarce", "why"),
    [
        (about(0.05, 0.02), about(-0.10, 0.05), "a significant gain where data are rich"),
        (about(0.05, 0.02), about(0.01, 0.02), "no loss beyond the margin where data are scarce"),
        (about(-0.05, 0.02), about(-0.10, 0.05), "a significant loss where data are rich"),
        (about(-0.05, 0.02), about(0.01, 0.02), "no loss beyond the margin where data are scarce, and"),
    ],
)
def test_a_confounded_comparison_never_decides_claim_b(rich: Quantity, scarce: Quantity, why: str) -> None:
    claim = decide_rich_and_scarce("CG", "means", rich, scarce, 0.02, "confounded", is_confounded=True)
    assert claim.verdict == "undecided"
    assert why in claim.reason
    assert "but a confounded comparison decides no claim" in claim.reason


def test_a_confounded_comparison_that_decides_nothing_anyway_names_what_is_missing() -> None:
    claim = decide_rich_and_scarce("CG", "means", FLAT, FLAT, 0.02, "confounded", is_confounded=True)
    assert claim.verdict == "undecided"
    assert "not significant: a gain where data are rich and a loss beyond" in claim.reason
    assert "decides no claim" not in claim.reason


@pytest.mark.parametrize(
    ("rich", "scarce", "verdict", "why"),
    [
        (about(0.05, 0.02), about(-0.10, 0.05), "supported", "a significant gain"),
        (about(0.05, 0.02), about(-0.06, 0.05), "undecided", "a loss beyond the margin where they are scarce"),
        (about(0.05, 0.06), about(-0.10, 0.05), "undecided", "a gain where data are rich"),
        (about(0.05, 0.06), about(-0.03, 0.05), "undecided", "a gain where data are rich and a loss beyond"),
        (about(0.05, 0.02), about(0.01, 0.02), "contradicted", "no loss beyond the margin where data are scarce ("),
        (about(-0.05, 0.02), about(-0.10, 0.05), "contradicted", "a significant loss where data are rich"),
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
         "supported", "significantly lower than every other type"),
        (about(-0.1, 0.02), {"classification": about(-0.1, 0.05, 0.001), "regression": about(-0.03, 0.05, 0.3)},
         "undecided", "not significantly lower than regression"),
        (about(0.1, 0.02), {"classification": about(-0.1, 0.05, 0.001)}, "undecided", "does not drop significantly"),
        (about(-0.1, 0.02), {"classification": about(0.1, 0.05, 0.001), "regression": about(-0.1, 0.05, 0.001)},
         "contradicted", "classification significantly lower than segmentation"),
    ],
)  # fmt: skip
def test_claim_d_compares_segmentation_with_every_other_type(
    segmentation: Quantity, gaps: dict[str, Quantity], verdict: str, why: str
) -> None:
    claim = decide_type_sensitivity("AU", "gaps", segmentation, gaps)
    assert claim.verdict == verdict
    assert why in claim.reason
    assert claim.estimate == max(gap.value for gap in gaps.values())


@pytest.mark.parametrize("names", [("classification", "regression"), ("regression", "classification")])
def test_a_missing_gap_of_claim_d_prevents_support_and_is_never_the_estimate(names: tuple[str, str]) -> None:
    gaps = {"classification": about(-0.1, 0.05, 0.001), "regression": Quantity(NAN, NAN, NAN)}
    claim = decide_type_sensitivity("AU", "gaps", about(-0.1, 0.02), {name: gaps[name] for name in names})
    assert claim.verdict == "undecided"
    assert claim.estimate == -0.1
    assert "not significantly lower than regression" in claim.reason
    assert "not estimated" in claim.reason


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
