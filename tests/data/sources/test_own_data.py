"""The commands of docs/data.md lead from folders and COCO files to a plan, exactly as they are written there."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.data.factories import disc, noise, write_image
from usaggr.cli.main import main

DOCS = (Path(__file__).parents[3] / "docs" / "data.md").read_text()
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", DOCS, re.DOTALL) for line in block.splitlines()]
SAMPLES = 24


def usaggr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, line: str) -> str:
    """Run a command, which must end with status 0, and return what it prints."""
    monkeypatch.setattr(sys, "argv", shlex.split(line))
    with pytest.raises(SystemExit) as end:
        main()
    out, err = capsys.readouterr()
    assert not end.value.code, err + out
    return out


def draw_folders() -> None:
    for i in range(SAMPLES):
        name = f"P{i // 2}_{i}"
        write_image(Path("scans/images") / f"{name}.jpg", noise(i))
        write_image(Path("scans/masks") / f"{name}.png", disc(255))
        write_image(Path("scans/grades") / ("malignant" if i % 3 else "benign") / f"{name}.png", noise(i + 500))


def draw_coco() -> None:
    images, boxes, points = [], [], []
    for i in range(SAMPLES):
        write_image(Path("coco/images") / f"{i}.png", noise(i + 900))
        images.append({"id": i, "file_name": f"{i}.png", "width": 32, "height": 24})
        boxes += [{"image_id": i, "category_id": 1, "bbox": [2 + i % 12, 3 + i % 10, 10 + i % 9, 8]}] * (
            2 if i == 5 else 1
        )
        points.append({"image_id": i, "category_id": 1, "keypoints": [4, 5 + i % 9, 2, 20, 6, 2], "num_keypoints": 2})
    for name, annotations, category in (
        ("boxes", boxes, {"id": 1, "name": "fibroid"}),
        ("femur", points, {"id": 1, "name": "femur", "keypoints": ["near end", "far end"]}),
    ):
        content = {"images": images, "annotations": annotations, "categories": [category]}
        (Path("coco") / f"{name}.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("example", "tasks"), [("own_folders", ["grades", "nodules"]), ("own_coco", ["femur", "fibroids"])]
)
def test_the_commands_of_the_docs_lead_to_a_plan(
    example: str, tasks: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (draw_folders if example == "own_folders" else draw_coco)()
    root = {"own_folders": "scans", "own_coco": "coco"}[example]
    lines = [line for line in COMMANDS if f"--out {root}" in line or f"data={example}" in line]
    assert len(lines) == 4
    for line in lines[:2]:
        out = usaggr(capsys, monkeypatch, line)
        assert f": {SAMPLES} samples of {SAMPLES // 2 if root == 'scans' else SAMPLES} subjects" in out
    out = usaggr(capsys, monkeypatch, lines[2])
    assert out.splitlines()[-1] == f"{2 * SAMPLES} valid samples of 2 tasks, 0 errors"
    assert "note: " not in out, "the example configures everything that an index does not contain"
    plan = usaggr(capsys, monkeypatch, lines[3])
    assert all(task in plan for task in tasks)


def test_the_command_of_the_docs_that_fixes_an_index_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    draw_folders()
    Path("scans").rename("my_data")
    usaggr(capsys, monkeypatch, "usaggr data index folder --images my_data/images --masks my_data/masks "
           "--task nodules --out my_data")  # fmt: skip
    line = next(line for line in COMMANDS if "--fix" in line)
    monkeypatch.setattr(sys, "argv", shlex.split(line))
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0, "all errors of the original are repaired"
    out = capsys.readouterr().out
    assert f"my_data_fixed: {SAMPLES} rows, {SAMPLES} fixed, 0 left out" in out
    assert out.splitlines()[-1] == "next: usaggr data check data=fmuia data.root=my_data_fixed"
    out = usaggr(capsys, monkeypatch, out.splitlines()[-1].removeprefix("next: "))
    assert out.splitlines()[-1] == f"{SAMPLES} valid samples of 1 task, 0 errors"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "coco --annotations a.json --images . --task t --out . --kind box",
            "--kind: unknown 'box', did you mean 'boxes'",
        ),
        ("coco --annotations a.json --images . --task t --out . --several all", "--several: unknown 'all'"),
        ("folder --images nowhere --masks . --task t --out .", "nowhere: this folder does not exist"),
    ],
)
def test_wrong_requests_end_with_one_line(
    words: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.json").write_text("{}")
    monkeypatch.setattr(sys, "argv", ["usaggr", "data", "index", *words.split()])
    with pytest.raises(SystemExit) as end:
        main()
    err = capsys.readouterr().err
    assert end.value.code == 2
    assert message in err
    assert err.count("\n") == 1
