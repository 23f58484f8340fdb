"""Prediction of a folder of images without an index, and pictures with predictions drawn in."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.data.factories import write_image
from usaggr.cli.main import app
from usaggr.data.read.image_reading import ImageReading, Orientation
from usaggr.data.read.index import IndexRow
from usaggr.data.read.paths import FileFinder
from usaggr.errors import ConfigError, DataError, UsaggrError
from usaggr.inference.image_requests import FolderSelection, list_requests
from usaggr.inference.prediction_folder import PredictionFolder
from usaggr.inference.prediction_pictures import format_class, name_overlays, write_overlays
from usaggr.inference.prediction_requests import PredictionRequest
from usaggr.progress import NoProgress
from usaggr.results.predictions import Prediction
from usaggr.tasks import Task

SEG = Task("seg", "segmentation", 2, "", "", ("background", "nodule"))


def predict(run: Path, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["predict", str(run), *words])
    if isinstance(result.exception, UsaggrError):  # `main` prints it and exits with 2
        return 2, str(result.exception)
    return result.exit_code, result.output


@pytest.fixture
def images(folder: Path, tmp_path: Path) -> Path:
    """Copy two images of the training data, one into a subfolder, beside files that are no samples."""
    sources = sorted((folder / "data" / "seg").glob("*.png"))
    target = tmp_path / "scans"
    (target / "day 2").mkdir(parents=True)
    (target / "a.png").write_bytes(sources[0].read_bytes())
    (target / "day 2" / "b.png").write_bytes(sources[1].read_bytes())
    (target / ".ipynb_checkpoints").mkdir()
    (target / ".ipynb_checkpoints" / "a-checkpoint.png").write_bytes(sources[0].read_bytes())
    (target / "notes.txt").write_text("no image")
    return target


def test_a_folder_gives_the_predictions_of_an_index_of_the_same_images(
    folder: Path, run: Path, images: Path, tmp_path: Path
) -> None:
    status, output = predict(run, "--images", str(images), "--out", str(tmp_path / "out"))
    assert (status, "predictions: " in output) == (0, True), output
    assert predict(run, "--data", str(folder / "data"), "--out", str(tmp_path / "index"))[0] == 0
    source = sorted((folder / "data" / "seg").glob("*.png"))[1]
    mask = np.asarray(Image.open(tmp_path / "out" / "masks" / "seg" / "day 2" / "b.png"))
    tables = (csv.DictReader(path.open(encoding="utf-8")) for path in (folder / "data" / "csv_files").glob("*.csv"))
    (row,) = (row for table in tables for row in table if row["image_path"] == f"../seg/{source.name}")
    of_index = Image.open(tmp_path / "index" / row["mask_path"].removeprefix("../"))
    assert np.array_equal(mask, np.asarray(of_index))


def test_every_task_of_the_model_is_predicted_for_every_image(run: Path, images: Path, tmp_path: Path) -> None:
    status, output = predict(run, "--images", str(images), "--out", str(tmp_path / "out"))
    assert status == 0, output
    out = tmp_path / "out"
    assert {p.relative_to(out / "masks").as_posix() for p in (out / "masks").rglob("*.png")} == {
        "seg/a.png", "seg/day 2/b.png",
    }  # fmt: skip
    for name in ("classification", "detection", "regression"):
        records = json.loads((out / f"{name}_predictions.json").read_text())
        assert [record["image_path"] for record in records] == ["../a.png", "../day 2/b.png"]


def test_one_task_can_be_chosen_by_either_name_of_the_option(run: Path, images: Path, tmp_path: Path) -> None:
    for option in ("--task", "--tasks"):
        out = tmp_path / option.strip("-")
        assert predict(run, "--images", str(images), option, "cls", "--out", str(out))[0] == 0
        assert (out / "classification_predictions.json").is_file()
        assert not (out / "masks").exists()
    status, output = predict(run, "--images", str(images), "--task", "cls2", "--out", str(tmp_path / "no"))
    assert status == 2
    assert "--tasks" in output


def test_overlays_show_each_prediction_and_are_drawn_for_existing_ones(run: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert predict(run, "--images", str(images), "--out", str(out))[0] == 0
    status, output = predict(run, "--images", str(images), "--out", str(out), "--overlay")
    assert status == 0, output
    drawn = {path.relative_to(out / "overlays").as_posix() for path in (out / "overlays").rglob("*.png")}
    assert drawn == {f"{task}/{name}.png" for task in ("seg", "cls", "det", "reg") for name in ("a.png", "day 2/b.png")}
    picture = np.asarray(Image.open(out / "overlays" / "reg" / "a.png.png").convert("RGB")).astype(int)
    is_colored = np.ptp(picture, axis=2) > 60
    assert max(picture.shape) >= 480
    assert 10 < is_colored.sum() < 0.2 * is_colored.size, "landmarks are drawn in color on a gray image"
    assert f"{len(drawn)} pictures" in output


@pytest.mark.parametrize(
    ("image_path", "picture"),
    [
        ("../images/a.png", "images/a.png.png"),
        ("./../images//x/../a.png", "images/a.png.png"),
        ("a.png", "a.png.png"),
        ("../../../data/root/a.png", "_/_/data/root/a.png.png"),
    ],
)
def test_a_picture_stays_in_the_folder_of_its_task(image_path: str, picture: str) -> None:
    request = PredictionRequest("det", IndexRow("det.csv", 2, {"image_path": image_path}), None)
    assert [path.as_posix() for path in name_overlays([request]).values()] == [f"overlays/det/{picture}"]


def test_no_picture_replaces_another(tmp_path: Path) -> None:
    """The index names images beside it and in the root; on a disk without letter case, two more are one."""
    names = ("a.png", "../a.png", "../A.png", "../_/b.png", "../../b.png", "../c.png")
    requests = [PredictionRequest("det", IndexRow("det.csv", 2, {"image_path": name}), None) for name in names]
    paths = name_overlays(requests)
    assert list(paths) == [("det", name) for name in names]
    assert len({path.as_posix().casefold() for path in paths.values()}) == len(names)
    assert paths["det", "../c.png"].as_posix() == "overlays/det/c.png.png", "a single name stays"
    assert name_overlays(requests[::-1]) == paths, "whatever their order"


@pytest.mark.parametrize(("orientation", "is_upright"), [("apply", True), ("ignore", False)])
def test_overlays_show_images_as_they_were_read_for_the_prediction(
    tmp_path: Path, orientation: Orientation, is_upright: bool
) -> None:
    marked = Image.Exif()
    marked[0x0112] = 6  # viewers turn the image by 90 degrees
    Image.new("L", (300, 60)).save(tmp_path / "a.jpg", exif=marked)
    (tmp_path / "csv_files").mkdir()
    task = Task("det", "detection", 1, "", "", ("nodule",))
    (request,) = list_requests(tmp_path, [task]).requests
    (tmp_path / "out").mkdir()
    folder = PredictionFolder(tmp_path / "out", {"det": task})
    height, width = (300, 60) if is_upright else (60, 300)
    folder.add([(request, Prediction("det", "a", "a", box=np.array([5.0, 5.0, 40.0, 40.0])), height, width)])
    readings = {"det": ImageReading(orientation=orientation)}
    finder = FileFinder(str(tmp_path.resolve()))
    assert write_overlays(folder, [request], {"det": task}, finder, readings, 10**6, NoProgress()) == 1
    folder.close()
    picture = Image.open(tmp_path / "out" / "overlays" / "det" / "a.jpg.png")
    assert (picture.height > picture.width) is is_upright


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give either --data ROOT"),
        (["--images", "{images}", "--data", "{images}"], "not both"),
        (["--images", "{images}", "--fold", "test"], "--split and --fold select rows of an index"),
        (["--images", "{images}/none"], "does not exist"),
        (["--images", "{images}/.ipynb_checkpoints/.."], ""),
    ],
)
def test_wrong_choices_of_images_are_one_line(
    run: Path, images: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    words = [word.format(images=images) for word in words]
    status, output = predict(run, *words, "--out", str(tmp_path / "out"))
    assert message in " ".join(output.split())
    assert status == (2 if message else 0)
    assert "Traceback" not in output


def test_two_images_that_would_have_one_mask_are_refused(tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp"):
        write_image(tmp_path / name, np.zeros((8, 8), np.uint8))
    with pytest.raises(DataError, match=r"a\.bmp and .*a\.png: their masks would both be masks/seg/a\.png"):
        list_requests(tmp_path, [SEG])


def test_masks_beside_images_are_left_out_with_their_number(tmp_path: Path) -> None:
    names = [f"benign ({i}){end}.png" for i in range(1, 5) for end in ("", "_mask")]
    for name in (*names, "benign (1)_mask_1.png", "lonely_mask.png"):
        write_image(tmp_path / name, np.zeros((8, 8), np.uint8))
    requested = list_requests(tmp_path, [SEG])
    paths = [request.row.get_text("image_path") for request in requested.requests]
    assert paths == [*(f"../benign ({i}).png" for i in range(1, 5)), "../lonely_mask.png"]
    (line,) = requested.unread
    assert line.startswith("5 files: is a mask, by its name beside an image; such as ")


def test_a_folder_without_images_names_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "scan.dcm").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"no image file.*scan\.dcm"):
        list_requests(tmp_path, [SEG])
    assert FolderSelection(tmp_path).tasks == ()


def test_the_class_in_a_picture_has_its_name_and_probability() -> None:
    task = Task("cls", "classification", 2, "", "", ("benign", "malignant"))
    assert format_class(task, np.array([0.13, 0.87])) == "malignant 0.87"
