"""Runs against plain loops: what is counted, and what the page says of it."""

import statistics
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from benchmarks.generated import write_part
from benchmarks.training import real_run, throughput
from benchmarks.training.plain_loader import plain_loader, read_list, reader, write_files
from benchmarks.training.plain_loop import PlainTime
from benchmarks.training.throughput_page import Busy, Compared, OnGpu, Packed, gpu_report, report
from benchmarks.training.together import Meet, company
from benchmarks.training.training_step import TASKS, TrainingStep, mixed_batch, study_of
from usaggr.data.batches.batches import FoldBatches
from usaggr.data.samples import Sample
from usaggr.training.module import MultiTaskModule
from usaggr.training.validation_curve import Curve

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
TINY = ("model=tiny",)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[list[Sample]]:
    folder = tmp_path_factory.mktemp("files")
    write_files(folder, 2)
    return read_list(folder)


def busy(run: float, loop: float, plain: float = 0.02) -> Busy:
    return Busy(8, (run, run, 9.0), (loop, loop, 9.0), (PlainTime(plain, 0.004, 0.016),) * 3)


@pytest.mark.parametrize("part", ["throughput", "throughput on a GPU", "sweep"])
def test_the_page_has_a_place_for_each_part(part: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text())
    write_part(page, part, "measured")
    assert f"measured\n\n<!-- {part}: end -->" in page.read_text()


def test_the_machines_throughput_is_the_sum_over_its_processes() -> None:
    found = Compared("tiny", 8, 128, (busy(0.1, 0.08), busy(0.2, 0.16)), {(2, 0): 90.0, (1, 1): 110.0})
    assert found.run == pytest.approx(80 + 40)
    assert found.loop == pytest.approx(100 + 50)
    assert found.share == pytest.approx(0.8)
    assert found.plain == (110.0, "1, 1")
    assert found.against_plain == pytest.approx(120 / (110 * 20 / 16))
    text = report([found], 2, "here")
    row = "| tiny | 128 | 8 | 150 | 120 | 0.80 (0.80 to 1.00) | 110 | 1, 1 | 16.0 | 4.00 | 1.09 | 0.87 |"
    assert row in text
    assert "0 of 1 rows reach both" in text


def test_a_training_on_each_core_can_be_the_best_plain_way() -> None:
    found = Compared("tiny", 8, 96, (busy(0.1, 0.1), busy(0.1, 0.1)), {(2, 0): 90.0})
    assert found.plain == (pytest.approx(100.0), "2 x (1, 0)")
    assert "0 of 0 rows" in report([found], 2, "here")  # the target is for larger images


def test_the_page_on_a_gpu_says_what_packing_gains() -> None:
    small = Packed(TINY, 20, 128, busy(0.1, 0.1), (busy(0.2, 0.2),) * 4)
    assert small.gain == pytest.approx(2.0)
    text = gpu_report([OnGpu("b4", 256, busy(0.1, 0.09), 2048.0)], small, "a GPU")
    assert "| b4 | 256 | 8 | 88.9 | 80.0 | 0.90 (0.90 to 1.00) | 2.0 GiB |" in text
    assert "2.00 times as many" in text


@pytest.mark.slow
def test_all_is_measured_in_turn_on_a_small_network(tmp_path: Path) -> None:
    with company(1, 1) as processes:
        found = throughput.compare("tiny", TINY, 4, 32, 2, tmp_path, processes, seconds=0.01)
    (one,) = found.busy
    assert len(one.run) == len(one.loop) == len(one.plain) == 2
    assert set(found.settings) == {(1, 1)}  # others take more cores than there are processes
    assert min(found.run, found.loop, found.plain[0], found.decode, found.step) > 0
    assert found.share == statistics.median(one.shares)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.slow
def test_small_runs_are_measured_alone_and_together(tmp_path: Path) -> None:
    with company(1, 1) as runs:
        found = throughput.packed(TINY, 4, 32, 2, tmp_path, runs, "cpu", seconds=0.01)
    assert len(found.together) == 1
    assert found.gain == found.together[0].run_rate / found.alone.run_rate


def test_a_block_counts_its_own_steps_and_no_other_work() -> None:
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
    assert turns.seconds == [4 / 3, 4 / 3]  # three steps of one tick, and the look at the clock at the end


def test_the_plain_loops_objective_is_that_of_a_run() -> None:
    for overrides in (TINY, ("model=m2dino_tiny",)):
        study = study_of(overrides, 4, 32)
        step = TrainingStep.of_study(study, TASKS, mixed_batch(4, 32))
        step.network.eval()  # no dropout, no noise of routers
        tasks, nothing = {task.id: task for task in TASKS}, Curve({}, {}, 1, keep_best=False)
        folds = cast(FoldBatches, None)
        module = MultiTaskModule(step.network, tasks, study.training, (), folds, lambda: cast(Any, None), nothing)
        module.log = lambda *_, **__: None  # type: ignore[method-assign,assignment]
        expected = module.training_step(step.batch, 0)
        torch.testing.assert_close(step._objective(), expected)


def test_the_plain_loader_reads_what_the_files_hold(samples: list[list[Sample]]) -> None:
    names = ("rotate", "scale", "translate", "gain", "offset", "gamma")
    augment = study_of([*TINY, *(f"training.augment.{name}=0" for name in names)], 2, 64).training.augment
    following = reader(plain_loader(samples, 3, 64, augment, 0))
    batches = [following() for _ in TASKS]
    assert {next(iter(batch.rows)) for batch in batches} == {task.id for task in TASKS}
    for batch in batches:
        (task_id,) = batch.rows
        assert batch.images.shape == (3, 3, 64, 64)
        for target, sample in zip(batch.targets[task_id], batch.samples, strict=True):
            assert 500 <= sample.height <= 760
            assert sample.height < sample.width <= 1100
            if sample.label is not None:
                assert target == sample.label
            if sample.box is not None:
                sides = [sample.width, sample.height] * 2
                np.testing.assert_allclose(target * torch.tensor(sides), sample.box, rtol=1e-4)
            if sample.mask_path is not None:
                assert 0 < (target > 0).float().mean() < 0.5


def test_an_augmented_box_follows_its_image(samples: list[list[Sample]]) -> None:
    augment = study_of(TINY, 2, 64).training.augment
    following = reader(plain_loader(samples, 2, 64, augment, 0))
    batch = next(b for b in iter(following, None) if b.samples[0].box is not None)
    boxes = batch.targets[batch.samples[0].task_id]
    assert (boxes[:, :2] < boxes[:, 2:]).all()
    original = [torch.tensor(s.box) / torch.tensor([s.width, s.height] * 2) for s in batch.samples if s.box is not None]
    assert not torch.allclose(boxes, torch.stack(original).float(), atol=1e-3)


@pytest.mark.slow
def test_processes_in_company_meet_before_they_go_on() -> None:
    with company(2, 1) as processes:
        first, second = processes(_process_id), processes(_process_id)
    assert len(set(first)) == 2
    assert set(first) == set(second)


def _process_id(meet: Meet) -> int:
    import os

    meet()
    return os.getpid()
