"""The status of a study is read quickly from its directory alone, and printed in a few lines."""

import hashlib
import io
import json
import os
import time
from pathlib import Path

import pytest
from rich.console import Console

from usaggr.errors import RunError
from usaggr.metrics.names import METRICS
from usaggr.results.plan import COLUMNS as PLAN_COLUMNS
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import State, Status
from usaggr.sweep.inspect import status as status_room
from usaggr.sweep.inspect.status import describe_status, print_status, read_sweep_status

Made = tuple[str, State, str | None]
"""Name, state as written, error."""


def study(directory: Path, *runs: Made, planned: int | None = None) -> list[Path]:
    """Write a study's directory with a plan of the first `planned` runs (default: all); return the runs' paths."""
    plan_lines, paths = [",".join(PLAN_COLUMNS)], []
    for name, state, error in runs:
        fingerprint = hashlib.sha256(name.encode()).hexdigest()
        path = directory / "runs" / name
        path.mkdir(parents=True)
        (path / "run.yaml").write_text(f"run_id: {name}\nfingerprint: {fingerprint}\n")
        if state == "done":
            (path / "result.json").write_text("{}")
        status = Status("running" if state == "stale" else state, 1, "far", 0.0, 2, error, started=time.time() - 61)
        if state == "running":
            status = Status("running", 7, "far", time.time(), 2, None, time.time() - 61)
        (path / "status.json").write_text(json.dumps(status.__dict__))
        if state == "stale":
            os.utime(path / "status.json", (0, 0))
        plan_lines.append(f"{name},b,g,b,1.0,0,base,,{fingerprint},pending")
        paths.append(path)
    (directory / "plan.csv").write_text("\n".join(plan_lines[: None if planned is None else planned + 1]) + "\n")
    return paths


def test_every_state_is_counted_from_what_is_on_disk(tmp_path: Path) -> None:
    states: list[State] = ["done", "done", "running", "failed", "stale", "pending"]
    study(tmp_path, *((f"r{i}", state, None) for i, state in enumerate(states)))
    status = read_sweep_status(tmp_path)
    assert [run.state for run in status.runs] == states
    assert (status.count("done"), status.count("stale"), status.unplanned) == (2, 1, ())


def test_a_run_that_was_never_started_is_pending(tmp_path: Path) -> None:
    (path,) = study(tmp_path, ("r", "done", None))
    for file in path.iterdir():
        file.unlink()
    path.rmdir()
    assert read_sweep_status(tmp_path).runs[0].state == "pending"


def test_a_run_is_found_in_a_directory_of_another_name(tmp_path: Path) -> None:
    (path,) = study(tmp_path, ("r", "done", None))
    path.rename(path.with_name("renamed"))
    status = read_sweep_status(tmp_path)
    assert (status.runs[0].state, status.runs[0].directory.name) == ("done", "renamed")


def test_finished_runs_that_are_not_planned_are_counted_separately(tmp_path: Path) -> None:
    study(tmp_path, ("a", "done", None), ("b", "done", None), ("c", "failed", "x"), planned=1)
    status = read_sweep_status(tmp_path)
    assert len(status.runs) == 1
    assert [path.name for path in status.unplanned] == ["b"]


def test_failed_runs_are_named_with_the_first_line_of_their_error(tmp_path: Path) -> None:
    study(tmp_path, ("bad", "failed", "ValueError: no [luck]\n\nTraceback"), ("good", "done", None))
    lines = describe_status(tmp_path, read_sweep_status(tmp_path))
    assert lines[0] == f"{tmp_path}: 2 runs: 1 done, 1 failed"
    assert "  failed: bad: ValueError: no [luck]" in lines
    assert not any("Traceback" in line for line in lines)


def test_running_runs_are_listed_with_process_host_and_duration(tmp_path: Path) -> None:
    study(tmp_path, ("now", "running", None))
    lines = describe_status(tmp_path, read_sweep_status(tmp_path))
    assert lines[1].startswith("  running: now: attempt 2, for 1 min ")
    assert lines[1].endswith("pid 7 on far")


def test_finished_runs_that_lack_a_metric_of_this_version_are_named_with_what_to_do(tmp_path: Path) -> None:
    complete = {metric.name: 0.7 for metric in METRICS["segmentation"]}
    old = {name: value for name, value in complete.items() if name != "nsd"}
    paths = study(
        tmp_path, ("new", "done", None), ("old", "done", None), ("older", "done", None), ("bad", "done", None)
    )
    older = {name: value for name, value in old.items() if name != "hd95"}
    for path, scores in zip(paths, (complete, old, older), strict=False):
        (path / "result.json").write_text(json.dumps({"scores": {"lesion": scores}, "notes": {}}))
    (paths[-1] / "result.json").write_text("[]")
    lines = describe_status(tmp_path, read_sweep_status(tmp_path))
    assert lines[1:3] == ["  scored without nsd: old", "  scored without hd95, nsd: older"]
    assert lines[3].startswith("scored without: ")
    assert "the same `usaggr sweep` trains them again with all metrics" in lines[3]
    paths[1].joinpath("result.json").write_text(json.dumps({"scores": {"lesion": complete}}))
    os.utime(paths[1] / "result.json", (1, 1))
    assert describe_status(tmp_path, read_sweep_status(tmp_path))[1] == "  scored without hd95, nsd: older"


def test_at_most_a_hundred_failures_are_named(tmp_path: Path) -> None:
    study(tmp_path, *((f"r{i}", "failed", "x") for i in range(status_room._MAX_LISTED + 3)))
    lines = describe_status(tmp_path, read_sweep_status(tmp_path))
    assert sum("failed: r" in line for line in lines) == status_room._MAX_LISTED
    assert "  and 3 more failed" in lines


def test_errors_are_printed_unchanged_and_never_read_as_markup(tmp_path: Path) -> None:
    study(tmp_path, ("bad", "failed", "KeyError: [/red] " + "x" * 200))
    out = io.StringIO()
    print_status(tmp_path, Console(file=out, width=40))
    assert "KeyError: [/red] " + "x" * 200 in out.getvalue()


def test_watching_ends_when_all_runs_have_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = study(tmp_path, ("r", "pending", None))
    pauses = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        assert len(pauses) < 5
        if len(pauses) == 2:
            (path / "result.json").write_text("{}")

    monkeypatch.setattr(status_room.time, "sleep", sleep)
    out = io.StringIO()
    print_status(tmp_path, Console(file=out, width=200, force_terminal=True), watch=True)
    assert len(pauses) == 2
    assert "1 done" in out.getvalue()


@pytest.mark.parametrize(
    ("text", "message"), [(None, "does not exist"), ("run_id,state\na,b\n", "no column block, .*, fingerprint")]
)
def test_a_directory_without_a_readable_plan_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "plan.csv").write_text(text)
    with pytest.raises(RunError, match=rf"plan\.csv: {message}"):
        read_sweep_status(tmp_path)


def test_reading_the_status_changes_no_file(tmp_path: Path) -> None:
    study(tmp_path, ("a", "running", None), ("b", "stale", None), ("c", "failed", "x"))
    before = sorted((str(path), path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    read_sweep_status(tmp_path)
    assert sorted((str(path), path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_ten_thousand_runs_are_counted(tmp_path: Path) -> None:
    states: tuple[State, ...] = ("done", "done", "done", "failed", "stale")
    study(tmp_path, *((f"r{i}", states[i % 5], "x") for i in range(10_000)))
    status = read_sweep_status(tmp_path)
    assert [status.count(state) for state in ("done", "failed", "stale")] == [6000, 2000, 2000]
    assert RunDirectory(tmp_path / "runs" / "r0").read_state() == "done"
