"""Memory that is really exhausted: by a limit of the process, or by a control group whose runs the kernel kills."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.sweep.test_faults import ROOT, count_starts, find_results, start, until

MIB = 2**20
SMALL_SWEEP = (
    "sweep name=small groupings=[unified] reference=unified seeds=[0] executor.workers=2 training.min_examples=20 "
    "training.validations=1 data.synthetic.samples_per_task=40"
)
"""Two runs of the demo."""


@contextmanager
def make_control_group(mebibytes: int) -> Iterator[Path]:
    """Make a control group whose processes may use this much memory; skip the test if none can be made."""
    root = Path("/sys/fs/cgroup")
    old = root / "memory"
    path = (old if old.is_dir() else root) / f"usaggr-test-{os.getpid()}-{mebibytes}"
    try:
        path.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made: {error}")
    try:
        try:
            (path / ("memory.limit_in_bytes" if old.is_dir() else "memory.max")).write_text(str(mebibytes * MIB))
        except OSError as error:
            pytest.skip(f"control groups do not limit memory here: {error}")
        yield path
    finally:
        path.rmdir()


@pytest.fixture
def group() -> Iterator[Path]:
    with make_control_group(100) as path:
        yield path


def start_real_sweep(folder: Path, limit: str) -> subprocess.Popen[str]:
    """Start a sweep of two runs in a shell that sets a limit first."""
    command = f"{limit} && exec {shlex.quote(sys.executable)} -m usaggr {SMALL_SWEEP} 'training.budget=20 examples'"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "USAGGR_CACHE": str(folder / "cache")}
    return subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("mebibytes", [500, 700])
def test_a_sweep_with_too_little_address_space_ends_with_one_line(tmp_path: Path, mebibytes: int) -> None:
    sweep = start_real_sweep(tmp_path, f"ulimit -v {mebibytes * 1024}")
    out, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 2, out
    assert f"a process may use {mebibytes} MiB (ulimit -v)" in out
    assert "Traceback" not in out


@pytest.mark.slow
@pytest.mark.parametrize("mebibytes", [600])
def test_a_sweep_in_too_small_a_control_group_ends_in_time_and_says_why(tmp_path: Path, mebibytes: int) -> None:
    """The kernel kills one process after another, in most cases the server of the workers, which has loaded torch."""
    with make_control_group(mebibytes) as group:
        sweep = start_real_sweep(tmp_path, f"echo $$ > {group}/cgroup.procs")
        try:
            out, _ = sweep.communicate(timeout=400)
            until(lambda: not (group / "cgroup.procs").read_text(), seconds=20)  # no process is left
        finally:
            for pid in (group / "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
            until(lambda: not (group / "cgroup.procs").read_text(), seconds=20)
    n_done = len(list((tmp_path / "outputs" / "small" / "runs").glob("*/result.json")))
    assert "Traceback" not in out
    assert (sweep.returncode == 0) == (n_done == 2), out
    assert n_done == 2 or "memory" in out


@pytest.mark.slow
def test_a_machine_that_kills_every_server_ends_the_sweep_before_all_runs_have_failed(tmp_path: Path) -> None:
    runs = [{"kills_server": 4, "number": number} for number in range(6)]
    sweep = start(tmp_path, runs)
    out, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 1, out
    assert "the worker processes of several runs die repeatedly, or Ray has ended, see above; free memory" in out
    assert "failed" not in out
    assert "Traceback" not in out
    assert find_results(tmp_path) == []
    assert sum(count_starts(tmp_path).values()) <= 9
    assert len(count_starts(tmp_path)) <= 3


@pytest.mark.slow
def test_a_run_beyond_the_memory_limit_of_its_process_fails_and_the_others_finish(tmp_path: Path) -> None:
    runs = [{"allocates": 600 * MIB, "address_space": 200 * MIB}, *({"number": i} for i in range(3))]
    sweep = start(tmp_path, runs, "executor.workers=1")
    out, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 1, out
    assert "MemoryError" in out
    assert "Traceback" not in out
    assert len(find_results(tmp_path)) == 3
    assert sorted(count_starts(tmp_path).values()) == [1, 1, 1, 1]


@pytest.mark.slow
def test_a_run_that_the_kernel_kills_for_its_memory_is_repeated_alone_and_then_fails(
    tmp_path: Path, group: Path
) -> None:
    runs = [{"allocates": 300 * MIB, "cgroup": str(group)}, *({"sleeps": 0.1, "number": i} for i in range(3))]
    sweep = start(tmp_path, runs)
    out, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 1, out
    assert "(signal 9); out of memory? (tried 2 times)" in out
    assert "Traceback" not in out
    assert len(find_results(tmp_path)) == 3
    assert count_starts(tmp_path).most_common(1)[0][1] == 2
