"""Time and disk of a study are estimated from its finished runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.sweep import fakes
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.planning.study_plan import PlannedRun
from usaggr.sweep.planning.time_and_disk import estimate_pace, estimate_time_and_disk


def finish(run: PlannedRun, seconds: float, size: int = 0) -> None:
    directory = RunDirectory(run.directory)
    with directory.claim(1):
        (run.directory / "weights").mkdir()
        (run.directory / "weights" / "scored.safetensors").write_bytes(bytes(1_000_000))
        (run.directory / "predictions.parquet").write_bytes(bytes(size))
        directory.write_result(replace(fakes.RESULT, cost=replace(fakes.RESULT.cost, seconds=seconds)))


def test_the_median_pace_of_finished_runs_predicts_the_others(tmp_path: Path) -> None:
    study = fakes.study(tmp_path)
    runs = [fakes.planned(study, seed, examples=100) for seed in range(3)]
    runs += [fakes.planned(study, seed, examples=500) for seed in (3, 4)]
    assert estimate_pace(runs) is None
    assert estimate_time_and_disk(runs).seconds is None
    for run, seconds in zip(runs, (10.0, 20.0, 900.0), strict=False):
        finish(run, seconds)
    assert estimate_pace(runs) == pytest.approx(0.2)
    assert estimate_time_and_disk(runs).seconds == pytest.approx(0.2 * 1000)


def test_unfinished_runs_are_expected_to_need_the_disk_space_of_finished_ones(tmp_path: Path) -> None:
    study = fakes.study(tmp_path)
    runs = [fakes.planned(study, seed) for seed in range(4)]
    finish(runs[0], 1.0, size=100_000)
    size = estimate_time_and_disk(runs).bytes
    assert size is not None
    assert 400_000 < size < 420_000
