import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.data.factories import change_cell, data_config, noise, read_rows, write_image, write_rows
from tests.inference.factories import plan_of, train
from usaggr.challenge.evaluate import Evaluation, evaluate
from usaggr.challenge.evaluation_files import get_scores
from usaggr.challenge.selection import select
from usaggr.cli.main import app
from usaggr.data.read.load_dataset import load_dataset
from usaggr.errors import ConfigError, DataError, RunError
from usaggr.inference.model_selection import select_run
from usaggr.inference.predict import IndexSelection, PredictionOptions, PredictionSummary, predict
from usaggr.progress import NoProgress
from usaggr.results.run_directory import RunDirectory

JSON = ("classification_predictions.json", "detection_predictions.json", "regression_predictions.json")


def predicted(
    run: Path, selection: IndexSelection, out: Path, policy: Any = "skip", batch_size: int = 32
) -> PredictionSummary:
    return predict(select_run(run), selection, out, PredictionOptions(batch_size, "cpu", policy), NoProgress())


def scored(folder: Path, out: Path) -> Evaluation:
    config = data_config(folder / "data", folder / "cache")
    dataset = load_dataset(config)
    chosen = select(dataset, folder / "outputs" / "demo" / "split.csv", "test")
    return evaluate(out, dataset, chosen, config, 0.005, NoProgress())


def contents(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def copied_data(folder: Path, to: Path) -> Path:
    """Make another index for the images of the shared data."""
    to.mkdir()
    for path in (folder / "data").iterdir():
        if path.name == "csv_files":
            for file in path.iterdir():
                write_rows(to, file.name, read_rows(folder / "data", file.name))
        else:
            (to / path.name).mkdir()
            for file in path.rglob("*.png"):
                target = to / file.relative_to(folder / "data")
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(file.read_bytes())
    return to


def test_predictions_of_the_test_fold_score_as_the_run_did(folder: Path, run: Path, tmp_path: Path) -> None:
    selection = IndexSelection(folder / "data", split=folder / "outputs" / "demo" / "split.csv")
    result = RunDirectory(run).read_result()
    summary = predicted(run, selection, tmp_path / "out")
    assert summary.requested == sum(result.n_test.values())
    assert not summary.skipped
    evaluation = scored(folder, tmp_path / "out")
    assert evaluation.complete
    assert not evaluation.findings
    assert {task.task.id for task in evaluation.tasks} == set(result.scores)
    for task in evaluation.tasks:
        assert get_scores(task, "strict") == pytest.approx(result.scores[task.task.id], abs=1e-6)


def test_a_killed_command_continues_and_ends_the_same(folder: Path, run: Path, tmp_path: Path) -> None:
    selection = IndexSelection(folder / "data")
    predicted(run, selection, tmp_path / "whole")
    out = tmp_path / "killed"
    predicted(run, selection, out)
    for name in JSON:
        (out / name).unlink()
    lines = (out / ".journal.jsonl").read_text().splitlines(keepends=True)
    (out / ".journal.jsonl").write_text("".join(lines[:40]) + lines[40][:15])  # killed while it wrote a line
    masks = sorted(out.rglob("*/masks/*.png"))
    for mask in masks[:7]:
        mask.unlink()
    (masks[0].parent / f".{masks[0].name}.tmp").write_bytes(b"half")
    before = masks[-1].stat().st_mtime_ns
    summary = predicted(run, selection, out)
    assert summary.existing == summary.requested - (len(lines) - 40) - 7
    assert masks[-1].stat().st_mtime_ns == before
    again, uninterrupted = contents(out), contents(tmp_path / "whole")
    assert sorted(json.loads(again[".journal.jsonl"].splitlines()[0])) == sorted(json.loads(lines[0]))
    for name in uninterrupted:
        if name != ".journal.jsonl":
            assert again[name] == uninterrupted[name], name
    assert len(again[".journal.jsonl"].splitlines()) == len(lines)


def test_the_order_and_size_of_batches_do_not_matter(folder: Path, run: Path, tmp_path: Path) -> None:
    for size in (1, 7):
        predicted(run, IndexSelection(folder / "data"), tmp_path / f"{size}", batch_size=size)
    singly, seven = (json.loads((tmp_path / f"{size}" / JSON[2]).read_text()) for size in (1, 7))
    assert len(singly) == 30
    for a, b in zip(singly, seven, strict=True):
        assert a["image_path"] == b["image_path"]
        np.testing.assert_allclose(a["predicted_points_pixels"], b["predicted_points_pixels"], atol=1e-4)


def test_an_index_without_labels_is_enough(folder: Path, run: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    copied_data(folder, root)
    labels = {"mask_path", "mask", "x_min", "y_min", "x_max", "y_max", "point_1_xy", "point_2_xy"}
    for task_id in ("seg", "cls", "det", "reg"):
        stripped = [{k: v for k, v in row.items() if k not in labels} for row in read_rows(root, f"{task_id}.csv")]
        write_rows(root, f"{task_id}.csv", stripped)
    assert predicted(run, IndexSelection(root), tmp_path / "bare").requested == 120
    predicted(run, IndexSelection(folder / "data"), tmp_path / "labeled")
    for name in JSON:
        assert (tmp_path / "bare" / name).read_bytes() == (tmp_path / "labeled" / name).read_bytes()
    image = read_rows(root, "seg.csv")[0]["image_path"]
    assert Image.open(tmp_path / "bare" / image.removeprefix("../")).size == (32, 24)  # at the path of its image


def test_images_of_any_kind_are_predicted_at_their_original_size(folder: Path, run: Path, tmp_path: Path) -> None:
    pixels = noise(1, 31, 47)
    kinds: dict[str, Callable[[Path], object]] = {
        "gray": lambda path: Image.fromarray(pixels).save(path),
        "deep": lambda path: Image.fromarray(pixels.astype(np.uint16) * 257).save(path),
        "palette": lambda path: Image.fromarray(pixels).convert("P").save(path),
        "colors": lambda path: Image.fromarray(np.repeat(pixels[:, :, None], 3, 2)).save(path),
        "alpha": lambda path: Image.fromarray(pixels).convert("RGBA").save(path),
    }
    root = tmp_path / "data"
    index_rows = []
    for name, save in kinds.items():
        (root / "odd").mkdir(parents=True, exist_ok=True)
        save(root / "odd" / f"{name}.png")
        row = {"image_path": f"../odd/{name}.png", "task_name": "Regression", "task_id": "reg", "num_classes": "2"}
        index_rows += [row, {**row, "task_name": "segmentation", "task_id": "seg"}]
    write_rows(root, "odd.csv", index_rows)
    assert not predicted(run, IndexSelection(root), tmp_path / "out").skipped
    records = json.loads((tmp_path / "out" / JSON[2]).read_text())
    points = [record["predicted_points_pixels"] for record in records]
    assert len(points) == 5
    np.testing.assert_allclose(points, [points[0]] * 5, atol=1e-4)
    x, y = records[0]["predicted_points_normalized"][:2]
    assert records[0]["predicted_points_pixels"][:2] == pytest.approx([x * 47, y * 31], rel=1e-12)
    assert {Image.open(tmp_path / "out" / "odd" / f"{name}.png").size for name in kinds} == {(47, 31)}


def spoilt_data(folder: Path, root: Path) -> Path:
    copied_data(folder, root)
    index_rows = read_rows(root, "reg.csv")
    (root / index_rows[2]["image_path"].removeprefix("../")).unlink()
    (root / index_rows[5]["image_path"].removeprefix("../")).write_bytes(b"\x89PNG\r\n\x1a\n cut")
    change_cell(root, "cls.csv", 4, "task_name", "clasification")
    return root


def test_bad_images_are_named_and_skipped(folder: Path, run: Path, tmp_path: Path) -> None:
    root = spoilt_data(folder, tmp_path / "data")
    summary = predicted(run, IndexSelection(root), tmp_path / "out")
    faults = [str(fault) for fault in summary.skipped]
    assert len(faults) == 3
    assert any(line.startswith("cls.csv, line 4 ") and "clasification" in line for line in faults)
    assert any(line.startswith("reg.csv, line 4 ") and "cannot be found" in line for line in faults)
    assert any(line.startswith("reg.csv, line 7 ") and "cannot be read as an image" in line for line in faults)
    assert len(json.loads((tmp_path / "out" / JSON[2]).read_text())) == 28
    assert len((tmp_path / "out" / "skipped.csv").read_text().splitlines()) == 4
    assert (summary.requested, summary.unreadable) == (119, 2)


def test_bad_images_end_the_command_if_configured_and_finished_predictions_stay(
    folder: Path, run: Path, tmp_path: Path
) -> None:
    root = spoilt_data(folder, tmp_path / "data")
    change_cell(root, "cls.csv", 4, "task_name", "classification")
    with pytest.raises(DataError, match=r"^reg.csv, line 4 .*cannot be found") as error:
        predicted(run, IndexSelection(root), tmp_path / "out", "error")
    assert "\n" not in str(error.value)
    assert len(json.loads((tmp_path / "out" / JSON[1]).read_text())) == 30


def test_models_are_not_mixed_in_one_folder(folder: Path, run: Path, tmp_path: Path) -> None:
    other = train(plan_of(folder, "seeds=[1]", "name=other"))[0].directory
    predicted(run, IndexSelection(folder / "data", ("reg",)), tmp_path / "out")
    predicted(run, IndexSelection(folder / "data", ("det",)), tmp_path / "out")  # more of the same model
    before = contents(tmp_path / "out")
    with pytest.raises(
        ConfigError, match=r"predictions of other models .*unified-s1-k0.* there.*another --out"
    ) as error:
        predicted(other, IndexSelection(folder / "data"), tmp_path / "out")
    assert "\n" not in str(error.value)
    assert contents(tmp_path / "out") == before
    with pytest.raises(ConfigError, match="predictions of the data at"):
        predicted(run, IndexSelection(copied_data(folder, tmp_path / "data")), tmp_path / "out")


def test_a_folder_of_something_else_is_left_alone(folder: Path, run: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"is not empty \(notes.txt\)"):
        predicted(run, IndexSelection(folder / "data"), tmp_path)


def test_two_rows_of_one_image_and_task_are_one_record(folder: Path, run: Path, tmp_path: Path) -> None:
    root = copied_data(folder, tmp_path / "data")
    index_rows = read_rows(root, "det.csv")
    write_rows(root, "det.csv", [*index_rows, index_rows[3]])
    seg = read_rows(root, "seg.csv")
    write_rows(root, "seg.csv", [*seg, seg[0]])
    summary = predicted(run, IndexSelection(root), tmp_path / "out")
    records = json.loads((tmp_path / "out" / JSON[1]).read_text())
    assert len(records) == len({record["image_path"] for record in records}) == 30
    assert summary.requested == 120


def test_two_masks_with_the_same_path_are_refused(folder: Path, run: Path, tmp_path: Path) -> None:
    root = copied_data(folder, tmp_path / "data")
    index_rows = read_rows(root, "seg.csv")
    change_cell(root, "seg.csv", 5, "mask_path", index_rows[0]["mask_path"])
    with pytest.raises(DataError, match=r"^seg.csv, line 2 \(seg\) and seg.csv, line 5 \(seg\): .*seg/masks/0.png"):
        predicted(run, IndexSelection(root), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_tasks_with_the_same_mask_paths_are_refused(folder: Path, tmp_path: Path) -> None:
    root = copied_data(folder, tmp_path / "train")
    second = [{**row, "task_id": "seg2"} for row in read_rows(root, "seg.csv")]
    for i, row in enumerate(second):
        mask = np.zeros((24, 32), np.uint8)
        mask[:12] = 1
        write_image(root / "seg2" / f"{i}.png", mask)
        row["mask_path"] = f"../seg2/{i}.png"
    write_rows(root, "seg2.csv", second)
    plan = plan_of(folder, f"data.root={root}", "name=two", "tasks=[seg,seg2]")
    model = train(plan)[0].directory
    assert predicted(model, IndexSelection(root), tmp_path / "apart").requested == 60
    change_cell(root, "seg2.csv", 2, "mask_path", "../seg/masks/0.png")
    with pytest.raises(DataError, match=r"^seg.csv, line 2 \(seg\) and seg2.csv, line 2 \(seg2\)"):
        predicted(model, IndexSelection(root), tmp_path / "out")


def test_data_of_another_task_of_the_same_name_are_refused(folder: Path, run: Path, tmp_path: Path) -> None:
    root = copied_data(folder, tmp_path / "data")
    change_cell(root, "cls.csv", 3, "num_classes", "4")
    with pytest.raises(DataError, match=r"cls.csv, line 3, num_classes: cls is 4, and its model was trained with 3"):
        predicted(run, IndexSelection(root), tmp_path / "out")


def test_rows_of_tasks_without_a_model_are_counted(folder: Path, tmp_path: Path) -> None:
    det = train(plan_of(folder, "name=alone"), ["det"])[0].directory
    summary = predicted(det, IndexSelection(folder / "data"), tmp_path / "out")
    assert (summary.requested, summary.left_out) == (30, {"seg": 30, "cls": 30, "reg": 30})
    assert not (tmp_path / "out" / JSON[0]).exists()


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (IndexSelection(Path("none")), "--data: .* no folder csv_files/"),
        (IndexSelection(Path("DATA"), ("segm",)), "--tasks: unknown 'segm', did you mean 'seg'"),
        (IndexSelection(Path("DATA"), fold="test"), "--fold needs --split"),
        (IndexSelection(Path("DATA"), split=Path("none.csv")), "none.csv: cannot be read"),
        (IndexSelection(Path("DATA"), split=Path("SPLIT"), fold="tset"), "--fold: unknown 'tset', did you mean 'test'"),
    ],
)
def test_wrong_requests_are_refused(
    folder: Path, run: Path, tmp_path: Path, selection: IndexSelection, message: str
) -> None:
    real = {"DATA": folder / "data", "SPLIT": folder / "outputs" / "demo" / "split.csv"}
    selection = IndexSelection(
        real.get(str(selection.root), selection.root),
        selection.tasks,
        real.get(str(selection.split), selection.split),
        selection.fold,
    )
    with pytest.raises((ConfigError, DataError, RunError), match=message):
        predicted(run, selection, tmp_path / "out")


def test_a_folder_that_another_process_writes_into_is_refused(folder: Path, run: Path, tmp_path: Path) -> None:
    from usaggr.io.locks import hold_lock

    with hold_lock(tmp_path / "out" / ".lock"), pytest.raises(RunError, match="another process"):
        predicted(run, IndexSelection(folder / "data"), tmp_path / "out")


def test_ctrl_c_keeps_finished_predictions(
    folder: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from usaggr.inference.prediction_folder import PredictionFolder
    from usaggr.stopping import RunInterrupted

    add = PredictionFolder.add

    def interrupted(self: PredictionFolder, predictions: Any) -> None:
        add(self, predictions)
        raise KeyboardInterrupt

    monkeypatch.setattr(PredictionFolder, "add", interrupted)
    with pytest.raises(RunInterrupted, match="run the same command to continue"):
        predicted(run, IndexSelection(folder / "data", ("reg",)), tmp_path / "out", batch_size=8)
    assert len(json.loads((tmp_path / "out" / JSON[2]).read_text())) == 8
    monkeypatch.undo()
    assert predicted(run, IndexSelection(folder / "data", ("reg",)), tmp_path / "out").existing == 8


def test_the_exit_status_and_output_of_the_command(folder: Path, run: Path, tmp_path: Path) -> None:
    def usaggr(*words: object) -> Any:
        return CliRunner().invoke(app, ["predict", *map(str, words)])

    valid = usaggr(run, "--data", folder / "data", "--out", tmp_path / "good", "--tasks", "det,reg")
    assert (valid.exit_code, valid.stdout.splitlines()[0]) == (0, "60 predictions")
    again = usaggr(run, "--data", folder / "data", "--out", tmp_path / "good", "--tasks", "det,reg")
    assert again.stdout.splitlines()[0] == "60 predictions, 60 of them already existed"
    root = spoilt_data(folder, tmp_path / "data")
    bad = usaggr(run, "--data", root, "--out", tmp_path / "bad")
    assert bad.exit_code == 1
    assert bad.stdout.splitlines()[0] == "117 predictions"
    assert bad.stderr.splitlines()[0] == "3 rows could not be predicted and were skipped:"
    ended = usaggr(run, "--data", root, "--out", tmp_path / "ended", "--on-bad-image", "error")
    assert isinstance(ended.exception, DataError)  # exit status 2, by main
    wrong = usaggr(run, "--data", root, "--out", tmp_path / "ended", "--on-bad-image", "stop")
    assert "--on-bad-image: unknown 'stop'" in str(wrong.exception)
