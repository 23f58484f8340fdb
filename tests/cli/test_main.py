"""Tests of the command line: arguments, messages, exit statuses and the output of each command."""

import csv
import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.data.factories import tiny_data
from usaggr import __version__
from usaggr.cli.arguments import split_words
from usaggr.cli.main import main
from usaggr.config.compose import compose_study, describe_study
from usaggr.config.study import StudyConfig
from usaggr.errors import ConfigError
from usaggr.results.plan import PlanRow, write_plan_rows


class Shell:
    """Command line that runs in this process, in a temporary folder."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        self.out = ""
        self.err = ""

    def __call__(self, *arguments: str) -> int:
        """Run a command and return its exit status."""
        self._monkeypatch.setattr(sys, "argv", ["usaggr", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        self.out, self.err = self._capsys.readouterr()
        return int(end.value.code or 0)


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")
    return Shell(capsys, monkeypatch)


def write_data(root: Path, samples: int = 40, labels: int = 2) -> Path:
    """Write a classification task with two classes and one subject per sample."""
    (root / "csv_files").mkdir(parents=True)
    (root / "images").mkdir()
    rng = np.random.default_rng(0)
    with (root / "csv_files" / "toy.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_path", "mask_path", "task_name", "task_id", "num_classes", "mask", "subject_id"])
        for i in range(samples):
            cv2.imwrite(str(root / "images" / f"{i}.png"), rng.integers(0, 255, (40, 48), np.uint8))
            row = [f"../images/{i}.png", "", "classification", "toy", 2, i % labels, f"patient{i}"]
            writer.writerow(row)
    return root


# Arguments


def test_overrides_and_the_study_may_come_in_any_order() -> None:
    assert split_words(["seeds=[0]", "demo", "+a=1", "~b", "model=tiny"]) == (
        "demo",
        ["seeds=[0]", "+a=1", "~b", "model=tiny"],
    )
    assert split_words([]) == (None, [])


def test_a_second_study_is_refused() -> None:
    with pytest.raises(ConfigError) as error:
        split_words(["demo", "a=1", "seeds"])
    assert str(error.value) == "'seeds' is not an override (key=value), and 'demo' is already the study"


@given(st.lists(st.from_regex(r"[~+]?[a-z][a-z.]*=[a-z0-9\[\],]*|~[a-z.]+", fullmatch=True)), st.booleans())
def test_no_override_is_mistaken_for_a_study(overrides: list[str], named: bool) -> None:
    words = [*overrides, "demo"] if named else overrides
    assert split_words(words) == ("demo" if named else None, overrides)


def test_words_with_plus_and_tilde_are_overrides_and_no_options(shell: Shell) -> None:
    arguments = ["+training.task_weights.lung=2", "++seeds=[3]", "variants.b=['model.dropout=0.1']", "~variants.base"]
    assert shell("config", *arguments) == 0
    study = StudyConfig.model_validate(yaml.safe_load(shell.out))
    assert study.training.task_weights == {"lung": 2.0}
    assert study.seeds == [3]
    assert study.variants == {"b": ["model.dropout=0.1"]}


# Help, version, mistakes


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_the_commands(shell: Shell, flag: str) -> None:
    assert shell(flag) == 0
    for command in ("sweep", "plan", "status", "clean", "report", "train", "config", "data"):
        assert re.search(rf"\b{command}\b", shell.out)
    assert shell("data", flag) == 0
    for command in ("check", "show", "make"):
        assert re.search(rf"\b{command}\b", shell.out)
    assert shell("sweep", flag) == 0
    for option in ("--retry-failed", "--fail-fast", "--limit", "--dry-run", "--config-dir"):
        assert option in shell.out


@pytest.mark.parametrize("command", [[], ["sweep"], ["predict"], ["data"], ["data", "check"], ["data", "index"]])
def test_help_shows_flags_without_a_type(shell: Shell, command: list[str]) -> None:
    assert shell(*command, "--help") == 0
    assert "--help" in shell.out
    assert "bool" not in shell.out


def test_the_version_is_printed(shell: Shell) -> None:
    assert shell("--version") == 0
    assert shell.out == f"{__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["config", "sede=[1]"], "sede: unknown key, did you mean 'seeds'? Allowed at the top: "),
        (["plan", "data=fmuia"], "data.root must be the folder that holds csv_files/, as in data.root=DIR"),
        (["sweep", "demmo"], "study: unknown 'demmo', did you mean 'demo'? Allowed: "),
        (["data", "check", "data=fmuia", "data.root=nowhere"], "data.root=nowhere: this folder does not exist"),
        (["status", "outputs/nix"], "DIR: unknown 'outputs/nix'. Allowed: none"),
        (["report", "outputs/nix"], "DIR: unknown 'outputs/nix'. Allowed: none"),
        (["clean", "outputs/nix"], "DIR: unknown 'outputs/nix'. Allowed: none"),
        (["config", "--config-dir", "nix"], "--config-dir: folder nix does not exist"),
        (["data", "check", "data.root=nowhere"], "data.root has no effect with data=synthetic, which draws phantoms"),
        (["plan", "data.root=nowhere"], "data.root has no effect with data=synthetic, which draws phantoms"),
        (["plan", "name=2024_11_29"], "name must be a name of letters, digits, '.', '_' and '-' that begins with a "),
    ],
)
def test_an_invalid_request_gives_one_line_on_standard_error_and_status_2(
    shell: Shell, arguments: list[str], message: str
) -> None:
    assert shell(*arguments) == 2
    assert shell.out == ""
    assert shell.err.startswith(message)
    assert shell.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["swep"], ["sweep", "--limt", "3"], ["sweep", "--limit", "0"], ["status"]])
def test_an_unknown_command_or_invalid_option_gives_status_2(shell: Shell, arguments: list[str]) -> None:
    assert shell(*arguments) == 2
    assert "Traceback" not in shell.err


def test_a_folder_without_results_suggests_existing_results(shell: Shell) -> None:
    Path("outputs/demo").mkdir(parents=True)
    Path("outputs/demo/study.yaml").write_text("name: demo\n")
    assert shell("status", "outputs/dem") == 2
    assert shell.err == "DIR: unknown 'outputs/dem', did you mean 'outputs/demo'? Allowed: outputs/demo\n"


def test_a_name_is_found_in_outputs(shell: Shell, results: Path) -> None:
    assert shell("status", "toy") == 0
    assert shell.out.startswith(f"{results}: 1 run: 1 pending, 1 unplanned")
    assert shell("status", "tay") == 2
    assert shell.err == "DIR: unknown 'tay', did you mean 'toy'? Allowed: toy\n"
    assert shell("status", str(results / "runs")) == 2
    assert shell.err == "outputs/toy/runs is inside the results outputs/toy; give that folder\n"


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("outputs/toy", "outputs/toy is a folder of results, not a study; `usaggr status outputs/toy` shows its runs"),
        ("data", "data is a folder of data, not a study; give both, as in: demo data=fmuia data.root=data\n"),
        ("data/csv_files", "data is a folder of data, not a study; give both, as in: demo data=fmuia data.root=data\n"),
        ("data/images", "data/images is a folder, not a study, and has no csv_files/; `usaggr data index` writes"),
    ],
)
@pytest.mark.usefixtures("results")
def test_a_folder_in_the_place_of_a_study_gets_a_hint(shell: Shell, folder: str, message: str) -> None:
    write_data(Path("data"), samples=1)
    assert shell("plan", folder) == 2
    assert shell.err.startswith(message)
    assert shell("plan", "demo", folder) == 2
    assert shell.err.endswith(f"is already the study; give a folder of data as data.root={folder}\n")


def test_quotes_in_a_hint_hold_what_was_typed(shell: Shell) -> None:
    assert shell("plan", "name=2024_11_29") == 2
    assert shell.err.endswith("""got 20241129, which needs quotes: "name='2024_11_29'"\n""")
    assert shell("plan", "tasks=[1, 2_0]") == 2
    assert shell.err.splitlines()[1] == """tasks[1] must be text; got 20, which needs quotes: "tasks=['1','2_0']\""""
    assert shell("plan", "data.root=my data (new)") == 2
    assert """put the value in quotes: "data.root='my data (new)'\"""" in shell.err
    assert shell("plan", "data.root=a,b") == 2
    assert shell.err == """data.root takes one text; put it in quotes: "data.root='a,b'"\n"""


def test_a_merged_mapping_gives_a_note(shell: Shell) -> None:
    assert shell("config", "variants={slow: []}") == 0
    assert shell.err.startswith("note: variants={...}: Hydra merges mappings, so base from the study's files stays too")


# config


def test_config_prints_what_the_same_overrides_compose(shell: Shell) -> None:
    assert shell("config", "demo", "seeds=[0,1]", "training.learning_rate=1e-5") == 0
    printed = StudyConfig.model_validate(yaml.safe_load(shell.out))
    assert printed == compose_study("demo", ["seeds=[0,1]", "training.learning_rate=1e-5"])


def test_config_sources_shows_the_source_of_each_value(shell: Shell) -> None:
    assert shell("config", "seeds=[0,1]", "--sources") == 0
    lines = {line.partition(":")[0]: line for line in shell.out.splitlines()}
    assert re.fullmatch(r"seeds: \[0, 1\] +# command line", lines["seeds"])
    assert lines["training.budget"].endswith("training/quick.yaml")


# data


def test_data_check_counts_valid_data(shell: Shell) -> None:
    root = write_data(Path("data"))
    assert shell("data", "check", "data=fmuia", f"data.root={root}") == 0
    assert shell.out.splitlines()[-1] == "40 valid samples of 1 task, 0 errors"


def test_data_check_takes_the_folder_itself(shell: Shell) -> None:
    root = write_data(Path("data"))
    assert shell("data", "check", str(root)) == 0
    assert shell.out.splitlines()[-1] == "40 valid samples of 1 task, 0 errors"


def test_data_check_lists_every_error_and_writes_them_as_csv(shell: Shell) -> None:
    root = write_data(Path("data"), labels=4)
    (root / "images" / "0.png").unlink()
    check = ("data", "check", "data=fmuia", f"data.root={root}", "--out", "faults.csv")
    assert shell(*check) == 2
    lines = shell.out.splitlines()
    assert lines[-1].startswith("19 valid samples of 1 task, 21 errors (")
    assert any(line.startswith("toy.csv, line 2 (row 1), image_path: ../images/0.png") for line in lines)
    with Path("faults.csv").open(newline="") as file:
        faults = list(csv.DictReader(file))
    assert len(faults) == 21
    assert {(fault["csv_file"], fault["row"], fault["column"]) for fault in faults} >= {("toy.csv", "2", "image_path")}
    assert shell(*check, "data.on_bad_sample=skip") == 0


def test_phantoms_are_written_shown_and_read_like_any_data(shell: Shell) -> None:
    few = ("data.synthetic.samples_per_task=20", "data.synthetic.tasks=[breast_lesion,breast_2cls]", "data.workers=1")
    assert shell("data", "make", *few, "--out", "phantoms") == 0
    assert shell.out == "synthetic data: phantoms\n"
    assert shell("data", "make", *few, "--out", "phantoms") == 2
    assert shell.err == "--out: phantoms is not empty; the data need a folder of their own\n"
    made = ("data=fmuia", "data.root=phantoms", "data.workers=1")
    assert shell("data", "check", *made) == 0
    assert shell.out.splitlines()[-1] == "40 valid samples of 2 tasks, 0 errors"
    assert shell("data", "show", *made, "--out", "sheets/few.png", "--per-task", "1") == 0
    assert re.search(r"breast_2cls +│ breast_lesion", shell.out), "the two tasks share images"
    assert cv2.imread("sheets/few.png") is not None


# Folders of results


TOY_DATA = {
    "schema_version": 1, "root": "toy", "content_hash": "0", "split_hash": "0", "tasks": [], "skipped": [],
    "warnings": [], "disjoint": {},
}  # fmt: skip
TOY_STUDY = ("tasks=[lung_2cls]", "groupings=[unified]", "reference=unified", "scales=[1.0]", "seeds=[0]")


@pytest.fixture
def results(shell: Shell) -> Path:
    """Results of a study with one missing run and one run that is no longer in the study."""
    directory = Path("outputs/toy")
    old = directory / "runs" / "toy-s1-k9-00000000"
    old.mkdir(parents=True)
    (directory / "study.yaml").write_text(describe_study(compose_study("demo", ["name=toy", *TOY_STUDY])))
    row = PlanRow(f"toy-s1-k0-{'1' * 8}", "toy", ("unified",), ("lung_2cls",), 1.0, 0, "base", "1" * 64)
    write_plan_rows(directory, [(row, "pending")])
    (directory / "data.json").write_text(json.dumps(TOY_DATA))
    (old / "run.yaml").write_text(f"schema_version: 1\nrun_id: {old.name}\nfingerprint: '{'0' * 64}'\n")
    (old / "result.json").write_text("{}")
    return directory


def test_status_counts_runs(shell: Shell, results: Path) -> None:
    assert shell("status", str(results)) == 0
    assert shell.out.splitlines()[0] == "outputs/toy: 1 run: 1 pending, 1 unplanned"


def test_clean_removes_only_with_yes(shell: Shell, results: Path) -> None:
    assert shell("clean", str(results)) == 0
    assert "unplanned run: outputs/toy/runs/toy-s1-k9-00000000" in shell.out
    assert shell.out.endswith("nothing was removed; use --yes to remove without a question\n")
    assert (results / "runs" / "toy-s1-k9-00000000").is_dir()
    assert shell("clean", str(results), "--yes") == 0
    assert shell.out.endswith("freed\n")
    assert not (results / "runs" / "toy-s1-k9-00000000").exists()
    assert shell("clean", str(results)) == 0
    assert shell.out == "nothing to remove\n"


# From data to a report


@pytest.mark.slow
def test_commands_lead_from_data_to_a_report(tmp_path: Path) -> None:
    """Run each command as a user does; a second sweep trains nothing, and one more seed trains only its own runs."""
    tiny_data(tmp_path / "data", n=24)
    words = [
        "data=fmuia", "data.root=data", "data.image_size=32", "scale=two", "training.budget=16 examples",
        "training.min_examples=16", "groupings=[task_specific,unified]", "name=tiny", "executor.workers=1",
    ]  # fmt: skip
    assert "10 runs: 10 pending" in usaggr(tmp_path, "plan", *words, "seeds=[0]")
    usaggr(tmp_path, "sweep", *words, "seeds=[0]")
    results = {path: path.stat().st_mtime_ns for path in tmp_path.glob("outputs/tiny/runs/*/result.json")}
    assert len(results) == 10
    with (tmp_path / "outputs/tiny/report/tables/scores.csv").open(newline="") as file:
        assert {row["grouping"] for row in csv.DictReader(file)} == {"task_specific", "unified"}
    assert "10 done" in usaggr(tmp_path, "plan", *words, "seeds=[0]")
    usaggr(tmp_path, "sweep", *words, "seeds=[0,1]")
    assert len(list(tmp_path.glob("outputs/tiny/runs/*/result.json"))) == 20
    assert {path: path.stat().st_mtime_ns for path in results} == results
    assert usaggr(tmp_path, "status", "outputs/tiny").startswith("outputs/tiny: 20 runs: 20 done")
    assert usaggr(tmp_path, "report", "outputs/tiny") == "outputs/tiny/report\n"
    stay, nothing = usaggr(tmp_path, "clean", "outputs/tiny").splitlines()
    assert stay.startswith("weights of 20 runs stay (")
    assert nothing == "nothing to remove"
    assert usaggr(tmp_path, "sweep", *words, "seeds=[0]", "data.split.seed=1", status=2).count("\n") == 1, (
        "another split in the same folder is refused in one line"
    )


def usaggr(folder: Path, *arguments: str, status: int = 0) -> str:
    """Run a command that must end with a status, and return its standard output, or standard error if it fails."""
    script = Path(sysconfig.get_path("scripts")) / "usaggr"
    process = subprocess.run([script, *arguments], cwd=folder, capture_output=True, text=True)
    assert process.returncode == status, process.stdout + process.stderr
    return process.stderr if status else process.stdout
