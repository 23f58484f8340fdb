"""Tests of collecting runs: found only by fingerprint, in any folder and every state, without unplanned runs."""

import json
import os
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.report.sweeps import CATALOGUE, FakeSweep, level
from usaggr.analysis.collect import CollectedRun, collect
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import Status
from usaggr.results.spec import RunSpec


def flat(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
    return level(CATALOGUE[task], 0.5)


@pytest.fixture
def sweep(tmp_path: Path) -> FakeSweep:
    return FakeSweep(tmp_path / "study", seeds=(0, 1))


def the_run(sweep: FakeSweep, block: str, seed: int = 0) -> RunSpec:
    return next(run for run, _ in sweep.runs() if (run.block, run.seed) == (block, seed))


def collected(sweep: FakeSweep, block: str, seed: int = 0) -> CollectedRun:
    return next(run for run in collect([sweep.directory]).runs if (run.row.block, run.row.seed) == (block, seed))


def test_all_runs_of_a_finished_sweep_are_done(sweep: FakeSweep) -> None:
    collection = collect([sweep.finish(flat).directory])
    assert [run.state for run in collection.runs] == ["done"] * len(sweep.runs())
    assert all(run.result is not None for run in collection.runs)
    assert collection.unplanned == 0


def test_runs_are_found_under_any_folder_name(sweep: FakeSweep) -> None:
    sweep.finish(flat)
    runs = sweep.directory / "runs"
    for i, path in enumerate(sorted(runs.iterdir())):
        path.rename(runs / f"renamed {i}")
    assert {run.state for run in collect([sweep.directory]).runs} == {"done"}


def test_a_folder_with_a_planned_name_and_another_fingerprint_is_not_the_run(sweep: FakeSweep) -> None:
    sweep.write_plan()
    planned = the_run(sweep, "fetal_femur")
    other = replace(planned, fingerprint=planned.fingerprint[:8] + "0" * 56)
    sweep.write_run(other, {"fetal_femur": flat("fetal_femur", (), 1.0, 0)}, name=planned.run_id)
    collection = collect([sweep.directory])
    assert {run.state for run in collection.runs} == {"pending"}
    assert collection.unplanned == 1


def test_states_of_unfinished_runs_are_read(sweep: FakeSweep) -> None:
    sweep.write_plan()
    sweep.write_failure(the_run(sweep, "fetal_femur"), "training_loss is nan\nTraceback")
    now, host = time.time(), socket.gethostname()
    for block, status in {
        "breast_lesion": Status("running", os.getpid(), host, now, 1),  # no process holds its lock
        "breast_2cls": Status("running", 1, "another host", now, 1),
    }.items():
        directory = RunDirectory(sweep.directory / "runs" / the_run(sweep, block).run_id)
        directory.path.mkdir(parents=True)
        directory.write_spec(the_run(sweep, block))
        directory.write_status(status)
    states = {
        block: collected(sweep, block).state for block in ("fetal_femur", "breast_lesion", "breast_2cls", "unified")
    }
    assert states == {"fetal_femur": "failed", "breast_lesion": "stale", "breast_2cls": "running", "unified": "pending"}
    assert collected(sweep, "fetal_femur").error == "training_loss is nan\nTraceback"


def test_a_run_that_failed_before_its_run_yaml_was_written_is_found_by_name(sweep: FakeSweep) -> None:
    sweep.write_plan()
    run = the_run(sweep, "unified")
    (sweep.write_failure(run, "no memory").path / "run.yaml").unlink()
    assert (collected(sweep, "unified").state, collected(sweep, "unified").error) == ("failed", "no memory")


def test_a_result_without_its_run_yaml_counts_as_failed(sweep: FakeSweep) -> None:
    sweep.finish(flat)
    (sweep.directory / "runs" / the_run(sweep, "unified").run_id / "run.yaml").unlink()
    run = collected(sweep, "unified")
    assert (run.state, run.result) == ("failed", None)
    assert "no run.yaml" in (run.error or "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("{ half a result", "cannot be read"),
        ({"schema_version": 99}, "newer than this tool"),
        ({"scores": {}}, "no scores of fetal_femur"),
        ({"scores": []}, "scores is [], not a mapping"),
        ({"trivial": {}}, "no trivial of"),
        ({"trivial": {"fetal_femur": None}}, "trivial.fetal_femur is None, not a mapping"),
        ({"scores": {"fetal_femur": {"mre": None}}}, "scores.fetal_femur.mre is None, not a number"),
        ({"scores": {"fetal_femur": {"mre": "1"}}}, "scores.fetal_femur.mre is '1', not a number"),
        ({"scores": {"fetal_femur": {"mre": float("nan")}}}, "mre of fetal_femur is nan"),
        ({"n_train": {}}, "counts of samples do not cover every task"),
        ({"cost": {"seconds": 1}}, "no cost.train_seconds"),
    ],
)
def test_an_unreadable_result_counts_as_failed_with_a_reason(sweep: FakeSweep, change: Any, message: str) -> None:
    sweep.finish(flat)
    path = sweep.directory / "runs" / the_run(sweep, "fetal_femur").run_id / "result.json"
    content = {name: value for name, value in json.loads(path.read_text()).items() if name != "sha256"}
    text = change if isinstance(change, str) else json.dumps({**content, **change})
    path.write_text(text)
    failed = collected(sweep, "fetal_femur")
    assert (failed.state, failed.result) == ("failed", None)
    assert message in (failed.error or "")
    assert {run.state for run in collect([sweep.directory]).runs if run.row.run_id != failed.row.run_id} == {"done"}


def test_keys_of_a_later_version_in_a_result_are_ignored(sweep: FakeSweep) -> None:
    sweep.finish(flat)
    path = sweep.directory / "runs" / the_run(sweep, "fetal_femur").run_id / "result.json"
    content = {name: value for name, value in json.loads(path.read_text()).items() if name != "sha256"}
    path.write_text(json.dumps({**content, "surprise": 1}))
    assert collected(sweep, "fetal_femur").state == "done"


def test_unplanned_finished_runs_are_counted_and_left_out(sweep: FakeSweep) -> None:
    sweep.finish(flat)
    for seed in (7, 8):
        run = sweep.spec("fetal_femur", ("fetal_femur",), 1.0, seed)
        sweep.write_run(run, {"fetal_femur": level(CATALOGUE["fetal_femur"], 0.9)})
    sweep.write_failure(sweep.spec("fetal_femur", ("fetal_femur",), 1.0, 9), "not done, so not counted")
    (sweep.directory / "runs" / "nameless").mkdir()
    (sweep.directory / "runs" / "nameless" / "result.json").write_text("{}")
    collection = collect([sweep.directory])
    assert collection.unplanned == 3
    assert {run.row.seed for run in collection.runs} == {0, 1}


def test_folders_are_joined_and_the_best_state_of_a_run_counts(tmp_path: Path) -> None:
    first = FakeSweep(tmp_path / "a", seeds=(0, 1)).finish(flat, skip=lambda run: run.seed == 1)
    second = FakeSweep(tmp_path / "b", seeds=(1, 2)).finish(flat, skip=lambda run: run.block == "unified")
    third = FakeSweep(tmp_path / "c", seeds=(1,))
    third.write_plan()
    third.write_failure(the_run(third, "unified", 1), "died here")
    collection = collect([first.directory, second.directory, third.directory])
    assert collection.study.seeds == (0, 1, 2)
    states = {(run.row.block, run.row.seed): run.state for run in collection.runs}
    assert states["unified", 0] == states["fetal_femur", 1] == states["fetal_femur", 2] == "done"
    assert states["unified", 1] == "failed"
    assert states["unified", 2] == "pending"
    assert collection.unplanned == 0


def test_a_readable_copy_of_a_result_replaces_a_damaged_one(tmp_path: Path) -> None:
    first, second = (FakeSweep(tmp_path / name, seeds=(0,)).finish(flat) for name in "ab")
    (first.directory / "runs" / the_run(first, "unified").run_id / "result.json").write_text("broken")
    run = next(run for run in collect([first.directory, second.directory]).runs if run.row.block == "unified")
    assert (run.state, run.path) == ("done", second.directory / "runs" / run.row.run_id)


def test_tasks_are_sorted_by_group_type_and_name(sweep: FakeSweep) -> None:
    sweep.write_plan()
    assert collect([sweep.directory]).tasks == ("breast_2cls", "breast_lesion", "fetal_femur")
