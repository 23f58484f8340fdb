"""Memory that is really exhausted: by a limit of the process, or by a control group whose runs the kernel kills."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sweep.test_faults import count_starts, find_results, start

MIB = 2**20


@pytest.fixture
def group() -> Iterator[Path]:
    """Return a control group whose processes may use 100 MiB; skip the test if none can be made."""
    root = Path("/sys/fs/cgroup")
    old = root / "memory"
    path = (old if old.is_dir() else root) / f"usaggr-test-{os.getpid()}"
    try:
        path.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made: {error}")
    try:
        try:
            (path / ("memory.limit_in_bytes" if old.is_dir() else "memory.max")).write_text(str(100 * MIB))
        except OSError as error:
            pytest.skip(f"control groups do not limit memory here: {error}")
        yield path
    finally:
        path.rmdir()


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
