"""Tests of the sizes of variants relative to the first one, from the parameters of their finished runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.sweeps import level
from tests.report.variant_sweeps import SIZES, ablation, finish
from usaggr.analysis.capacity import Capacity, measure_capacities
from usaggr.analysis.collect import collect
from usaggr.results.contract_sums import write_contract_file
from usaggr.tasks import CATALOGUE


def test_sizes_are_compared_on_the_same_tasks(tmp_path: Path) -> None:
    sweep = finish(tmp_path, {}, active=SIZES, variants=ablation("base", "dense", "wide"), seeds=(0,), spread=None)
    sizes = measure_capacities(collect([sweep.directory]))
    assert list(sizes) == ["base", "dense", "wide"]
    assert (sizes["base"].ratio, sizes["base"].is_matched) == (1.0, True)
    assert (sizes["dense"].ratio, sizes["dense"].is_matched) == (pytest.approx(0.7), False)
    assert (sizes["wide"].ratio, sizes["wide"].is_matched) == (pytest.approx(1.04), True)
    assert sizes["wide"].active == 104
    assert sizes["wide"].runs == 5


@pytest.mark.parametrize(
    ("ratio", "matched"), [(0.9, True), (0.89, False), (1.1, True), (1.11, False), (1.0, True), (None, None)]
)
def test_sizes_within_a_tenth_match(ratio: float | None, matched: bool | None) -> None:
    assert Capacity("wide", 1, 1, ratio).is_matched is matched


def test_without_parameter_counts_the_size_is_not_available(tmp_path: Path) -> None:
    sweep = finish(tmp_path, {}, seeds=(0,), spread=None)
    sizes = measure_capacities(collect([sweep.directory]))
    assert [(size.active, size.ratio, size.is_matched) for size in sizes.values()] == [(None, None, None)] * 2


def test_a_variant_whose_runs_are_all_shared_has_no_runs(tmp_path: Path) -> None:
    sweep = finish(tmp_path, {}, active=SIZES, seeds=(0,), spread=None)
    lines = (tmp_path / "plan.csv").read_text().splitlines()
    text = "\n".join(line for line in lines if ",dense," not in line)
    write_contract_file(sweep.directory / "plan.csv", text)
    sizes = measure_capacities(collect([sweep.directory]))
    assert (sizes["dense"].runs, sizes["dense"].is_matched) == (0, None)


@pytest.mark.parametrize(("shared", "ratio"), [(60, 0.6), (104, 0.7), (180, 1.8)])
def test_the_ratio_is_the_one_farthest_from_one(tmp_path: Path, shared: int, ratio: float) -> None:
    sweep = finish(tmp_path, {}, active=SIZES, seeds=(0,), spread=None)
    (run,) = (spec for spec, _ in sweep.runs() if spec.variant == "dense" and len(spec.tasks) > 1)
    cost = replace(sweep.result(run, {}).cost, active_parameters=shared)
    sweep.write_run(run, {task: level(CATALOGUE[task], 0.5) for task in run.tasks}, cost=cost)
    dense = measure_capacities(collect([sweep.directory]))["dense"]
    assert dense.ratio == pytest.approx(ratio)
    assert dense.is_matched is False
