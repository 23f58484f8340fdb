"""Predictions are refused before any work if one of their masks would replace another file."""

from pathlib import Path, PurePosixPath

import pytest
from typer.testing import CliRunner

from tests.data.factories import change_cell, tiny_data
from usaggr.cli.main import app
from usaggr.data.read.index import IndexRow
from usaggr.errors import DataError
from usaggr.inference.prediction_requests import PredictionRequest, read_requests
from usaggr.inference.prediction_targets import check_targets
from usaggr.tasks import Task

TASKS = {"seg": Task("seg", "segmentation", 2, "organ", "group", ("a", "b"))}


def make_request(mask_path: str, line: int = 2) -> PredictionRequest:
    row = IndexRow("seg.csv", line, {"image_path": f"../images/{line}.png", "task_id": "seg"})
    return PredictionRequest("seg", row, PurePosixPath(mask_path))


def find_fault(out: Path, *mask_paths: str, overlays: tuple[str, ...] = ()) -> str:
    requests = [make_request(path, line) for line, path in enumerate(mask_paths, start=2)]
    with pytest.raises(DataError) as error:
        check_targets(requests, out, map(PurePosixPath, overlays))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "name",
    [
        "predicted_by.json", ".journal.jsonl", ".lock", "skipped.csv", "classification_predictions.json",
        "detection_predictions.json", "regression_predictions.json", "evaluation.json", "evaluation.md",
        "Predicted_By.JSON", "predicted_by.json/0.png",
    ],
)  # fmt: skip
def test_a_mask_is_no_file_of_the_command(tmp_path: Path, name: str) -> None:
    first = name.partition("/")[0]
    assert find_fault(tmp_path / "out", "masks/0.png", name) == (
        f"seg.csv, line 3: the mask of ../images/3.png (seg) would be written to {name}, but {first} is a file that "
        "usaggr writes there itself; give it another mask_path"
    )


def test_a_mask_is_no_folder_of_masks_and_no_picture(tmp_path: Path) -> None:
    assert "line 2" in (fault := find_fault(tmp_path, "masks/0", "masks/0/1.png"))
    assert "would be written to masks/0, but this is a folder of other masks" in fault
    picture = "overlays/seg/images/2.png.png"
    assert "but this is a picture that --overlay draws" in find_fault(tmp_path, picture, overlays=(picture,))
    check_targets([make_request(picture)], tmp_path)


def test_a_mask_does_not_follow_a_link_out_of_the_folder(tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "masks").symlink_to(elsewhere)
    (out / "one.png").symlink_to(elsewhere / "one.png")
    for path in ("masks/0.png", "masks/deep/0.png", "one.png"):
        assert find_fault(out, path).endswith(f"but a link leads out of {out}; give it another mask_path")
    check_targets([make_request("other/0.png")], out)


def test_usual_masks_are_accepted_and_a_folder_may_have_the_name_of_another_tasks_file(tmp_path: Path) -> None:
    paths = ("masks/0.png", "masks/1.png", "masks/predicted_by.json", "a/evaluation.md", "predicted_by.json.png")
    check_targets([make_request(path, line) for line, path in enumerate(paths, start=2)], tmp_path / "out")


@pytest.mark.parametrize("path", ["../../a.png", "../../../etc/a.png", "/tmp/a.png", "../masks/../../a.png"])
def test_a_mask_is_inside_the_folder(tmp_path: Path, path: str) -> None:
    root = tiny_data(tmp_path / "data")
    change_cell(root, "seg.csv", 3, "mask_path", path)
    with pytest.raises(DataError, match=r"^seg\.csv, line 3, mask_path: .* leads out of the folder of predictions"):
        read_requests(root, TASKS, None, None)


def test_two_images_do_not_have_one_mask(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data")
    change_cell(root, "seg.csv", 3, "mask_path", "../seg/masks/0.png")
    with pytest.raises(DataError, match=r"^seg\.csv, line 2 \(seg\) and seg\.csv, line 3 \(seg\): their masks"):
        read_requests(root, TASKS, None, None)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["../predicted_by.json", "../.journal.jsonl", "../classification_predictions.json"])
def test_the_command_ends_with_status_2_and_writes_nothing(folder: Path, run: Path, tmp_path: Path, path: str) -> None:
    from tests.inference.test_predict import copied_data

    root = copied_data(folder, tmp_path / "data")
    change_cell(root, "seg.csv", 3, "mask_path", path)
    words = ["predict", str(run), "--data", str(root), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, DataError), "the program prints it in one line and ends with status 2"
    assert "is a file that usaggr writes there itself" in str(result.exception)
    assert not (tmp_path / "out").exists()
