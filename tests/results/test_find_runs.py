"""Run directories are found by fingerprint; their names do not matter."""

import hashlib
from pathlib import Path

import pytest

from usaggr.results.find_runs import find_runs, run_directories
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_settings import read_fingerprint
from usaggr.results.spec import RunSpec


def spec(seed: int = 0) -> RunSpec:
    fingerprint = hashlib.sha256(str(seed).encode()).hexdigest()
    return RunSpec("lung", ("lung",), 1.0, seed, "base", {}, {"lung": ("a.png",)}, fingerprint)


def stored(directory: Path, run: RunSpec, name: str | None = None) -> Path:
    path = directory / "runs" / (name or run.run_id)
    path.mkdir(parents=True)
    RunDirectory(path).write_spec(run, host="here")
    return path


def test_runs_are_found_under_any_name(tmp_path: Path) -> None:
    named, renamed = stored(tmp_path, spec(0)), stored(tmp_path, spec(1), "my favorite run")
    assert find_runs(tmp_path) == {spec(0).fingerprint: named, spec(1).fingerprint: renamed}


def test_a_directory_without_results_holds_no_runs(tmp_path: Path) -> None:
    assert find_runs(tmp_path) == {}
    assert list(run_directories(tmp_path / "nowhere")) == []


@pytest.mark.parametrize("content", [None, b"", b"seed: 0\n", b"\xff\xfe\x00", b"fingerprint: 1234\n"])
def test_a_directory_without_a_readable_fingerprint_is_left_out(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "runs" / spec().run_id
    path.mkdir(parents=True)
    if content is not None:
        (path / "run.yaml").write_bytes(content)
    assert read_fingerprint(path) is None
    assert find_runs(tmp_path) == {}
    assert list(run_directories(tmp_path)) == [path]


def test_files_and_hidden_folders_are_no_runs(tmp_path: Path) -> None:
    (tmp_path / "runs" / ".trash").mkdir(parents=True)
    (tmp_path / "runs" / "notes.txt").write_text("x")
    assert list(run_directories(tmp_path)) == []


def test_the_finished_one_of_two_copies_of_a_run_is_returned(tmp_path: Path) -> None:
    stored(tmp_path, spec(), "a copy")
    finished = stored(tmp_path, spec(), "the original")
    (finished / "result.json").write_text("{}")
    last = stored(tmp_path, spec(), "z copy")
    assert find_runs(tmp_path) == {spec().fingerprint: finished}
    (last / "result.json").write_text("{}")  # of two that are finished, the first by name
    assert find_runs(tmp_path) == {spec().fingerprint: finished}


def test_a_fingerprint_of_digits_only_is_found(tmp_path: Path) -> None:
    """YAML puts quotes around what would be read as a number."""
    run = RunSpec("lung", ("lung",), 1.0, 0, "base", {}, {}, "1" * 64)
    path = stored(tmp_path, run)
    assert find_runs(tmp_path) == {"1" * 64: path}


def test_a_run_with_very_many_samples_is_found_by_its_first_lines(tmp_path: Path) -> None:
    fingerprint = spec().fingerprint
    run = RunSpec("lung", ("lung",), 1.0, 0, "base", {}, {"lung": tuple(f"{i}.png" for i in range(2000))}, fingerprint)
    path = stored(tmp_path, run)
    assert find_runs(tmp_path) == {fingerprint: path}
