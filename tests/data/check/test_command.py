"""The printed lines, written files and exit status of `usaggr data check`."""

import csv
import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.data.check.test_near_duplicates import copies, speckle
from tests.data.factories import change_cell, data_config, tiny_data, write_image
from usaggr.config.study import DataConfig
from usaggr.data.check.command import Outputs, run_check
from usaggr.data.check.near_duplicates import THRESHOLD
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.split.manifest import make_manifest
from usaggr.errors import ConfigError, DataError
from usaggr.progress import NoProgress


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    """Return valid data in which a training image is in the test set too, as a copy that was saved again."""
    root = tiny_data(tmp_path / "data", n=12)
    for number, line in enumerate((2, 8)):
        write_image(root / "cls" / f"twin{number}.png", copies(speckle(1))["marked"] if number else speckle(1))
        change_cell(root, "cls.csv", line, "image_path", f"../cls/twin{number}.png")
    lines = (root / "csv_files" / "cls.csv").read_text().splitlines()
    folds = ["split", *["train"] * 5, "val", *["test"] * 6]
    (root / "csv_files" / "cls.csv").write_text("\n".join(f"{a},{b}" for a, b in zip(lines, folds, strict=True)))
    return data_config(root, tmp_path / "cache")


def check(data: DataConfig, capsys: pytest.CaptureFixture[str], outputs: Outputs | None = None) -> tuple[int, str]:
    """Run the check, and return its exit status and everything that it printed."""
    console = Console(file=io.StringIO(), width=200)
    status = run_check(data, outputs or Outputs(), console, NoProgress())
    assert isinstance(console.file, io.StringIO)
    return status, console.file.getvalue() + capsys.readouterr().out


def test_near_identical_images_are_printed_and_listed_with_subsets_tasks_and_subjects(
    data: DataConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = check(data, capsys, Outputs(pairs=tmp_path / "new" / "pairs.csv"))
    assert status == 0
    assert "subsets are disjoint: none of 48 components, 48 images, 48 files, 48 subjects is in two subsets" in text
    pair_line = next(line for line in text.splitlines() if line.startswith("near-identical: "))
    assert "cls/twin0.png (cls; train; subject unknown)" in pair_line
    assert "cls/twin1.png (cls; test; subject unknown)" in pair_line
    assert "\n1 pair of near-identical images in different subsets\n" in text
    with (tmp_path / "new" / "pairs.csv").open(newline="") as file:
        (pair,) = csv.DictReader(file)
    assert int(pair["distance"]) <= THRESHOLD
    sides = {(pair[f"image_{n}"], pair[f"fold_{n}"], pair[f"tasks_{n}"], pair[f"row_{n}"]) for n in (1, 2)}
    assert sides == {("../cls/twin0.png", "train", "cls", "2"), ("../cls/twin1.png", "test", "cls", "8")}


def test_images_of_one_subject_are_in_the_same_subset(data: DataConfig, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(str(data.root)) / "csv_files" / "cls.csv"
    lines = [line.rpartition(",")[0] for line in path.read_text().splitlines()]
    subjects = ["subject_id", "P", *["" for _ in range(5)], "P", *["" for _ in range(5)]]
    path.write_text("\n".join(f"{a},{b}" for a, b in zip(lines, subjects, strict=True)))
    assert "\n0 pairs of near-identical images in different subsets" in check(data, capsys)[1]


def test_errors_decide_the_exit_status_and_findings_do_not(
    data: DataConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    change_cell(Path(str(data.root)), "det.csv", 3, "x_min", "400")
    status, text = check(data, capsys)
    assert status == 2
    assert text.splitlines()[-1].startswith("47 valid samples of 4 tasks, 2 errors")
    assert "near-identical: " in text, "the valid samples are examined nevertheless"
    assert check(data.model_copy(update={"on_bad_sample": "skip"}), capsys)[0] == 0


@pytest.mark.parametrize("problem", ["too few subjects", "divided subject"])
def test_data_that_plan_refuses_are_an_error_with_the_same_reason(
    data: DataConfig, capsys: pytest.CaptureFixture[str], problem: str
) -> None:
    path = Path(str(data.root)) / "csv_files" / ("det.csv" if problem == "too few subjects" else "cls.csv")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([f"{lines[0]},subject_id", *(f"{line},P1" for line in lines[1:])]))
    with pytest.raises(DataError) as refusal:
        make_manifest(load_dataset(data), data, [0])
    status, text = check(data, capsys)
    assert status == 2
    assert f"error: `usaggr plan` refuses these data: {refusal.value}" in text


def test_for_a_task_without_valid_rows_the_errors_are_listed_and_no_page_is_written(
    data: DataConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in range(2, 14):
        change_cell(Path(str(data.root)), "det.csv", line, "x_min", "x")
    status, text = check(data, capsys, Outputs(html=tmp_path / "check.html"))
    assert status == 2
    assert "--pairs and --html were not written, because a task has no valid row" in text
    assert text.splitlines()[-1].startswith("a task has no valid row, 12 errors")
    assert not (tmp_path / "check.html").exists()


def test_outputs_that_make_no_sense_are_refused_before_anything_is_read(
    data: DataConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=r"--copy .* add --fix DIR"):
        check(data, capsys, Outputs(copy=True))
    with pytest.raises(DataError, match=r"phantoms .* have no errors"):
        check(data.model_copy(update={"name": "synthetic"}), capsys, Outputs(fixed=tmp_path / "new"))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("text", "policy", "expected"),
    [("400", "error", 0), ("wide", "error", 2), ("wide", "skip", 0)],
    ids=["repaired", "left out", "left out as requested"],
)
def test_the_status_of_a_correction_is_that_of_the_copy(
    data: DataConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, policy: str, expected: int
) -> None:
    change_cell(Path(str(data.root)), "det.csv", 3, "x_max", text)
    changed = data.model_copy(update={"on_bad_sample": policy})
    outputs = Outputs(fixed=tmp_path / "fixed", recheck="usaggr data check")
    status, output = check(changed, capsys, outputs)
    assert status == expected
    assert ("left out: det.csv, line 3 (row 2), x_max: 'wide' is not a number; write" in output) == (text == "wide")
    assert "next: usaggr data check\n" in output
    copy = data.model_copy(update={"root": str(tmp_path / "fixed")})
    assert check(copy, capsys)[0] == 0
