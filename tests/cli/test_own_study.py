"""The study for one's own data, from images to the report; and the message about a single task."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.data.factories import disc, noise, tiny_data, write_image

TINY = ("training.budget=40 examples", "training.min_examples=1", "training.validations=4", "report.formats=[png]")


def usaggr(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from usaggr.cli.main import main; main()", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def write_scans(folder: Path) -> None:
    """Write 40 images with masks of nodules, and 40 others in one folder per grade, each of its own patient."""
    for number in range(40):
        image = noise(number)
        mask = disc(255)
        image[mask > 0] = 255
        write_image(folder / "scans" / f"P{number}_1.png", image)
        write_image(folder / "masks" / f"P{number}_1.png", mask)
        graded = (noise(100 + number) // 2 + 100 * (number % 2)).astype(np.uint8)
        write_image(folder / "grades" / ("benign", "malignant")[number % 2] / f"Q{number}_1.png", graded)


@pytest.mark.slow
def test_two_tasks_go_from_folders_to_a_report_and_to_predictions(tmp_path: Path) -> None:
    root = tmp_path / "my data"
    write_scans(root)
    patients = ("--subject", r"([PQ]\d+)_", "--out", "my data")
    masks = ("--images", "my data/scans", "--masks", "my data/masks", "--task", "nodules")
    indexed = usaggr(tmp_path, "data", "index", "folder", *masks, *patients)
    assert indexed.returncode == 0, indexed.stderr
    classes = ("--images", "my data/grades", "--names", "benign,malignant", "--task", "grades")
    indexed = usaggr(tmp_path, "data", "index", "classes", *classes, *patients)
    assert indexed.returncode == 0, indexed.stderr

    words = ("own", "data.root=my data", "data.foreground_255=true", *TINY)
    planned = usaggr(tmp_path, "plan", *words)
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.splitlines()[0].startswith("proposed model=tiny training.encoder_learning_rate=null: ")
    assert planned.stdout.splitlines()[1].startswith("proposed data.image_size=64: the median of")

    swept = usaggr(tmp_path, "sweep", *words)
    assert swept.returncode == 0, swept.stderr
    assert swept.stderr.splitlines()[:2] == planned.stdout.splitlines()[:2]
    results = tmp_path / "outputs" / "own"
    stored = yaml.safe_load((results / "study.yaml").read_text())
    assert (stored["data"]["image_size"], stored["model"]["encoder"]) == (64, "tu-test_resnet")
    assert "propose" not in stored
    report = (results / "report" / "report.md").read_text()
    assert "nodules" in report
    assert "grades" in report

    predicted = usaggr(tmp_path, "predict", "own", "--grouping", "unified", "--data", "my data", "--out", "out")
    assert predicted.returncode == 0, predicted.stderr
    with Image.open(tmp_path / "out" / "masks" / "P0_1.png") as mask:
        assert mask.size == (32, 24)
    assert (tmp_path / "out" / "classification_predictions.json").read_text().count("image_path") == 40
    again = usaggr(tmp_path, "sweep", *words)
    assert again.returncode == 0
    assert "nothing to train: 9 of 9 runs are done" in again.stderr


@pytest.mark.parametrize(
    ("words", "compared"),
    [
        ((), ""),
        (("scale=two",), "; this study still shows the scores at its scales"),
        (("+variants.slow=['training.learning_rate=1e-4']",), "; this study still compares its variants"),
    ],
)
def test_one_task_has_nothing_to_compare_and_the_plan_says_what_it_can_do(
    tmp_path: Path, words: tuple[str, ...], compared: str
) -> None:
    from usaggr.config.compose import compose_study
    from usaggr.sweep.planning.single_task import explain_single_task
    from usaggr.sweep.planning.study_plan import make_plan

    root = tiny_data(tmp_path / "data", n=20)
    study = compose_study("demo", ["data=fmuia", "scale=full", f"data.root={root}", *words])
    assert explain_single_task(make_plan(study), ["demo"]) == ""
    plan = make_plan(study.model_copy(update={"tasks": ["seg"]}))
    assert explain_single_task(plan, ["demo", "data.root=my data"]) == (
        f"nothing to compare: the only task is seg, so all groupings are the same model{compared}. With one task, "
        "`usaggr train demo 'data.root=my data'` trains a model, `usaggr sweep demo 'data.root=my data' scale=ladder` "
        "shows its score with less training data, and variants compare settings; a second task (`usaggr data index`) "
        "makes groupings comparable"
    )


def test_the_plan_of_one_task_opens_with_it_before_anything_is_trained(tmp_path: Path) -> None:
    tiny_data(tmp_path / "data", n=20)
    words = ("own", "data.root=data", "tasks=[cls]")
    for command in (("plan",), ("sweep", "--dry-run")):
        shown = usaggr(tmp_path, *command, *words)
        assert shown.returncode == 0, shown.stderr
        assert shown.stdout.splitlines()[2].startswith("nothing to compare: the only task is cls")
    assert not (tmp_path / "outputs").exists()


def test_a_name_is_found_in_outputs_beside_a_folder_of_data_with_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from usaggr.cli.arguments import find_in_outputs

    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs" / "own" / "runs" / "a").mkdir(parents=True)
    (tmp_path / "own").mkdir()
    assert find_in_outputs(Path("own")) == Path("own"), "neither has results"
    (tmp_path / "outputs" / "own" / "study.yaml").touch()
    (tmp_path / "outputs" / "own" / "runs" / "a" / "run.yaml").touch()
    assert find_in_outputs(Path("own")) == Path("outputs/own")
    assert find_in_outputs(Path("own/runs/a")) == Path("outputs/own/runs/a")
    (tmp_path / "own" / "study.yaml").touch()
    assert find_in_outputs(Path("own")) == Path("own"), "results in the current folder come first"


def test_a_dry_run_respects_the_limit(tmp_path: Path) -> None:
    tiny_data(tmp_path / "data", n=20)
    shown = usaggr(tmp_path, "sweep", "own", "data.root=data", "seeds=[0]", "--dry-run", "--limit", "1")
    assert shown.returncode == 0, shown.stderr
    assert "this sweep would train 1 of 5 runs now: unified-s1-k0-" in shown.stdout.splitlines()[-1]
