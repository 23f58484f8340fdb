"""Full or read-only disks: the error is one line, no incomplete file is left, and the same command continues later."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data.factories import data_config, tiny_data
from tests.faults.disks import fill, set_read_only, small_disk
from tests.sweep.test_faults import find_results, start
from usaggr.data.batches.cache import build_or_open
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.split.manifest import make_manifest, write_manifest
from usaggr.errors import DataError, RunError, WriteError
from usaggr.io.atomic_files import write_atomic
from usaggr.io.locks import hold_lock
from usaggr.results.predictions import write_predictions
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.executors.local.worker import _end_unwritten

FULL = "No space left on device"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as path:
        yield path


def test_a_file_that_does_not_fit_on_a_full_disk_is_named_and_the_old_file_stays(disk: Path) -> None:
    write_atomic(disk / "plan.csv", "before")
    filler = fill(disk)
    with pytest.raises(WriteError, match=rf"plan\.csv: cannot be written \({FULL}\); make room, then run the same"):
        write_atomic(disk / "plan.csv", "x" * 10_000)
    with pytest.raises(WriteError, match=rf"predictions\.parquet: cannot be written .*{FULL}"):
        write_predictions(disk / "predictions.parquet", [{"task_id": "a" * 9000}])
    assert sorted(disk.iterdir()) == sorted([disk / "plan.csv", filler])
    assert (disk / "plan.csv").read_text() == "before"
    filler.unlink()
    write_atomic(disk / "plan.csv", "after")


def test_a_file_that_cannot_be_written_to_a_read_only_disk_is_named(disk: Path) -> None:
    set_read_only(disk, True)
    with pytest.raises(WriteError, match=r"plan\.csv: cannot be written \(Read-only file system\); make it writable"):
        write_atomic(disk / "plan.csv", "x")
    with (
        pytest.raises(WriteError, match=r"new/\.lock: cannot be written \(Read-only file system\)"),
        hold_lock(disk / "new" / ".lock"),
    ):
        pass


def test_the_cache_and_the_split_on_a_full_disk_are_named_and_leave_no_files(tmp_path: Path, disk: Path) -> None:
    root = tiny_data(tmp_path / "data", 30)
    dataset = load_dataset(data_config(root, tmp_path / "facts"))
    config = data_config(root, disk / "cache", image_size=128)
    filler = fill(disk, leave=200_000)
    with pytest.raises(DataError, match=rf"cannot be written \({FULL}\); choose another data\.cache_dir"):
        build_or_open(dataset, config)
    assert not [path for path in (disk / "cache" / "images").iterdir() if path.is_dir()]
    fill(disk)
    with pytest.raises(WriteError, match=rf"(contract\.sha256|split\.csv): cannot be written \({FULL}\)"):
        write_manifest(make_manifest(dataset, config, [0]), disk)
    with pytest.raises(DataError, match=r"files-1\.sqlite: .*(full|unable to open).*choose another data\.cache_dir"):
        load_dataset(config)
    filler.unlink()
    config = config.model_copy(update={"image_size": 32})
    assert build_or_open(load_dataset(config), config).load_images(dataset.samples).any()


@pytest.mark.slow
def test_a_sweep_on_a_full_disk_ends_with_one_line_and_continues_when_there_is_space(disk: Path) -> None:
    outputs = disk / "outputs"
    small = [{"number": i} for i in range(2)]
    assert start(outputs, small).wait(timeout=120) == 0
    before = {path: path.read_bytes() for path in find_results(outputs)}
    runs = small + [{"sleeps": 0.1, "fills": str(disk), "number": i} for i in range(4)]
    sweep = start(outputs, runs, "executor.workers=1")
    out, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 1, out
    assert "Traceback" not in out
    assert f"({FULL}); make room, then run the same command to continue" in out
    assert out.count("stopped: ") == 1
    assert "4 left to train" in out
    assert {path: path.read_bytes() for path in find_results(outputs)} == before
    assert not list((outputs / "fake").rglob("*.tmp"))
    (disk / "filled").unlink()
    (disk / "roomy").touch()
    resumed = start(outputs, runs, "executor.workers=1")
    out, _ = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, out
    assert len(find_results(outputs)) == 6


@pytest.mark.parametrize(
    ("error", "is_read_only", "ends_sweep"),
    [
        (OSError(errno.EROFS, "read-only"), True, True),
        (OSError(errno.EROFS, "read-only"), False, False),  # only the directory of this run is read-only
        (OSError(errno.EIO, "failing"), False, True),
        (OSError(errno.ESTALE, "gone"), False, True),
        (OSError(errno.ENODEV, "gone", "a.png"), False, True),
        (OSError(errno.ENOTCONN, "a connection of a tracker"), False, False),
        (RuntimeError("write failed: Input/output error"), False, True),
        (OSError(errno.EACCES, "not allowed"), False, False),
    ],
)
def test_a_disk_that_no_run_can_use_ends_the_sweep(
    disk: Path, error: Exception, is_read_only: bool, ends_sweep: bool
) -> None:
    run = RunDirectory(disk / "runs" / "a")
    run.path.mkdir(parents=True)
    set_read_only(disk, is_read_only)
    outcome, message = _end_unwritten(run, error)
    assert outcome == ("unwritable" if ends_sweep else "failed")
    assert message.endswith("then run the same command to continue")
    assert not list(run.path.parent.glob(".probe*"))


@pytest.mark.slow
def test_a_sweep_into_a_read_only_folder_ends_with_one_line_before_any_training(disk: Path) -> None:
    runs = [{"number": 0}]
    for has_study in (False, True):
        if has_study:
            set_read_only(disk, False)
            assert start(disk, [{"number": 9}]).wait(timeout=120) == 0
        set_read_only(disk, True)
        sweep = start(disk, runs)
        out, _ = sweep.communicate(timeout=120)
        assert sweep.returncode == 2, out
        assert len(out.splitlines()) == 1, out
        assert "cannot be written (Read-only file system); make it writable" in out


@pytest.mark.slow
def test_a_run_directory_that_cannot_be_written_affects_only_its_own_run(tmp_path: Path) -> None:
    runs = [{"number": i} for i in range(3)]
    sweep = start(tmp_path, runs, "executor.workers=1")
    assert sweep.wait(timeout=120) == 0
    locked = find_results(tmp_path)[0].parent
    for path in find_results(tmp_path):
        path.unlink()
    with small_disk(locked):
        set_read_only(locked, True)
        sweep = start(tmp_path, runs, "executor.workers=1")
        out, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 1, out
    assert f"failed: {locked.name}: {locked}" in out
    assert "Traceback" not in out
    assert len(find_results(tmp_path)) == 2
    sweep = start(tmp_path, runs)
    assert sweep.wait(timeout=120) == 0
    assert len(find_results(tmp_path)) == 3


def test_a_report_that_does_not_fit_on_a_full_disk_is_named_and_the_old_report_stays(disk: Path) -> None:
    from tests.report.sweeps import FakeSweep
    from tests.report.test_build import scorer
    from usaggr.report.build import build_report

    sweep = FakeSweep(disk / "study", tasks=("breast_lesion", "fetal_femur"), seeds=(0,)).finish(scorer)
    (disk / "study" / "report").mkdir()
    (disk / "study" / "report" / "index.html").write_text("old")
    filler = fill(disk, leave=12_000)
    with pytest.raises(RunError, match=rf"cannot be written \({FULL}\); make room"):
        build_report([sweep.directory])
    assert (disk / "study" / "report" / "index.html").read_text() == "old"
    assert not (disk / "study" / "report.tmp").exists()
    filler.unlink()
