"""--fix: corrected data pass the check, the original does not change, and the log lists every change."""

import csv
import errno
import hashlib
import itertools
import multiprocessing
import os
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.factories import (
    HEIGHT,
    WIDTH,
    Row,
    change_cell,
    data_config,
    disc,
    read_rows,
    tiny_data,
    write_image,
    write_rows,
)
from usaggr.cli.data_commands import suggest_recheck
from usaggr.config.study import DataConfig
from usaggr.data.check import fix as fix_module
from usaggr.data.check.corrected_files import CONVERTED, LOG
from usaggr.data.check.fix import FixResult, fix_data
from usaggr.data.read.load_dataset import check_dataset, load_dataset
from usaggr.errors import DataError, WriteError
from usaggr.io.atomic_folders import creating_folder, find_temporary_folder
from usaggr.progress import NoProgress


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write a data set with one row for each error that can be fixed, and for some that cannot."""
    root = tiny_data(tmp_path / "data", n=6)
    write_image(root / "seg" / "masks" / "0.png", disc(255))
    write_image(root / "seg" / "masks" / "1.png", disc(255)[:-1])  # also of another size: cannot be fixed
    write_image(root / "seg" / "masks" / "2.png", disc(7))
    for line, sides in {
        2: ("-5", "3", "20", f"{HEIGHT + 9}"),  # clipped
        3: ("20", "21", "2", "1.5"),  # exchanged
        4: ("20", "21", "2", f"{HEIGHT + 9}"),  # outside also after an exchange
        5: (f"{WIDTH + 3}", "3", f"{WIDTH + 9}", "9"),  # nothing would be left
    }.items():
        for side, value in zip(("x_min", "y_min", "x_max", "y_max"), sides, strict=True):
            change_cell(root, "det.csv", line, side, value)
    table = read_rows(root, "cls.csv")
    write_rows(root, "cls.csv", [*table, table[0], {**table[1], "mask": "9"}])
    return root


def config(root: Path, tmp_path: Path) -> DataConfig:
    return data_config(root, tmp_path / "cache")


def fixed(root: Path, tmp_path: Path, copy: bool = False) -> FixResult:
    return fix_data(config(root, tmp_path), tmp_path / "fixed", copy, NoProgress())


def contents(root: Path) -> dict[str, tuple[str, int]]:
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {str(p): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in files}


def log_of(folder: Path) -> list[Row]:
    with (folder / LOG).open(newline="") as file:
        return list(csv.DictReader(file))


def test_corrected_data_have_no_errors_and_the_original_does_not_change(root: Path, tmp_path: Path) -> None:
    before = contents(root)
    result = fixed(root, tmp_path)
    assert contents(root) == before
    corrected = config(tmp_path / "fixed", tmp_path)
    dataset, faults = check_dataset(corrected)
    assert faults == ()
    assert dataset is not None
    assert len(dataset.samples) == result.rows == 26 - 6
    assert (result.changed, result.left_out) == (3, 6)
    assert len({(fault.csv_file, fault.row) for fault in result.unresolved}) == 6 - 1, (
        "all rows except the duplicate are described"
    )


def test_masks_of_255_become_class_indices(root: Path, tmp_path: Path) -> None:
    fixed(root, tmp_path)
    row = read_rows(tmp_path / "fixed", "seg.csv")[0]
    assert row["mask_path"] == f"../{CONVERTED}/seg/masks/0.png"
    mask = np.asarray(Image.open(tmp_path / "fixed" / CONVERTED / "seg" / "masks" / "0.png"))
    assert (mask == disc(1)).all()


def test_boxes_are_clipped_or_their_sides_exchanged(root: Path, tmp_path: Path) -> None:
    fixed(root, tmp_path)
    samples = load_dataset(config(tmp_path / "fixed", tmp_path)).by_task["det"]
    boxes = [sample.box for sample in samples]
    assert boxes[:2] == [(0, 3, 20, HEIGHT), (2, 1.5, 20, 21)]
    assert len(boxes) == 4


def test_the_log_has_a_line_for_each_change(root: Path, tmp_path: Path) -> None:
    fixed(root, tmp_path)
    log = {(line["file"], line["row"], line["column"]): line for line in log_of(tmp_path / "fixed")}
    clipped = log["det.csv", "2", "x_min"]
    assert (clipped["what"], clipped["before"], clipped["after"]) == ("box_clipped", "-5", "0")
    assert log["det.csv", "3", "y_max"]["what"] == "box_swapped"
    assert log["seg.csv", "2", "mask_path"]["after"] == f"../{CONVERTED}/seg/masks/0.png"
    assert log["cls.csv", "8", "image_path"]["what"] == "duplicate"
    assert log["cls.csv", "9", "mask"]["what"] == "left out: label_range"
    assert log["det.csv", "5", "x_min"]["what"] == "left out: box_outside"
    assert {key[:2] for key in log} == {
        ("cls.csv", "8"), ("cls.csv", "9"), ("det.csv", "2"), ("det.csv", "3"), ("det.csv", "4"), ("det.csv", "5"),
        ("seg.csv", "2"), ("seg.csv", "3"), ("seg.csv", "4"),
    }  # fmt: skip


def test_a_fixed_row_that_repeats_another_is_dropped(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data")
    table = read_rows(root, "det.csv")
    write_rows(root, "det.csv", [{**table[0], "x_min": "20", "x_max": "2", "y_min": "21", "y_max": "0.5"}, *table])
    result = fixed(root, tmp_path)
    assert (result.rows, result.left_out) == (16, 1)
    assert [line["row"] for line in log_of(tmp_path / "fixed") if not line["after"]] == ["3"]


def test_files_are_linked_unless_copies_are_requested(root: Path, tmp_path: Path) -> None:
    fixed(root, tmp_path)
    inside = Path("cls") / "s0_0.png"
    assert (tmp_path / "fixed" / inside).samefile(root / inside)
    fix_data(config(root, tmp_path), tmp_path / "copied", True, NoProgress())
    assert not (tmp_path / "copied" / inside).samefile(root / inside)
    assert (tmp_path / "copied" / inside).read_bytes() == (root / inside).read_bytes()


def test_valid_data_are_written_unchanged(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data")
    result = fixed(root, tmp_path)
    assert (result.rows, result.changed, result.left_out) == (16, 0, 0)
    samples = [load_dataset(config(folder, tmp_path)).content_hash for folder in (root, tmp_path / "fixed")]
    assert samples[0] == samples[1]


def test_paths_through_the_name_of_the_root_stay_valid(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data")
    change_cell(root, "cls.csv", 2, "image_path", "../../data/cls/s0_0.png")
    fixed(root, tmp_path)
    assert read_rows(tmp_path / "fixed", "cls.csv")[0]["image_path"] == "../cls/s0_0.png"
    load_dataset(config(tmp_path / "fixed", tmp_path))


def test_a_path_through_a_link_into_the_root_to_a_link_out_of_it_is_written_inside_the_folder(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "deep" / "data")
    elsewhere = tmp_path / "elsewhere.png"
    (root / "cls" / "s0_0.png").rename(elsewhere)
    (root / "cls" / "s0_0.png").symlink_to(elsewhere)
    (root.parent / "side").symlink_to(root / "cls")
    change_cell(root, "cls.csv", 2, "image_path", "../../side/s0_0.png")
    folder = tmp_path / "new" / "folder" / "deep" / "fixed"
    folder.parent.mkdir(parents=True)
    before = contents(tmp_path)
    data = config(root, tmp_path).model_copy(update={"follow_links": True})
    result = fix_data(data, folder, True, NoProgress())
    assert (result.rows, result.left_out) == (16, 0)
    outside = {path for path in contents(tmp_path) if not Path(path).is_relative_to(folder)}
    assert {path for path in outside if not Path(path).is_relative_to(tmp_path / "cache")} == set(before)
    assert read_rows(folder, "cls.csv")[0]["image_path"] == "../cls/s0_0.png"
    assert (folder / "cls" / "s0_0.png").read_bytes() == elsewhere.read_bytes()


def test_images_next_to_the_index_stay_in_corrected_data(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data")
    (root / "cls" / "s0_0.png").rename(root / "csv_files" / "s0_0.png")
    change_cell(root, "cls.csv", 2, "image_path", "s0_0.png")
    result = fixed(root, tmp_path)
    assert (result.rows, result.left_out) == (16, 0)
    assert (tmp_path / "fixed" / "csv_files" / "s0_0.png").is_file()


@pytest.mark.parametrize("folder", ["data", "data/csv_files", "data/new", ".", "full"])
def test_the_original_and_folders_in_use_are_refused(root: Path, tmp_path: Path, folder: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").touch()
    before = contents(root)
    with pytest.raises(DataError, match="give a new folder"):
        fix_data(config(root, tmp_path), tmp_path / folder, False, NoProgress())
    assert contents(root) == before


def test_files_that_cannot_be_linked_are_named_with_the_option_that_copies_them(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_disk(source: str, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", other_disk)
    with pytest.raises(DataError, match=r"Invalid cross-device link.*--copy") as error:
        fixed(root, tmp_path)
    assert "\n" not in str(error.value)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_the_tenth_link() -> None:
    calls = itertools.count()
    link = os.link

    def counting(source: str, target: Path) -> None:
        link(source, target)
        if next(calls) == 9:
            die()

    os.link = counting  # type: ignore[assignment]


def die_after(owner: Any, name: str) -> Callable[[], None]:
    """Return a function that makes the process kill itself after a call."""

    def plant() -> None:
        original = getattr(owner, name)

        def wrapped(*arguments: Any, **options: Any) -> None:
            original(*arguments, **options)
            die()

        setattr(owner, name, wrapped)

    return plant


MOMENTS = {
    "at the tenth link": die_at_the_tenth_link,
    "after the first round": die_after(fix_module, "write_data"),
    "before the rename": die_after(fix_module, "write_log"),
    "after the rename": die_after(Path, "rename"),
}


def _fix_and_die(moment: str, root: Path, tmp_path: Path) -> None:
    MOMENTS[moment]()
    fixed(root, tmp_path)


def kill_fix(moment: str, root: Path, tmp_path: Path) -> None:
    """Correct data in a process that is killed at a moment."""
    check_dataset(config(root, tmp_path))  # files are read here, because threads of the reader cannot be forked
    process = multiprocessing.get_context("fork").Process(target=_fix_and_die, args=(moment, root, tmp_path))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_correction_leaves_no_half_folder_and_the_same_command_works(
    root: Path, tmp_path: Path, moment: str
) -> None:
    before = contents(root)
    kill_fix(moment, root, tmp_path)
    leftover = find_temporary_folder(tmp_path / "fixed")
    assert leftover.is_dir()
    if moment == "after the rename":
        with pytest.raises(DataError, match="give a new folder; it holds corrected data already"):
            fixed(root, tmp_path)
    else:
        assert not (tmp_path / "fixed").exists()
        assert fixed(root, tmp_path).rows == 20
    assert not leftover.exists()
    assert check_dataset(config(tmp_path / "fixed", tmp_path))[1] == ()
    assert (tmp_path / "fixed" / LOG).is_file()
    assert contents(root) == before


def test_a_folder_of_the_temporary_name_that_is_no_leftover_stays(root: Path, tmp_path: Path) -> None:
    own_file = find_temporary_folder(tmp_path / "fixed") / "mine.txt"
    own_file.parent.mkdir()
    own_file.write_text("mine")
    with pytest.raises(WriteError, match="was not made by usaggr; rename it"):
        fixed(root, tmp_path)
    assert own_file.read_text() == "mine"


def test_two_corrections_at_once_do_not_write_the_same_folder(root: Path, tmp_path: Path) -> None:
    with creating_folder(tmp_path / "fixed"), pytest.raises(WriteError, match="another process is writing"):
        fixed(root, tmp_path)
    assert list((tmp_path / "fixed").iterdir()) == []


def test_a_failed_correction_leaves_nothing(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(fix_module, "write_log", full)
    with pytest.raises(WriteError, match="No space left on device"):
        fixed(root, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "data"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["data=fmuia", "data.root=a"], "usaggr data check data=fmuia data.root=b"),
        (["a"], "usaggr data check data=fmuia data.root=b"),
        (["data=own", "+data.root=a", "data.on_bad_sample=skip", "data.exif_orientation=apply"],
         "usaggr data check data=own data.exif_orientation=apply data.root=b"),
        (["demo", "data=fmuia", "data.root=a"], "usaggr data check demo data=fmuia data.root=b"),
    ],
)  # fmt: skip
def test_the_printed_command_has_the_settings_of_the_original_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "csv_files").mkdir(parents=True)
    assert suggest_recheck(words, None, Path("b")) == expected
    assert suggest_recheck(words, Path("my conf"), Path("b")) == f"{expected} --config-dir 'my conf'"
    assert shlex.split(suggest_recheck(words, None, Path("b c")))[-1] == "data.root='b c'"


def test_data_that_plan_refuses_are_reported_with_the_copy(tmp_path: Path) -> None:
    result = fixed(tiny_data(tmp_path / "data", n=2), tmp_path)
    assert "too few components" in result.plan_error
    assert f"error: `usaggr plan` refuses the corrected data: {result.plan_error}" in result.describe("")
