"""Tests of the limit of no loss: failures that are too rare for the test subjects to show."""

import numpy as np
import pytest

from tests.report.figure_factories import compared
from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.qualified_verdicts import find_rate_not_excluded, qualify_family
from usaggr.statistics.two_way_anova import Estimate


def qualify(cells: list[CellVerdict], se: float = 0.002, value: float = 0.0) -> list[int | None]:
    """Return the limits of a family whose cells have estimates with known standard errors."""
    numbers = [np.array(number) for number in (value, 0.0, se**2, 1e6, 1e6, se**2)]
    estimates = {i: Estimate(*numbers) for i in range(len(cells))}
    margins = [cell.margin for cell in cells]
    p_ni = [float(estimates[i].compute_one_sided_p(-margin)) for i, margin in enumerate(margins)]
    return qualify_family(cells, estimates, margins, p_ni, [cell.verdict for cell in cells])


def no_loss(task: str = "breast_lesion", subjects: int = 400, **changes: object) -> CellVerdict:
    return compared(task, "unified", 0.0, verdict="no_loss", n_subjects=subjects, **changes)


def test_a_no_loss_is_unqualified_from_enough_subjects_on() -> None:
    """The reference's mean is .7 and the margin .02, so 6.1 x .7 / .02 = 213.5 subjects are needed."""
    assert [qualify([no_loss(subjects=n)]) for n in (12, 60, 213, 214)] == [[2], [9], [34], [None]]
    assert qualify([no_loss(subjects=60, margin=0.1)]) == [None]


def test_a_loss_that_the_estimate_leaves_open_adds_to_that_of_failures() -> None:
    assert qualify([no_loss(subjects=214)], value=-0.014) == [35]
    assert qualify([no_loss(subjects=800)], value=-0.014) == [None]


def test_a_family_of_many_tasks_needs_more_subjects() -> None:
    assert qualify([no_loss(subjects=220)] * 40) == [36] * 40
    assert qualify([no_loss(subjects=600)] * 40) == [None] * 40


@pytest.mark.parametrize("verdict", ["gain", "loss", "undecided", ""])
def test_other_verdicts_have_no_limit(verdict: str) -> None:
    assert qualify([compared("breast_lesion", "unified", 0.0, verdict=verdict), no_loss()]) == [None, None]


def test_distances_are_always_qualified_and_scores_of_complete_test_sets_never() -> None:
    assert qualify([no_loss("fetal_femur", 4000, margin=5.0, reference_mean=50.0)]) == [655]
    assert qualify([no_loss("breast_2cls", 30)]) == [None]


def test_evidence_of_other_verdicts_has_the_rate_that_its_subjects_do_not_exclude() -> None:
    assert find_rate_not_excluded(no_loss(subjects=60, rarer_than=None)) is None  # decided with its family
    assert find_rate_not_excluded(no_loss(subjects=60, rarer_than=9)) == 9
    assert find_rate_not_excluded(compared("breast_lesion", "unified", 0.1, verdict="gain", n_subjects=60)) == 9
    assert find_rate_not_excluded(compared("breast_lesion", "unified", 0.1, verdict="gain", n_subjects=300)) is None
