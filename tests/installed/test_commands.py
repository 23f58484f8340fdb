"""Each command of an installed usaggr works in an empty folder, on synthetic phantoms."""

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.installed.environment import REPOSITORY, Installation, install

pytestmark = pytest.mark.installed

DATA = (
    "data.synthetic.samples_per_task=30",
    "data.synthetic.tasks=[breast_2cls,fetal_head,FUGC,thyroid_nodule_det]",
    "data.image_size=32",
)
STUDY = (
    *DATA,
    "scale=full",
    "seeds=[0]",
    "training.budget='16 examples'",
    "training.min_examples=16",
    "groupings=[task_specific,unified]",
)


@pytest.fixture(scope="module")
def usaggr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = install(tmp_path_factory.mktemp("installed"))
    yield installation
    shutil.rmtree(installation.home)  # it takes more than 1 GB, and pytest would keep it for three sessions


@pytest.fixture(scope="module")
def results(usaggr: Installation) -> Path:
    """Return the folder of a finished sweep whose weights are kept."""
    usaggr.run("sweep", *STUDY, "training.keep_weights=scored")
    return usaggr.folder / "outputs" / "demo"


@pytest.fixture(scope="module")
def phantoms(usaggr: Installation) -> Path:
    """Return the root of phantoms written in the challenge's layout."""
    usaggr.run("data", "make", *DATA, "--out", "phantoms")
    return usaggr.folder / "phantoms"


@pytest.fixture(scope="module")
def predictions(usaggr: Installation, results: Path, phantoms: Path) -> Path:
    """Return a folder of predictions of all tasks."""
    out = usaggr.folder / "predictions"
    usaggr.run("predict", str(results), "--grouping", "unified", "--data", str(phantoms), "--out", str(out))
    return out


def run_folder(results: Path, block: str) -> Path:
    """Return the folder of a block's only run."""
    (folder,) = (path for path in (results / "runs").iterdir() if path.name.startswith(block))
    return folder


def test_the_package_is_the_installed_one(usaggr: Installation) -> None:
    assert usaggr.run("--version").strip() == "0.1.0"
    assert not list(usaggr.home.glob("lib/python*/site-packages/__editable__*"))
    assert str(REPOSITORY) not in usaggr.run("config", "--sources")


def test_sweep_trains_and_writes_a_report(results: Path) -> None:
    assert (results / "report" / "index.html").is_file()
    with (results / "report" / "tables" / "scores.csv").open(newline="") as file:
        scores = list(csv.DictReader(file))
    assert {row["task"] for row in scores} == {"breast_2cls", "fetal_head", "FUGC", "thyroid_nodule_det"}
    assert {row["grouping"] for row in scores} == {"task_specific", "unified"}


def test_plan_lists_the_runs(usaggr: Installation) -> None:
    assert "5 pending" in usaggr.run("plan", *STUDY, "name=planned")


def test_status_counts_the_runs(usaggr: Installation, results: Path) -> None:
    assert "5 done" in usaggr.run("status", str(results))


def test_report_is_written_again(usaggr: Installation, results: Path) -> None:
    (results / "report" / "index.html").unlink()
    usaggr.run("report", str(results))
    assert (results / "report" / "index.html").is_file()


def test_train_trains_one_run(usaggr: Installation) -> None:
    usaggr.run("train", *STUDY, "name=single", "--block", "fetal_head")
    (folder,) = (usaggr.folder / "outputs" / "single" / "runs").iterdir()
    assert (folder / "result.json").is_file()


def test_config_prints_the_study(usaggr: Installation) -> None:
    assert "name: demo" in usaggr.run("config")


def test_affinity_writes_a_grouping(usaggr: Installation) -> None:
    longer = ("training.budget='64 examples'", "name=related")
    usaggr.run("affinity", *STUDY, *longer, "--measure", "gradient", "--overhead", "9", "--out", "related.yaml")
    assert "blocks" in (usaggr.folder / "related.yaml").read_text()


def test_predict_and_evaluate_agree_on_the_files(usaggr: Installation, predictions: Path, phantoms: Path) -> None:
    usaggr.run("evaluate", str(predictions), "--data", str(phantoms))
    evaluation = json.loads((predictions / "evaluation.json").read_text())
    assert evaluation["complete"]
    main_metrics = {"breast_2cls": "auc", "fetal_head": "dsc", "FUGC": "mre", "thyroid_nodule_det": "iou"}
    assert {task: metric in evaluation["tasks"][task] for task, metric in main_metrics.items()} == dict.fromkeys(
        main_metrics, True
    )


def test_advise_answers_for_each_task(usaggr: Installation, results: Path, phantoms: Path) -> None:
    usaggr.run("advise", "--from", str(results), str(phantoms), "--out", "advice")
    advice = (usaggr.folder / "advice" / "advice.md").read_text()
    assert all(task in advice for task in ("breast_2cls", "fetal_head", "FUGC", "thyroid_nodule_det"))


def test_data_check_finds_phantoms_free_of_faults(usaggr: Installation, phantoms: Path) -> None:
    assert "0 errors" in usaggr.run("data", "check", "data=fmuia", f"data.root={phantoms}")


def test_data_show_draws_samples(usaggr: Installation, phantoms: Path) -> None:
    usaggr.run("data", "show", "data=fmuia", f"data.root={phantoms}", "--out", "samples.png")
    assert (usaggr.folder / "samples.png").read_bytes().startswith(b"\x89PNG")


def test_data_index_writes_the_index_of_a_folder(usaggr: Installation, phantoms: Path) -> None:
    masks = next(path for path in phantoms.rglob("*.png") if "mask" in path.parent.name.lower()).parent
    images = masks.parent / "images"
    words = ("--images", str(images), "--masks", str(masks), "--task", "heads", "--out", str(masks.parent))
    assert "30 samples" in usaggr.run("data", "index", "folder", *words)


def test_data_index_writes_the_index_of_a_folder_for_each_class(usaggr: Installation, phantoms: Path) -> None:
    images = sorted((phantoms / "Classification" / "breast_2cls" / "images").iterdir())
    for number, image in enumerate(images):
        folder = usaggr.folder / "by_class" / ("benign", "malignant")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, folder)
    words = ("--images", "by_class", "--task", "lesions", "--out", "by_class")
    assert f"{len(images)} samples" in usaggr.run("data", "index", "classes", *words)


def test_data_index_writes_the_index_of_a_coco_file(usaggr: Installation, phantoms: Path) -> None:
    folder = phantoms / "Detection" / "thyroid_nodule_det" / "images"
    names = sorted(path.name for path in folder.iterdir())
    sizes = [Image.open(folder / name).size for name in names]
    content = {
        "categories": [{"id": 1, "name": "nodule"}],
        "images": [
            {"id": i, "file_name": name, "width": width, "height": height}
            for i, (name, (width, height)) in enumerate(zip(names, sizes, strict=True))
        ],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "bbox": [2, 3, 10, 12], "area": 120, "iscrowd": 0}
            for i in range(len(names))
        ],
    }
    (usaggr.folder / "boxes.json").write_text(json.dumps(content))
    words = ("--annotations", "boxes.json", "--images", str(folder), "--task", "nodules", "--out", str(folder))
    assert f"{len(names)} samples" in usaggr.run("data", "index", "coco", *words)


def test_export_names_the_extra_that_it_needs_and_works_with_it(usaggr: Installation, results: Path) -> None:
    run = run_folder(results, "unified")
    assert "usaggr[onnx]" in usaggr.run("export", str(run), status=2)
    usaggr.pip_install(".[onnx]")
    usaggr.run("export", str(run), "--out", "unified.onnx")
    assert (usaggr.folder / "unified.onnx").is_file()
    assert json.loads((usaggr.folder / "unified.json").read_text())


def test_clean_removes_what_the_study_does_not_need(usaggr: Installation) -> None:
    usaggr.run("train", *STUDY, "name=cleaned", "training.keep_weights=scored", "--block", "fetal_head")
    results = usaggr.folder / "outputs" / "cleaned"
    assert list(results.rglob("*.safetensors")) or list(results.rglob("*.ckpt"))
    assert "--weights removes those of finished runs" in usaggr.run("clean", str(results), "--yes")
    assert list(results.rglob("*.safetensors"))
    usaggr.run("clean", str(results), "--weights", "--yes")
    assert not list(results.rglob("*.safetensors"))
    assert not list(results.rglob("*.ckpt"))
