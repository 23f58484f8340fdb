"""Tests of the comparison of runs with plain loops: the timing, and the sections of the page."""

import statistics
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from benchmarks.generated import write_part
from benchmarks.training import real_run, throughput
from benchmarks.training.throughput_page import Busy, Compared, OnGpu, Packed, gpu_report, report
from benchmarks.training.together import Meet, start_processes
from benchmarks.training.training_step import TASKS, TrainingStep, make_batch, make_study
from usaggr.data.batches.batches import SubsetBatches
from usaggr.training.module import MultiTaskModule
from usaggr.training.validation_curve import Curve

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
TINY = ("model=tiny",)


def busy(run: float, loop: float) -> Busy:
    return Busy(8, (run, run, 9.0), (loop, loop, 9.0))


@pytest.mark.parametrize("section", ["throughput", "throughput on a GPU", "sweep"])
def test_the_page_has_markers_for_each_section(section: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text())
    write_part(page, section, "measured")
    assert f"measured\n\n<!-- {section}: end -->" in page.read_text()


def test_the_machines_throughput_is_the_sum_over_its_processes() -> None:
    compared = Compared("tiny", 8, 128, (busy(0.1, 0.08), busy(0.2, 0.16)))
    assert compared.run == pytest.approx(80 + 40)
    assert compared.loop == pytest.approx(100 + 50)
    assert compared.share == pytest.approx(0.8)
    text = report([compared], 2, "here")
    assert "| tiny | 128 | 8 | 150 | 120 | 0.80 (0.80 to 1.00) |" in text
    assert "0 of 1 rows reach it" in text


def test_the_target_holds_for_larger_images_only() -> None:
    compared = Compared("tiny", 8, 96, (busy(0.1, 0.1), busy(0.1, 0.1)))
    assert "0 of 0 rows" in report([compared], 2, "here")


def test_the_gpu_section_shows_the_gain_of_packing() -> None:
    small = Packed(TINY, 20, 128, busy(0.1, 0.1), (busy(0.2, 0.2),) * 4)
    assert small.gain == pytest.approx(2.0)
    text = gpu_report([OnGpu("b4", 256, busy(0.1, 0.09), 2048.0)], small, "a GPU")
    assert "| b4 | 256 | 8 | 88.9 | 80.0 | 0.90 (0.90 to 1.00) | 2.0 GiB |" in text
    assert "2.00 times as many" in text


@pytest.mark.slow
def test_all_is_measured_in_turn_on_a_small_network(tmp_path: Path) -> None:
    with start_processes(1, 1) as processes:
        (measured,) = processes(throughput.take_turns, TINY, 4, 32, 2, tmp_path, 0.01)
    assert len(measured.run) == len(measured.loop) == 2
    assert min(measured.run_rate, measured.loop_rate) > 0
    assert measured.share == statistics.median(measured.shares)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.slow
def test_small_runs_are_measured_alone_and_together(tmp_path: Path) -> None:
    with start_processes(1, 1) as runs:
        packed = throughput.measure_packed(TINY, 4, 32, 2, tmp_path, runs, "cpu", seconds=0.01)
    assert len(packed.together) == 1
    assert packed.gain == packed.together[0].run_rate / packed.alone.run_rate


def test_the_time_of_a_block_includes_its_steps_and_no_other_work() -> None:
    clock = iter(range(1000))
    turns = real_run.Turns(2, 3, [lambda: [next(clock) for _ in range(100)] and None])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(real_run, "now", lambda: next(clock))
        deterministic = torch.are_deterministic_algorithms_enabled()
        try:
            for _ in range(turns.needed):
                next(clock)
                turns.on_train_batch_end()
        finally:
            torch.use_deterministic_algorithms(deterministic)
    assert turns.seconds == [4 / 3, 4 / 3]  # three steps of one tick, and one for reading the clock


def test_the_plain_loop_has_the_objective_of_a_run() -> None:
    for overrides in (TINY, ("model=m2dino_tiny",)):
        study = make_study(overrides, 4, 32)
        step = TrainingStep.of_study(study, TASKS, make_batch(4, 32))
        step.network.eval()  # no dropout, no noise of routers
        tasks, nothing = {task.id: task for task in TASKS}, Curve({}, {}, 1, keep_best=False)
        folds = cast(SubsetBatches, None)
        module = MultiTaskModule(step.network, tasks, study.training, (), folds, lambda: cast(Any, None), nothing)
        module.log = lambda *_, **__: None  # type: ignore[method-assign,assignment]
        expected = module.training_step(step.batch, 0)
        torch.testing.assert_close(step._objective(), expected)


@pytest.mark.slow
def test_simultaneous_processes_wait_for_each_other_and_stay_for_the_next_call() -> None:
    with start_processes(2, 1) as processes:
        first, second = processes(_process_id), processes(_process_id)
    assert len(set(first)) == 2
    assert set(first) == set(second)


def _process_id(meet: Meet) -> int:
    import os

    meet()
    return os.getpid()
