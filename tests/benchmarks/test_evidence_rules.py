"""Tests of the measured rules on too little evidence, with few simulated studies and fixed seeds."""

from dataclasses import replace

import pytest

from benchmarks.evidence.auc_failures import WORLDS, MeasuredAuc, measure_auc, write_section
from benchmarks.evidence.marks import Share
from benchmarks.evidence.rules import MOST_FALSE, MOST_REFUSED, measure, passes, write_page
from benchmarks.evidence.worlds_rules import list_failing_worlds, list_sound_worlds


def test_landmarks_and_videos_are_judged_and_lost_lesions_are_no_unqualified_no_loss() -> None:
    sound = measure(60, 1, list_sound_worlds()[:2], (30,))
    failing = measure(60, 2, list_failing_worlds()[:1], (30, 300))
    assert all(row.refused <= MOST_REFUSED for row in sound)
    assert all(row.coverage > 0.85 for row in sound)
    assert all(row.refused > 0.4 for row in failing if row.subjects == 30)
    assert [row.is_excluded for row in failing if row.seeds == 3] == [False, True]
    assert all(passes(row.unqualified, row.studies, MOST_FALSE) for row in failing)
    text, misses = write_page(sound, failing, measure_auc(2, WORLDS[:1], (12,)))
    assert misses == []
    assert text.count("| 3 % lost lesions |") == 4


@pytest.mark.parametrize(
    ("share", "studies", "accepted"), [(0.03, 999, True), (0.035, 999, False), (0.026, 10**6, False)]
)
def test_a_share_passes_within_its_bound_and_the_error_of_the_simulation(
    share: float, studies: int, accepted: bool
) -> None:
    assert passes(share, studies, 0.025) is accepted


def test_positives_that_are_ranked_last_cost_their_share_of_the_auc() -> None:
    """With 150 positives, 12 % of them cost far more than the margin, so that a no loss is given to nearly no study."""
    heavy = replace(WORLDS[1], failure_rate=0.12)
    measured = measure_auc(40, (heavy, replace(heavy, failure_rate=0.0)), (150,))
    assert [row.is_excluded for row in measured] == [True, True, False, False]
    assert all(row.no_loss.estimate < 0.1 for row in measured[:2])
    assert all(row.no_loss.estimate > 0.5 for row in measured[2:])


def test_a_false_no_loss_on_auc_is_marked_where_its_failures_are_excluded() -> None:
    world, none, half = WORLDS[2], Share(0, 100), Share(50, 100)
    text, misses = write_section([MeasuredAuc(world, 3, 300, none, half, half)])
    assert misses == ["6 % ranked last, AUC .9, 3 seeds, 300 positives: no loss"]
    assert "| 50.0 **misses** ± 5.0 | 50.0 ± 5.0 |" in text
    text, misses = write_section([MeasuredAuc(world, 3, 12, none, half, none)])
    assert misses == []
    assert "| [50.0 ± 5.0] |" in text
