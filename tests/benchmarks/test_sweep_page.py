"""Tests of the account of a sweep's time, and of the measurements that it uses."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.sweep import sweep
from benchmarks.sweep.sweep_limit import Arithmetic, Limit, average_limits
from benchmarks.sweep.sweep_page import Swept, compute_arithmetic_share, divide_time, report

TIMINGS = {"network": 2.0, "streams": 1.0, "trivial": 3.0, "fit": 80.0, "train": 70.0, "validation": 8.0,
           "test": 6.0, "write": 2.0}  # fmt: skip
ROW = {"seconds": 58.0, "planning": 1.0, "networks": 2.0, "caches": 1.5, "start": 0.5, "runs": 50.0, "report": 3.0,
       "slot_seconds": 98.0, "trained": 10.0}  # fmt: skip
LIMIT = Arithmetic(training=65.0, forward=7.0, scores=3.0)


def swept(row: dict[str, float] | None = ROW) -> Swept:
    return Swept("usaggr sweep demo", 60.0, 2, 1, 10, TIMINGS, 95.0, row, 6, 0)


def test_the_parts_sum_to_wall_time_times_workers() -> None:
    for row in (ROW, None):
        assert sum(seconds for _, seconds in divide_time(swept(row), LIMIT)) == pytest.approx(120.0)


def test_each_second_is_counted_where_it_was_spent() -> None:
    parts = dict(divide_time(swept(), LIMIT))
    assert parts["training beyond its limit: batches, augmentation, Lightning"] == pytest.approx(5)
    assert parts["validation and test beyond their limit"] == pytest.approx(4)
    assert parts["trainer: setup and end"] == pytest.approx(2)
    assert parts["other parts of runs"] == pytest.approx(1)
    assert parts["submission and notice of runs"] == pytest.approx(3)
    assert parts["idle workers"] == pytest.approx(2)
    assert parts["report"] == pytest.approx(6)
    assert parts["remainder"] == pytest.approx(4)


def test_results_of_a_version_with_fewer_timings_are_accounted_for_too() -> None:
    old = Swept("usaggr sweep demo", 60.0, 2, 1, 10, {"train": 78.0, "test": 6.0}, 95.0, None, None, None)
    parts = dict(divide_time(old, LIMIT))
    assert parts["trainer: setup and end"] == 0
    assert sum(parts.values()) == pytest.approx(120.0)
    assert "ran at once" not in " ".join(report(old, LIMIT, 5.0, "here").split())


def test_the_section_shows_the_share_and_the_cost_of_starting_runs() -> None:
    assert compute_arithmetic_share(swept(), LIMIT) == pytest.approx(75 / 120)
    text = report(swept(), LIMIT, 5.0, "here")
    assert "Target: at least 75 % arithmetic; measured: 62 %." in text
    assert "| **arithmetic of training and evaluation** | 75.0 | 62.5 % |" in text
    assert "| below 1 % each: streams; other parts of runs; start of the workers | 3.00 | 2.5 % |" in text
    flat = " ".join(text.split())
    assert "50.0 s for 10 runs" in flat
    assert "A run waits 300 ms in total" in flat
    assert "Runs started no process (checked every half second); at most 6 processes" in flat


def test_limits_are_means_over_processes() -> None:
    mean = average_limits([Limit(1, 2, 3, 4, 5), Limit(3, 2, 3, 4, 7)])
    assert mean == Limit(2, 2, 3, 4, 6)


def test_processes_that_workers_start_are_counted() -> None:
    nested = "import subprocess, sys; subprocess.run([sys.executable, '-c', {!r}])"
    code = "print('there', flush=True); import sys; sys.stdin.read()"
    for _ in range(3):
        code = nested.format(code)
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        tree = sweep.Tree(psutil.Process(process.pid))
        tree.look()
        tree.look()
        process.communicate()
    assert tree.most == 4
    assert len(tree.descendants) == 1


def test_invocations_are_read_if_there_are_any(tmp_path: Path) -> None:
    assert sweep.read_sweeps(tmp_path / "sweeps.csv") == []
    columns = {"started": "2026-01-01", **ROW, "workers": 2, "threads": 1, "run_seconds": 95.0}
    lines = [",".join(columns), ",".join(map(str, columns.values()))]
    (tmp_path / "sweeps.csv").write_text("\n".join(lines) + "\n")
    assert sweep.read_sweeps(tmp_path / "sweeps.csv") == [{**ROW, "workers": 2, "threads": 1}]


@pytest.mark.slow
def test_a_small_sweep_is_measured(tmp_path: Path) -> None:
    tasks = "data.synthetic.tasks=[breast_lesion,FUGC]"
    small = [tasks, "data.synthetic.samples_per_task=20", "data.image_size=32", "seeds=[0]", "scales=[1.0]"]
    short = ["groupings=[task_specific]", "training.budget=16 examples", "training.min_examples=16"]
    page = tmp_path / "page.md"
    page.write_text("<!-- sweep: begin -->\n<!-- sweep: end -->\n")
    assert sweep.main(["--page", str(page), "demo", *small, *short]) == 0
    text = " ".join(page.read_text().split())
    assert "trains 2 runs" in text
    assert "Runs started no process (checked" in text
