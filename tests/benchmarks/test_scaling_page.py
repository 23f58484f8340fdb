"""Tests of the section of docs/performance.md about the growth of a study."""

from pathlib import Path

import pytest

from benchmarks.generated import write_part
from benchmarks.sweep import scaling
from benchmarks.sweep.scaling import OfData, OfPlan, OfSweep, Took, report
from benchmarks.sweep.sized_data import choose_tasks, finish_all, write_data
from usaggr.config.compose import compose_study
from usaggr.sweep.inspect.status import read_sweep_status
from usaggr.sweep.planning.study_plan import make_plan
from usaggr.tasks import CATALOGUE, TASK_TYPES


@pytest.mark.parametrize("tasks", [1, 9, 27])
def test_data_of_any_size_are_valid_and_all_of_their_runs_can_be_finished(tasks: int, tmp_path: Path) -> None:
    assert write_data(tmp_path / "data", tasks, samples=40 * tasks) == 40 * tasks
    words = ["data=fmuia", f"data.root={tmp_path / 'data'}", f"data.cache_dir={tmp_path / 'cache'}", "seeds=[0]"]
    plan = make_plan(compose_study("demo", [*words, "data.workers=1", f"outputs={tmp_path}"]))
    assert sorted(plan.manifest.dataset.tasks) == sorted(choose_tasks(tasks))
    assert len(plan.manifest.dataset.samples) == 40 * tasks
    if tasks == 1:
        finish_all(plan)
        assert {run.state for run in read_sweep_status(plan.directory).runs} == {"done"}


def test_a_few_tasks_include_all_types() -> None:
    assert {CATALOGUE[task_id].type for task_id in choose_tasks(4)} == set(TASK_TYPES)
    assert len(set(choose_tasks(27))) == 27


def test_a_program_is_timed_in_a_new_process_and_reports_its_memory() -> None:
    took = scaling.run(scaling._PEAK + "held = bytearray(100 * 2**20)\nwrite_peak()")
    assert took.seconds > 0
    assert took.peak_mib > 100


def test_a_program_that_fails_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="this folder does not exist"):
        scaling.run(scaling._COMMAND, "data", "check", "data=fmuia", "data.root=nowhere")


def test_the_time_that_a_sweep_adds_is_the_workers_time_outside_of_runs() -> None:
    assert OfSweep(runs=10, workers=2, wall=9.0, inside=8.0).added == 1.0


def test_long_sweeps_train_fewer_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trained = []

    def sweep(outputs: Path, cache: Path, runs: int, workers: int) -> OfSweep:
        trained.append((runs, workers))
        return OfSweep(runs, workers, wall=runs / workers, inside=0.0)

    monkeypatch.setattr(scaling, "_sweep", sweep)
    scaling.measure_sweeps(tmp_path, ((100, 1), (500, 2), (300, 2)), most_seconds=200)
    assert trained[1:] == [(100, 1), (scaling.FEWER, 2), (300, 2)]
    trained.clear()
    scaling.measure_sweeps(tmp_path, ((10, 1), (100, 1)), most_seconds=1)
    assert trained[1:] == [(10, 1), (100, 1)]


def test_the_tables_show_the_measurements(tmp_path: Path) -> None:
    data = [OfData(27, 10_800, first=Took(4.5, 140.0), repeated=Took(1.25, 130.0))]
    planned = [OfPlan(10_008, *(Took(seconds, 100 + seconds) for seconds in (1.0, 2.0, 3.0, 4.0, 5.0)))]
    text = report(data, planned, [OfSweep(100, 2, 60.0, 100.0)], 3, "here")
    assert "medians of 3" in text
    assert "| 27 | 10,800 | 4.50 | 1.25 | 130 |" in text
    assert "| 10,008 | 1.00 | 2.00 | 3.00 | 4.00 | 5.00 | 105 |" in text
    assert "| 100 | 2 | 60.0 | 100 | 0.200 |" in text
    assert "100 runs were trained instead of 500" in " ".join(text.split())
    page = tmp_path / "performance.md"
    page.write_text((Path(__file__).parents[2] / "docs" / "performance.md").read_text())
    write_part(page, "scaling", text)
    assert text in page.read_text()


@pytest.mark.slow
def test_plans_and_sweeps_are_measured_at_a_small_size(tmp_path: Path) -> None:
    plan = scaling.measure_plan(tmp_path, scales=1, seeds=1, repetitions=1)
    assert plan.runs == 12
    assert plan.sweep_done.seconds > 0
    (sweep,) = scaling.measure_sweeps(tmp_path, ((5, 1),))
    assert sweep.runs == 5
    assert 0 < sweep.inside < sweep.wall
