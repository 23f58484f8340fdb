"""Whether a variant is of the first one's size is read from the counts of its finished runs."""

from pathlib import Path

import pytest

from tests.report.variant_sweeps import SIZES, ablation, finish
from usaggr.report.capacity import Capacity, capacities
from usaggr.report.collect import collect


def test_sizes_are_compared_on_the_same_tasks(tmp_path: Path) -> None:
    sweep = finish(tmp_path, {}, active=SIZES, variants=ablation("base", "dense", "wide"), seeds=(0,), spread=None)
    found = capacities(collect([sweep.directory]))
    assert list(found) == ["base", "dense", "wide"]
    assert (found["base"].ratio, found["base"].matched) == (1.0, True)
    assert (found["dense"].ratio, found["dense"].matched) == (pytest.approx(0.7), False)
    assert (found["wide"].ratio, found["wide"].matched) == (pytest.approx(1.04), True)
    assert found["wide"].active == 104
    assert found["wide"].runs == 5


@pytest.mark.parametrize(
    ("ratio", "matched"), [(0.9, True), (0.89, False), (1.1, True), (1.11, False), (1.0, True), (None, None)]
)
def test_within_a_tenth_is_the_same_size(ratio: float | None, matched: bool | None) -> None:
    assert Capacity("wide", 1, 1, ratio).matched is matched


def test_results_that_do_not_tell_leave_it_open(tmp_path: Path) -> None:
    sweep = finish(tmp_path, {}, seeds=(0,), spread=None)
    found = capacities(collect([sweep.directory]))
    assert [(of.active, of.ratio, of.matched) for of in found.values()] == [(None, None, None)] * 2


def test_a_variant_without_runs_of_its_own_is_known_as_such(tmp_path: Path) -> None:
    sweep = finish(tmp_path, {}, active=SIZES, seeds=(0,), spread=None)
    lines = (tmp_path / "plan.csv").read_text().splitlines()
    (sweep.directory / "plan.csv").write_text("\n".join(line for line in lines if ",dense," not in line))
    found = capacities(collect([sweep.directory]))
    assert (found["dense"].runs, found["dense"].matched) == (0, None)
