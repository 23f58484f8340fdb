"""Commands and Python code of docs/inference.md, run as written there on a small study."""

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.data.factories import tiny_data
from tests.inference.exports import check_export
from usaggr.cli.main import app

TEXT = (Path(__file__).parents[2] / "docs" / "inference.md").read_text()
SMALL = (
    "data.image_size=64",  # at 32, group norm has maps of one pixel, where rounding grows by hundreds
    "scales=[1.0]",
    "seeds=[0]",
    "training.budget=8 examples",
    "training.min_examples=1",
    "training.validations=1",
    "groupings=[task_specific,unified]",
    "data.clinical_groups={seg: a, cls: a, det: a, reg: a}",
    "data.organs={seg: a, cls: a, det: a, reg: a}",
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.slow
def test_the_recipes_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_data(tmp_path / "my_data", n=40)
    run = ""
    for line in [line for block in blocks("sh") for line in block.splitlines()]:
        words = [word.replace("RUN", run) for word in shlex.split(line)[1:]]
        completed = CliRunner().invoke(app, [*words, *SMALL] if words[0] == "sweep" else words)
        assert completed.exit_code == 0, f"{line}\n{completed.output}\n{completed.exception}"
        if words[0] == "sweep":
            (run,) = (path.name for path in Path("outputs/mine/runs").glob("unified-*"))
        if "--recommended" in words:
            assert "reason" in completed.output
    (code,) = blocks("python")
    exec(code.replace("RUN", run), {})
    assert "(24, 32) ('background', 'class_1')" in capsys.readouterr().out
    assert len(json.loads(Path("predictions/detection_predictions.json").read_text())) == 40
    scores = json.loads(Path("predictions_test/evaluation.json").read_text())["tasks"]
    assert set(scores) == {"seg", "cls", "det", "reg"}
    check_export(Path("outputs/mine/runs") / run, Path("model.onnx"), conditioned=False)


def test_the_options_of_the_table_are_those_of_the_command() -> None:
    from typer.main import get_command

    command = get_command(app).commands["predict"]  # type: ignore[attr-defined]
    option_names = {name for option in command.params for name in option.opts if name.startswith("--")}
    table = "\n".join(line for line in TEXT.splitlines() if line.startswith("| `--"))
    named = set(re.findall(r"--[a-z-]+", table))
    assert option_names - {"--out"} == named
