"""The commands and the Python of docs/inference.md are run as they stand there, on a small study."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.factories import tiny_data

TEXT = (Path(__file__).parents[2] / "docs" / "inference.md").read_text()
SMALL = (
    "data.image_size=32",
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


def run(code: str, words: list[str], folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=folder, capture_output=True, text=True, timeout=600,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_the_recipes_do_what_they_say(tmp_path: Path) -> None:
    tiny_data(tmp_path / "my_data", n=40)
    runs: list[str] = []
    for line in [line for block in blocks("sh") for line in block.splitlines()]:
        words = shlex.split(line)[1:]
        if words[0] == "sweep":
            run("from usaggr.cli import main; main()", [*words, *SMALL], tmp_path)
            runs = [path.name for path in (tmp_path / "outputs" / "mine" / "runs").glob("unified-*")]
            continue
        if words[0] == "export":
            runs = [path.name for path in (tmp_path / "outputs" / "mine" / "runs").glob("det-*")]
        said = run("from usaggr.cli import main; main()", [word.replace("RUN", runs[0]) for word in words], tmp_path)
        if "--recommended" in words:
            assert "because" in said
    (code,) = blocks("python")
    unified = next((tmp_path / "outputs" / "mine" / "runs").glob("unified-*")).name
    assert "(24, 32)" in run(code.replace("RUN", unified), [], tmp_path)
    assert len(json.loads((tmp_path / "predictions" / "detection_predictions.json").read_text())) == 40
    assert (tmp_path / "predictions_test" / "evaluation.json").is_file()
    assert json.loads((tmp_path / "model.json").read_text())["tasks"][0]["id"] == "det"


def test_the_options_of_the_table_are_those_of_the_command() -> None:
    from typer.main import get_command

    from usaggr.cli import app

    command = get_command(app).commands["predict"]  # type: ignore[attr-defined]
    known = {name for option in command.params for name in option.opts if name.startswith("--")}
    table = "\n".join(line for line in TEXT.splitlines() if line.startswith("| `--"))
    named = set(re.findall(r"--[a-z-]+", table))
    assert known - {"--data", "--out"} == named
