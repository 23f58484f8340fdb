"""Tests of the pairs of a grouping's observations with the reference's."""

import math

from usaggr.analysis.observations import Observation
from usaggr.analysis.reference_pairs import ReferencePair, pair_with_reference


def observe(grouping: str, seed: int, value: float, higher_is_better: bool = True, run: str = "") -> Observation:
    return Observation(
        run_id="run", grouping=grouping, block="block", task="fetal_head", task_type="segmentation",
        clinical_group="obstetrics", scale=1.0, n_train=100, seed=seed, variant="base", metric="dsc", value=value,
        higher_is_better=higher_is_better, n_test=24, n_subjects=12, status="done",
        fingerprint=run or f"{grouping} {seed}", main=True, trivial=0.4, skill=value / 2, remarks=(),
    )  # fmt: skip


def test_each_observation_is_paired_with_the_reference_of_its_seed() -> None:
    observations = [observe("unified", 0, 0.5), observe("alone", 1, 0.2), observe("alone", 0, 0.375)]
    (pair,) = pair_with_reference(observations, "alone")
    assert (pair.reference_value, pair.delta, pair.delta_skill) == (0.375, 0.125, 0.0625)
    assert not pair.is_same_run


def test_a_smaller_distance_than_the_references_is_a_positive_difference() -> None:
    pair = ReferencePair(observe("unified", 0, 2.0, False), observe("alone", 0, 5.0, False))
    assert pair.delta == 3.0


def test_without_a_reference_or_a_value_there_is_no_difference() -> None:
    unmatched = ReferencePair(observe("unified", 0, 0.5), None)
    unfinished = ReferencePair(observe("unified", 0, 0.5), observe("alone", 0, math.nan))
    for pair in (unmatched, unfinished):
        assert not pair.has_delta
        assert math.isnan(pair.delta_skill)
    assert not unmatched.is_same_run


def test_a_block_that_two_groupings_share_is_the_same_run() -> None:
    assert ReferencePair(observe("clinical", 0, 0.5, run="f"), observe("alone", 0, 0.5, run="f")).is_same_run
