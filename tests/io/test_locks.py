"""A lock is held only by a live process."""

import errno
import fcntl
import multiprocessing
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from usaggr.errors import RunError
from usaggr.io.locks import hold_lock, is_held

HOLDER = """
import sys, time
from pathlib import Path
from usaggr.io.locks import hold_lock
with hold_lock(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


def holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def test_a_lock_is_free_as_soon_as_its_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    process = holder(path)
    assert is_held(path)
    with hold_lock(path, patience=0.05) as mine:
        assert not mine
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not is_held(path)
    with hold_lock(path) as mine:
        assert mine
        assert is_held(path)
    assert not is_held(path)


def test_a_request_for_a_lock_waits_a_moment_for_a_process_that_only_checks_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("a") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        started = time.monotonic()
        with hold_lock(path, patience=0.05) as mine:
            assert not mine
        assert time.monotonic() - started >= 0.05


def test_two_checks_of_a_lock_do_not_count_as_holders(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("a") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert not is_held(path)


def test_a_lock_creates_its_folder_and_a_missing_one_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "lock"
    assert not is_held(path)
    with hold_lock(path) as mine:
        assert mine
    assert path.exists()


def test_an_error_inside_is_raised_unchanged_and_releases_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(FileNotFoundError, match="mine"), hold_lock(path):
        raise FileNotFoundError("mine")
    assert not is_held(path)


def test_a_lock_whose_file_was_replaced_is_requested_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process removes the folder and creates it again after the file is opened and before it is locked."""
    path = tmp_path / "run" / "lock"
    path.parent.mkdir()
    real = fcntl.flock
    calls = 0

    def flock(file: int, kind: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            shutil.rmtree(path.parent)
        real(file, kind)

    monkeypatch.setattr(fcntl, "flock", flock)
    with hold_lock(path) as mine:
        assert mine
        assert calls == 2
        assert is_held(path)


def test_a_file_system_without_locks_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(file: int, kind: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(RunError, match=r"no file locks \(No locks available\).*outputs="), hold_lock(tmp_path / "lock"):
        pass
    assert not is_held(tmp_path / "lock")


def test_a_script_without_a_guard_does_not_wait_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The standard library marks a process in this way while it imports the script that started it.
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(RuntimeError, match="put its calls under"), hold_lock(tmp_path / "a.lock"):
        pass
