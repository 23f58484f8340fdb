"""The command that `usaggr data index` suggests at its end can be copied into a shell, whatever the names are."""

import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from usaggr.cli.main import app
from usaggr.config.compose import compose_study
from usaggr.data.read.index import read_index
from usaggr.data.read.index_tasks import collect_tasks, parse_declaration


@pytest.mark.parametrize(
    "names", [("benign", "malignant"), ("1", "2"), ("true", "null"), ("it's", 'a "b"'), ("c d", "e,f")]
)
def test_the_index_keeps_the_class_names_of_the_folders(tmp_path: Path, names: tuple[str, str]) -> None:
    root = tmp_path / "my scans"
    for name in names:
        (root / "grades" / name).mkdir(parents=True)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(root / "grades" / name / "a.png")
    words = ["data", "index", "classes", "--images", str(root / "grades"), "--task", "grades", "--out", str(root)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("next: ")]
    command = shlex.split(line.removeprefix("next: "))
    assert command[:3] == ["usaggr", "data", "check"]
    data = compose_study("demo", command[3:]).data
    assert data.root == str(root)
    index_rows, _ = read_index(root)
    declared = [(row, declaration) for row in index_rows if (declaration := parse_declaration(row)[0]) is not None]
    assert collect_tasks(declared, data)[0]["grades"].class_names == tuple(sorted(names))
