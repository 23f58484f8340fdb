"""Simulated videos of unequal length: their truths, and the coverage of means over patients and over frames."""

import numpy as np
import pytest

from benchmarks.evidence.worlds_aggregate import UNITS, VideoWorld, _draw, make_worlds, measure


@pytest.mark.parametrize("world", make_worlds(), ids=lambda world: world.name)
def test_the_mean_of_a_large_study_is_the_truth_of_its_unit(world: VideoWorld) -> None:
    rng = np.random.default_rng(3)
    studies = [_draw(world, rng, 4000, 1) for _ in range(4)]
    for position, unit in enumerate(UNITS):
        means = [tables[position].mean() for tables in studies]
        assert np.mean(means) == pytest.approx(world.compute_truth(unit), abs=0.012), unit


def test_means_over_patients_cover_where_means_over_frames_are_of_another_quantity() -> None:
    informative = make_worlds()[0]
    sample, subject = measure(300, 5, (informative,), subjects=(60,), seeds=(3,))
    assert (sample.unit, subject.unit) == UNITS
    assert subject.coverage_judged > 0.92
    assert subject.refused < 0.1
    assert sample.coverage < 0.88
    assert sample.refused > 0.5
