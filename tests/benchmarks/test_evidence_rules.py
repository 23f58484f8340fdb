"""Tests of the measured rules on too little evidence, with few simulated studies and fixed seeds."""

import pytest

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
    text, misses = write_page(sound, failing)
    assert misses == []
    assert text.count("| 3 % lost lesions |") == 4


@pytest.mark.parametrize(
    ("share", "studies", "accepted"), [(0.03, 999, True), (0.035, 999, False), (0.026, 10**6, False)]
)
def test_a_share_passes_within_its_bound_and_the_error_of_the_simulation(
    share: float, studies: int, accepted: bool
) -> None:
    assert passes(share, studies, 0.025) is accepted
