"""The commands of the README work as printed there, on small studies; its table of commands is complete."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.factories import tiny_data

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SMALL = (
    "training.budget=8 examples",
    "training.min_examples=1",
    "training.validations=1",
    "data.synthetic.samples_per_task=20",
    "data.synthetic.tasks=[breast_2cls,fetal_head,FUGC,thyroid_nodule_det]",
    "scales=[1.0]",
    "data.image_size=32",
)
"""Overrides added to the commands of the README, so that they take seconds."""
TAKES_OVERRIDES = ("sweep", "plan", "config", "train", "data")


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from usaggr.cli.main import main; main()", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "COLUMNS": "200"},
    )


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = [line.split()[1] for line in commands() if line.startswith("make ")]
    assert targets == ["demo", "test"]
    assert all(re.search(rf"^{target}(?: |:)", makefile, re.MULTILINE) for target in targets)


@pytest.mark.slow
def test_the_commands_of_the_readme_work(tmp_path: Path) -> None:
    tiny_data(tmp_path / "my_data", n=40)
    for line in commands():
        words = shlex.split(line)
        if words[0] != "usaggr":
            continue
        small = list(SMALL) if words[1] in TAKES_OVERRIDES else []
        if "data=fmuia" in words or "own" in words:  # keys of phantoms would have no effect, which is an error
            small = [override for override in small if not override.startswith("data.synthetic.")]
        arguments = [word.replace("nodules", "seg").replace("grades", "cls") for word in words[1:]]
        completed = run([*arguments, *small], tmp_path)
        assert completed.returncode == 0, f"{line}\n{completed.stdout}\n{completed.stderr}"
    assert (tmp_path / "outputs" / "demo" / "report" / "report.md").is_file()
    assert (tmp_path / "samples.png").is_file()
    assert (tmp_path / "outputs" / "rates" / "plan.csv").read_text().count(",slow,") > 0


def test_files_linked_in_the_readme_and_the_docs_exist() -> None:
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\((?!http)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_sections_linked_in_the_readme_and_the_docs_exist() -> None:
    def name_anchor(heading: str) -> str:
        """Return the anchor that GitHub gives to a heading."""
        return re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")

    for document in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for target, anchor in re.findall(r"\]\((?!http)([^)#]*)#([^)]+)\)", document.read_text()):
            page = document.parent / target if target else document
            headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
            assert anchor in [name_anchor(heading) for heading in headings], f"{document.name}: {target}#{anchor}"


def test_the_grouping_in_the_readme_is_valid() -> None:
    import yaml

    from usaggr.sweep.planning.grouping import GroupingConfig

    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert GroupingConfig.model_validate(yaml.safe_load(block)).blocks


def test_every_command_of_the_tool_is_in_the_table_of_the_readme(tmp_path: Path) -> None:
    help_text = run(["--help"], tmp_path).stdout
    listed = set(re.findall(r"^│ (\w+) ", help_text, re.MULTILINE))
    table = set(re.findall(r"^\| `usaggr (\w+)", README, re.MULTILINE))
    assert listed == table
