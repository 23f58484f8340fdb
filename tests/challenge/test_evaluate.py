"""Errors in predictions are listed and counted, subsets are those of a split, files agree with the terminal."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.challenge.factories import Made
from tests.data.factories import data_config
from usaggr.challenge.evaluate import Evaluation, evaluate
from usaggr.challenge.evaluation_files import make_evaluation_json, make_evaluation_markdown
from usaggr.challenge.findings import MEANINGS, count_by_kind
from usaggr.challenge.selection import select
from usaggr.challenge.submission import read_submission
from usaggr.errors import ConfigError, DataError, RunError
from usaggr.metrics.names import METRICS
from usaggr.metrics.scores import score_task
from usaggr.progress import NoProgress

MASK = np.zeros((20, 30), np.uint8)
MASK[4:12, 5:15] = 1
BOX = [3.0, 4.0, 13.0, 14.0]
POINTS = np.array([[3.0, 4.0], [20.0, 9.0]])
CORRECT: dict[str, dict[str, Any]] = {
    "cls": {"predicted_class": 1, "predicted_probs": [0.2, 0.8]},
    "det": {"bbox_pixels": [4.0, 4.0, 13.0, 14.0]},
    "reg": {"predicted_points_pixels": POINTS.ravel().tolist()},
}


def make_predictions(folder: Path) -> Made:
    """Make three samples of each type, each with a correct prediction."""
    made = Made(folder / "data", folder / "predictions")
    made.segmentation("seg", 2, [MASK] * 3, [MASK] * 3)
    made.classification("cls", 2, [1, 0, 1], [CORRECT["cls"]] * 3)
    made.detection("det", (20, 30), [BOX] * 3, [CORRECT["det"]] * 3)
    made.regression("reg", (20, 30), [POINTS] * 3, [CORRECT["reg"]] * 3)
    return made


def kinds(evaluation: Evaluation) -> dict[str, int]:
    return count_by_kind(evaluation.findings)


def test_correct_predictions_have_no_errors(tmp_path: Path) -> None:
    evaluation = make_predictions(tmp_path).evaluated(tmp_path / "cache")
    assert kinds(evaluation) == {}
    assert evaluation.complete
    assert {task.task.id: task.samples for task in evaluation.tasks} == {"cls": 3, "det": 3, "reg": 3, "seg": 3}


@pytest.mark.parametrize(
    ("file", "change", "kind", "message"),
    [
        ("classification", {"predicted_probs": [0.2, 0.9]}, "probabilities", "from 0.2 to 0.9 and sum to 1.1"),
        ("classification", {"predicted_probs": [-0.2, 1.2]}, "probabilities", "from -0.2 to 1.2 and sum to 1"),
        ("classification", {"predicted_probs": [0.2, 0.798]}, "probabilities", "from 0.2 to 0.798 and sum to 0.998"),
        ("classification", {"predicted_probs": [0.0, 1.0004]}, "probabilities", "from 0 to 1.0004 and sum to 1.0004"),
        ("classification", {"predicted_class": 0}, "class", "predicted_class is 0, but class 1 is more probable"),
        ("classification", {"predicted_class": 2}, "unusable", "predicted_class 2 must be a class from 0 to 1"),
        ("classification", {"predicted_class": "1"}, "unusable", "predicted_class '1' must be a class from 0 to 1"),
        ("classification", {"predicted_probs": [1.0]}, "unusable", "predicted_probs must be 2 finite numbers"),
        ("classification", {"predicted_probs": [0.5, float("nan")]}, "unusable", "predicted_probs must be 2 finite"),
        ("classification", {"predicted_probs": None}, "unusable", "predicted_probs must be 2 finite numbers"),
        ("classification", {"image_path": "../classification/nobody.png"}, "extra", "no such image of the task"),
        ("classification", {"task_id": "nothing"}, "extra", "no such task"),
        ("classification", {"task_id": None}, "unnamed", "record 1 does not name its task_id and image_path"),
        ("classification", {"image_path": ""}, "unnamed", "record 1 does not name its task_id and image_path"),
        ("detection", {"bbox_pixels": [13.0, 4.0, 4.0, 14.0]}, "swapped", "[13, 4, 4, 14]"),
        ("detection", {"bbox_pixels": [4.0, 14.0, 13.0, 4.0]}, "swapped", "[4, 14, 13, 4]"),
        ("detection", {"bbox_pixels": [4.0, 4.0, 31.0, 14.0]}, "outside", "[4, 4, 31, 14], image of 20 x 30"),
        ("detection", {"bbox_normalized": [0.0, 0.0, 1.0, 1.0]}, "disagree", "bbox_pixels by up to 17.0 pixels"),
        ("detection", {"bbox_normalized": [0.18, 0.2, 13 / 30, 0.7]}, "disagree", "bbox_pixels by up to 1.4 pixels"),
        ("detection", {"bbox_pixels": [1, 2, 3]}, "unusable", "bbox_pixels must be 4 finite numbers"),
        ("detection", {"bbox_pixels": [1, 2, 3, 10**400]}, "unusable", "bbox_pixels must be 4 finite numbers"),
        ("regression", {"predicted_points_pixels": [1.0, -2.0, 3.0, 4.0]}, "outside", "[1, -2, 3, 4], image of 20 x"),
        ("regression", {"predicted_points_pixels": "1, 2"}, "unusable", "points_pixels must be 4 finite numbers"),
    ],
)  # fmt: skip
def test_an_error_in_a_record_is_named(
    tmp_path: Path, file: str, change: dict[str, Any], kind: str, message: str
) -> None:
    made = make_predictions(tmp_path)
    records = made.records[f"{file}_predictions.json"]
    records[0] = {**records[0], **change}
    evaluation = made.evaluated(tmp_path / "cache")
    (finding,) = [finding for finding in evaluation.findings if finding.kind == kind]
    assert message in finding.message
    assert finding.file == f"{file}_predictions.json"
    renamed = {"image_path", "task_id"} & change.keys()
    assert kinds(evaluation).get("missing", 0) == (1 if renamed else 0)
    assert evaluation.complete == (kind != "unusable" and not renamed)
    (task,) = [task for task in evaluation.tasks if task.task.type == file]
    assert task.scored is not None
    assert task.samples - task.missing - task.unusable == (3 if evaluation.complete else 2)


def test_an_additional_record_without_names_leaves_an_evaluation_complete(tmp_path: Path) -> None:
    made = make_predictions(tmp_path)
    made.records["detection_predictions.json"] += [{"bbox_pixels": BOX}, {"task_id": "det", "bbox_pixels": BOX}, BOX]  # type: ignore[list-item]
    evaluation = made.evaluated(tmp_path / "cache")
    assert kinds(evaluation) == {"unnamed": 3}
    assert sorted((finding.task_id, finding.image_path) for finding in evaluation.findings) == [
        ("", ""), ("", ""), ("det", ""),
    ]  # fmt: skip
    assert [(task.missing, task.unusable) for task in evaluation.tasks] == [(0, 0)] * 4
    assert evaluation.complete


@pytest.mark.parametrize("line", ["removed", "moved"])
def test_an_index_that_changes_after_its_check_is_an_error_that_names_the_row(tmp_path: Path, line: str) -> None:
    made = make_predictions(tmp_path)
    dataset = made.evaluated(tmp_path / "cache").dataset
    index = made.root / "csv_files" / "det.csv"
    header, *lines = index.read_text().splitlines()
    lines = lines[:-1] if line == "removed" else [*lines[:-2], lines[-1], lines[-2]]
    index.write_text("\n".join([header, *lines]) + "\n")
    data = data_config(made.root, tmp_path / "cache")
    with pytest.raises(DataError, match=r"det\.csv, line [34]: no longer has the image .* of det, so the index has"):
        evaluate(made.folder, dataset, select(dataset, None, None), data, 0.005, NoProgress())


@pytest.mark.parametrize(
    ("mask", "kind", "message"),
    [
        (None, "missing", "no such file"),
        (b"no image", "unusable", "cannot be read as an image"),
        (b"", "unusable", "the file is empty"),
        (np.stack([MASK, MASK * 2, MASK], axis=2), "unusable", "is a color mask"),
        (MASK[:10], "size", "10 x 30 pixels (height x width), its image 20 x 30"),
        (MASK * 255, "values", "has the values 255; allowed are 0 to 1"),
    ],
)
def test_an_error_in_a_mask_is_named(tmp_path: Path, mask: Any, kind: str, message: str) -> None:
    made = make_predictions(tmp_path)
    path = made.folder / "Segmentation" / "seg" / "MASKS" / "1.png"
    path.unlink()
    if isinstance(mask, bytes):
        path.write_bytes(mask)
    elif mask is not None:
        Image.fromarray(mask).save(path)
    evaluation = made.evaluated(tmp_path / "cache")
    (finding,) = evaluation.findings
    assert (finding.kind, finding.task_id, finding.file) == (kind, "seg", "Segmentation/seg/MASKS/1.png")
    assert message in finding.message
    assert evaluation.complete == (kind in ("size", "values"))
    written = make_evaluation_json(evaluation, "strict")
    counted = {"samples": 3, "scored": 3 if evaluation.complete else 2, "components": 3 if evaluation.complete else 2}
    assert written["counts"]["seg"] == {
        **counted,
        "missing": int(kind == "missing"),
        "unusable": int(kind == "unusable"),
    }


def test_deviations_within_the_tolerances_are_not_named(tmp_path: Path) -> None:
    made = make_predictions(tmp_path)
    for file, change in [
        ("classification", {"predicted_probs": [0.2, 0.8009]}),
        ("classification", {"predicted_probs": [0.5, 0.5], "predicted_class": 1}),
        ("detection", {"bbox_normalized": [0.16, 0.2, 0.4, 0.7]}),  # up to 1 pixel away
        ("detection", {"bbox_pixels": [-0.5, -0.5, 30.5, 20.5]}),
    ]:
        made.records[f"{file}_predictions.json"][0].update(change)
        assert kinds(made.evaluated(tmp_path / "cache")) == {}, change
        made.records[f"{file}_predictions.json"][0].pop("bbox_normalized", None)


def test_masks_without_a_sample_and_repeated_predictions_are_named(tmp_path: Path) -> None:
    made = make_predictions(tmp_path)
    Image.fromarray(MASK).save(made.folder / "Segmentation" / "seg" / "MASKS" / "9.png")
    records = made.records["detection_predictions.json"]
    records.append({**records[0], "bbox_pixels": BOX})
    evaluation = made.evaluated(tmp_path / "cache")
    assert kinds(evaluation) == {"extra": 1, "twice": 1}
    (scored,) = [task.scored for task in evaluation.tasks if task.task.id == "det"]
    assert scored is not None
    assert scored.strict["iou"] == pytest.approx((1 + 0.9 + 0.9) / 3)  # the last one counts


def test_modes_differ_if_a_class_is_absent_and_the_output_says_so(tmp_path: Path) -> None:
    made = make_predictions(tmp_path)
    records = [
        {"predicted_class": 0, "predicted_probs": [0.6, 0.3, 0.1]},
        {"predicted_class": 1, "predicted_probs": [0.2, 0.7, 0.1]},
    ]
    made.classification("absent", 3, [0, 1], records)
    evaluation = made.evaluated(tmp_path / "cache")
    challenge, strict = make_evaluation_json(evaluation, "challenge"), make_evaluation_json(evaluation, "strict")
    assert challenge["tasks"]["absent"]["auc"] == 0.0
    assert strict["tasks"]["absent"]["auc"] == 1.0
    assert challenge["differences"] == strict["differences"]
    (difference,) = strict["differences"]
    assert (difference["task"], difference["metric"]) == ("absent", "auc")
    assert "auc is 0.000 in challenge mode, 1.000 in strict mode" in make_evaluation_markdown(evaluation, "challenge")
    assert "auc" not in challenge["intervals"]["absent"]
    assert strict["type_means"]["classification"]["auc"] == (strict["tasks"]["cls"]["auc"] + 1.0) / 2
    assert strict["type_means"]["detection"] == {"iou": pytest.approx(0.9)}
    assert set(strict["tasks"]["seg"]) == {metric.name for metric in METRICS["segmentation"]} > {"dsc", "hd"}
    assert set(challenge["tasks"]["seg"]) == {"dsc", "hd"}


def test_the_challenges_auc_without_a_class_has_no_interval(tmp_path: Path) -> None:
    made = make_predictions(tmp_path)
    probs = [[0.6, 0.3, 0.1], [0.4, 0.5, 0.1], [0.3, 0.6, 0.1], [0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.2, 0.7, 0.1]]
    made.classification("absent", 3, [0, 0, 0, 1, 1, 1], [{"predicted_probs": row} for row in probs])
    evaluation = made.evaluated(tmp_path / "cache")
    strict, challenge = (
        make_evaluation_json(evaluation, mode)["intervals"]["absent"] for mode in ("strict", "challenge")
    )  # type: ignore[arg-type]
    assert "auc" in strict
    assert challenge == {name: strict[name] for name in ("accuracy", "f1_macro", "f1_weighted", "mcc")}


def test_strict_scores_are_those_of_a_sweep(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    probs = rng.dirichlet([1, 1, 1], 20)
    labels = rng.integers(0, 3, 20)
    made = make_predictions(tmp_path)
    records = [{"predicted_class": int(p.argmax()), "predicted_probs": p.tolist()} for p in probs]
    made.classification("three", 3, labels.tolist(), records)
    evaluation = made.evaluated(tmp_path / "cache")
    task = next(task for task in evaluation.tasks if task.task.id == "three")
    records = [{"label": label, "probs": p} for label, p in zip(labels, probs, strict=True)]
    assert task.scored is not None
    assert task.scored.strict == pytest.approx(score_task(task.task, records)[0], abs=1e-12)
    for name, (low, high) in task.scored.intervals.items():
        assert low < task.scored.strict[name] < high, name


def test_images_of_one_patient_count_as_one_component_and_have_no_interval(tmp_path: Path) -> None:
    made = make_predictions(tmp_path)
    dataset = made.evaluated(tmp_path / "cache").dataset
    selection = select(dataset, None, None)
    single_component = replace(selection, components=(0,) * len(selection.samples))
    evaluation = evaluate(
        made.folder, dataset, single_component, data_config(made.root, tmp_path / "cache"), 0.005, NoProgress()
    )
    assert [task.components for task in evaluation.tasks] == [1] * 4
    assert all(task.scored is not None and not task.scored.intervals for task in evaluation.tasks)


def test_only_the_requested_subset_of_a_split_is_scored(tmp_path: Path) -> None:
    made = make_predictions(tmp_path)
    evaluation = made.evaluated(tmp_path / "cache")
    samples = evaluation.dataset.samples
    split = tmp_path / "split.csv"
    with split.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["task_id", "sample_id", "component", "fold"])
        for number, sample in enumerate(samples):
            writer.writerow([sample.task_id, sample.sample_id, number, "test" if number % 3 == 0 else "train"])
    chosen = select(evaluation.dataset, split, None)
    assert chosen.fold == "test"
    assert chosen.components == tuple(range(0, len(samples), 3))
    assert chosen.samples == tuple(sample for number, sample in enumerate(samples) if number % 3 == 0)
    assert {sample.task_id for sample in select(evaluation.dataset, split, "train", ["seg"]).samples} == {"seg"}
    for arguments, message in [
        ((None, "test"), "--fold needs --split FILE"),
        ((split, "tset"), "--fold: unknown 'tset', did you mean 'test'?"),
        ((split, None, ["sge"]), "--tasks: unknown 'sge', did you mean 'seg'?"),
    ]:
        with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
            select(evaluation.dataset, *arguments)  # type: ignore[arg-type]
    split.write_text("task_id,sample_id,component,fold\nseg,../other.png,1,test\n")
    with pytest.raises(DataError, match=r"seg, \.\./other\.png is not in the data"):
        select(evaluation.dataset, split, None)
    split.write_text("task_id,fold\nseg,test\n")
    with pytest.raises(RunError, match="no column sample_id, component"):
        select(evaluation.dataset, split, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "cannot be read as JSON"), ("{}", "is a dict; detection predictions must be a list of records")],
)
def test_a_file_that_is_not_a_list_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "detection_predictions.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_submission(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        read_submission(tmp_path / "nowhere")


def test_the_command_writes_what_it_prints_and_reports_missing_predictions(tmp_path: Path) -> None:
    made = make_predictions(tmp_path)
    made.evaluated(tmp_path / "cache")
    (made.folder / "Segmentation" / "seg" / "MASKS" / "0.png").unlink()
    command = [str(Path(sys.executable).parent / "usaggr"), "evaluate", str(made.folder), "--data", str(made.root)]
    completed = subprocess.run([*command, f"data.cache_dir={tmp_path / 'cache'}"], capture_output=True, text=True)
    assert (completed.returncode, completed.stderr) == (1, "")
    assert "1 missing: no prediction" in completed.stdout
    written = json.loads((made.folder / "evaluation.json").read_text())
    assert written["tasks"]["seg"]["dsc"] == 1.0
    assert written["counts"]["seg"] == {"samples": 3, "scored": 2, "missing": 1, "unusable": 0, "components": 2}
    assert not written["complete"]
    assert "| seg | 2 of 3 | 1.000" in (made.folder / "evaluation.md").read_text()
    refused = subprocess.run([*command, "--mode", "strct"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr == "--mode: unknown 'strct', did you mean 'strict'? Allowed: challenge, strict\n"


def test_each_kind_of_finding_is_explained() -> None:
    source = "".join(path.read_text() for path in Path("usaggr/challenge").glob("*.py"))
    for kind in MEANINGS:
        assert f'"{kind}"' in source.replace("MEANINGS", "", 1)
