"""Tests of the measured verdicts in simulated sweeps whose runs collapse, with fixed seeds."""

import pytest

from benchmarks.evidence.worlds_collapse import GROUPINGS, WORLDS, CollapseWorld, measure


@pytest.mark.parametrize("name", ["unified, constant prediction", "both, noisy"])
def test_collapsed_seeds_are_noted_and_leave_no_gain_and_no_loss(name: str) -> None:
    (row,) = measure(12, 1, [name], tasks=[8], seeds=[5])
    assert row.noted > 0.9
    # .8 ** 5 = .33 of the cells of one arm have no collapsed seed, .8 ** 10 = .11 of those of two arms.
    assert row.judged == pytest.approx(0.8 ** (5 * len(WORLDS[name].collapsing)), abs=0.12)
    assert row.intact_coverage_judged > 0.85


def test_two_collapsed_sides_give_no_verdict_by_accident() -> None:
    (row,) = measure(40, 1, ["both, nine runs in ten, 12 subjects"], tasks=[8], seeds=[3])
    assert row.judged < 0.02
    assert row.losses < 0.02


@pytest.mark.parametrize("name", ["no collapse", "no collapse, skill .1"])
def test_verdicts_on_healthy_runs_are_not_withheld(name: str) -> None:
    (row,) = measure(12, 1, [name], tasks=[8], seeds=[3])
    assert row.judged > 0.97


def test_the_true_difference_includes_the_runs_that_collapse() -> None:
    """A fifth of the unified runs falls from .7 to .3, or both groupings' runs do."""
    assert CollapseWorld().difference == pytest.approx(-0.08)
    assert CollapseWorld(collapsing=GROUPINGS).difference == pytest.approx(0)
    assert CollapseWorld(share=0, effect=-0.05).difference == pytest.approx(-0.05)
