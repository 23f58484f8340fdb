"""Each option of each command gets a wrong value: exit status 2, one line on standard error, no traceback."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.cli.test_main import write_data
from usaggr.cli.main import app, main
from usaggr.config.compose import compose_study, describe_study
from usaggr.results.plan import PlanRow, write_plan_rows

STUDY = "data=fmuia data.root=data groupings=[task_specific] scale=full seeds=[0,1]"
INDEX = "--images im --task t --out ."
FOLDER = f"data index folder --masks im --mask-name {{name}}_m {INDEX}"
CLASSES = "data index classes --images classes --task t --out ."
COCO = f"data index coco --annotations coco.json {INDEX}"
TABLE = f"data index table --table table.csv --image name {INDEX}"
PREDICT = "predict outputs/toy --data data --out predictions"
EVALUATE = "evaluate im --data data"

CASES = f"""
sweep nix ~ study: unknown 'nix'. Allowed: balancing, controls, demo,
sweep --config-dir nix ~ --config-dir: folder nix does not exist
sweep --limit 0 ~ --limit: must be at least 1
sweep --limit 1 --weights ~ --weights trains every finished run without weights; leave --limit out
sweep {STUDY} --weights training.keep_weights=none ~ --weights: this study keeps none; add training.keep_weights=scored
sweep --limit x ~ --limit: must be a whole number (`usaggr sweep --help` explains the command)
plan --config-dir file ~ --config-dir: folder file does not exist
plan demo other ~ 'other' is not an override (key=value), and 'demo' is already the study
status nix ~ DIR: unknown 'nix'. Allowed: toy
clean nix ~ DIR: unknown 'nix'. Allowed: toy
report nix ~ DIR: unknown 'nix'. Allowed: toy
report toy seeds=[0] ~ seeds: a report takes only keys of report, such as report.margin=0.05
report toy report.margin=5 ~ report.margin must be a number above 0 and below 1; got 5
report toy report.family=tasks ~ report.family: unknown 'tasks'. Allowed: grouping, study
report toy report.family=null ~ report.family must be
report toy report.aggregate=patient ~ report.aggregate: unknown 'patient'. Allowed: sample, subject
report report.margin=0.1 ~ DIR: give a folder of results, such as outputs/demo
train {STUDY} --block nix ~ --block: unknown 'nix'. Allowed: toy
train {STUDY} --scale x ~ --scale: must be a number
train {STUDY} --scale 0.3 ~ --scale: unknown '0.3'
train {STUDY} --seed x ~ --seed: must be a whole number
train {STUDY} --seed 7 ~ --seed: unknown '7'. Allowed: 0, 1
train {STUDY} --variant nix ~ --variant: unknown 'nix'. Allowed: base
train --config-dir nix ~ --config-dir: folder nix does not exist
advise data ~ Missing option '--from'
advise --from nix data ~ nix: no study.yaml in it
advise --from toy data nix ~ 'nix' is not an override (key=value), and 'data' is already the data set
advise --from toy data --out file ~ --out: file: this is a file; give a folder
advise --from toy data --config-dir nix ~ --config-dir: folder nix does not exist
affinity --config-dir nix ~ --config-dir: folder nix does not exist
affinity {STUDY} --measure nix ~ --measure: unknown 'nix'. Allowed: features, gradient, lookahead, routing
affinity {STUDY} --blocks x ~ --blocks: must be a whole number
affinity {STUDY} --blocks 0 ~ --blocks: must be a whole number from 1; got 0
affinity {STUDY} --max-cost x ~ --max-cost: must be a number
affinity {STUDY} --max-cost -1 ~ --max-cost: must be a number of million parameters above 0; got -1
affinity {STUDY} --overhead x ~ --overhead: must be a number
affinity {STUDY} --overhead -1 ~ --overhead: must be a number above 0 and up to 100; got -1
affinity {STUDY} --scale x ~ --scale: must be a number
affinity {STUDY} --out im ~ --out: im: this is a folder; give a file
affinity {STUDY} --out x.txt ~ --out: must end in .yaml; got x.txt
predict nix --data data --out predictions ~ nix: neither a run (run.yaml) nor a study's results (plan.csv)
{PREDICT} ~ outputs/toy is a whole study: select its models by --grouping NAME or --recommended
{PREDICT} --recommended --grouping unified ~ outputs/toy is a whole study: select its models by
{PREDICT} --grouping unified --scale x ~ --scale: must be a number
{PREDICT} --grouping unified --seed x ~ --seed: must be a whole number
{PREDICT} --grouping unified --split nix ~ --split: nix: this file does not exist
{PREDICT} --grouping unified --batch-size x ~ --batch-size: must be a whole number
{PREDICT} --grouping nix --batch-size 0 ~ --batch-size: must be at least 1; got 0
{PREDICT} --grouping nix --device tpu ~ --device: unknown 'tpu', did you mean 'cpu'? Allowed: auto, cpu, cuda
{PREDICT} --grouping unified --on-bad-image nix ~ --on-bad-image: unknown 'nix'. Allowed: error, skip
export nix ~ nix: no run.yaml in it; give the folder of a run
export nix --out x.txt ~ --out: must end in .onnx; got x.txt
evaluate nix --data data ~ PRED_DIR: nix: no such folder
{EVALUATE} --data nix ~ data.root=nix: this folder does not exist
{EVALUATE} nix ~ 'nix' is not an override (key=value)
{EVALUATE} --split im ~ --split: im: this is a folder; give a file
{EVALUATE} --fold test ~ --fold needs --split FILE
{EVALUATE} --tasks nix ~ --tasks: unknown 'nix'. Allowed: toy
{EVALUATE} --mode nix ~ --mode: unknown 'nix'. Allowed: challenge, strict
{EVALUATE} --config-dir nix ~ --config-dir: folder nix does not exist
config --config-dir nix ~ --config-dir: folder nix does not exist
data check --config-dir nix ~ --config-dir: folder nix does not exist
data check data --out im ~ --out: im: this is a folder; give a file
data check data --out file/x.csv ~ --out: file/x.csv: file is a file and no folder
data check data --pairs im ~ --pairs: im: this is a folder; give a file
data check data --html im ~ --html: im: this is a folder; give a file
data check data --fix file ~ --fix: file: this is a file; give a folder
data check data --fix im ~ --fix im: exists and is not empty; give a new folder
data check data --copy ~ --copy selects copies instead of links for --fix DIR, which is missing; add --fix DIR
data show data --out x.txt ~ --out: x.txt: must end in .png
data show data --out im ~ --out: im: this is a folder; give a file
data show data --per-task 0 ~ --per-task: must be at least 1
data show --config-dir nix ~ --config-dir: folder nix does not exist
data make --out im ~ --out: im is not empty; the data need a folder of their own
data make --out file ~ --out: file: this is a file; give a folder
data make --config-dir nix ~ --config-dir: folder nix does not exist
{FOLDER} --images nix ~ --images: nix: this folder does not exist
{FOLDER} --masks nix ~ --masks: nix: this folder does not exist
{FOLDER} --masks file ~ --masks: file: this is a file; give a folder
{FOLDER} --task a/b ~ --task: 'a/b' is not a valid name
{FOLDER} --out file ~ --out: file: this is a file; give a folder
{FOLDER} --classes 1 ~ --classes: 1 is too few; give at least 2, including the background
{FOLDER} --names a ~ --classes: 1 is too few
{FOLDER} --mask-name nix ~ --mask-name: 'nix' must contain {{name}} once
{FOLDER} --image-name nix ~ --image-name: 'nix' must contain {{name}} once
{FOLDER} --several nix ~ --several: unknown 'nix', did you mean 'union'? Allowed: largest, refuse, union
{FOLDER} --threshold x ~ --threshold: must be a whole number
{FOLDER} --subject ( ~ --subject: '(' is not a regular expression
{FOLDER} --convert im ~ --convert: im/im is inside im; choose a folder beside it
{FOLDER} --frames nix ~ --frames: chooses frames of converted files; add --convert DIR
{CLASSES} --images file ~ --images: file: this is a file; give a folder
{CLASSES} --task a/b ~ --task: 'a/b' is not a valid name
{CLASSES} --out file ~ --out: file: this is a file; give a folder
{CLASSES} --names b ~ --names: b must be the folders of classes, each once: a
{CLASSES} --frames nix ~ --frames: chooses frames of converted files; add --convert DIR
{CLASSES} --convert x ~ classes: no DICOM, NIfTI or MetaImage file can be converted
{COCO} --annotations nix ~ --annotations: nix: this file does not exist
{COCO} --annotations im ~ --annotations: im has no .json file; give COCO's JSON file, or their folder
{COCO} --images nix ~ --images: nix: this folder does not exist
{COCO} --task a/b ~ --task: 'a/b' is not a valid name
{COCO} --out file ~ --out: file: this is a file; give a folder
{COCO} --kind nix ~ --kind: unknown 'nix'. Allowed: boxes, keypoints, masks
{COCO} --category nix ~ --category: coco.json has no object of any category
{COCO} --several nix ~ --several: unknown 'nix', did you mean 'union'?
{COCO} --crowd nix ~ --crowd: unknown 'nix'. Allowed: ignore, leave_out, object
{COCO} --sizes nix ~ --sizes: unknown 'nix'. Allowed: refuse, scale
{COCO} --box-format nix ~ --box-format: unknown 'nix'. Allowed: xywh, xyxy
{COCO} --frames nix ~ --frames: chooses frames of converted files; add --convert DIR
{COCO} --convert im ~ --convert: im/im is inside im; choose a folder beside it
{TABLE} ~ --points, --box, --label: give one of them
{TABLE} --label l --table nix ~ --table: nix: this file does not exist
{TABLE} --label l --images nix ~ --images: nix: this folder does not exist
{TABLE} --label l --task a/b ~ --task: 'a/b' is not a valid name
{TABLE} --label l --out file ~ --out: file: this is a file; give a folder
{TABLE} --label l --image nix ~ table.csv: --image: unknown 'nix', did you mean 'x'?
{TABLE} --points nix ~ --points: unknown 'nix', did you mean 'x'?
{TABLE} --landmark nix ~ --points, --box, --label: give one of them
{TABLE} --box x ~ --box: 'x' must be four columns separated by commas
{TABLE} --box x1,y1,x2,y2 --box-format nix ~ --box-format: unknown 'nix'. Allowed: center, xywh, xyxy
{TABLE} --label nix ~ --label: unknown 'nix', did you mean 'x'?
{TABLE} --label l --names b ~ --names: b must contain all labels in l, each once: a
{TABLE} --label l --several nix ~ --several: unknown 'nix', did you mean 'union'?
{TABLE} --label l --sep ab ~ --sep: 'ab' must be one character, or tab
{TABLE} --label l --decimal x ~ --decimal: unknown 'x'
{TABLE} --label l --subject-column nix ~ --subject-column: unknown 'nix'
{TABLE} --label l --split-column nix ~ --split-column: unknown 'nix'
{TABLE} --label l --frames nix ~ --frames: chooses frames of converted files; add --convert DIR
{TABLE} --label l --convert im ~ --convert: im/im is inside im; choose a folder beside it
data index busi --images nix ~ --images: nix: this folder does not exist
data index busi --images im ~ --images: im has no folder benign; give the folder of the data set as it was unpacked
data index camus --images nix ~ --images: nix: this folder does not exist
data index hc18 --images nix ~ --images: nix: this folder does not exist
data index tn3k --images nix ~ --images: nix: this folder does not exist
data index tn3k --images im --fold x ~ --fold: must be a whole number
nix ~ No such command 'nix' (`usaggr --help` explains the command)
data nix ~ No such command 'nix' (`usaggr data --help` explains the command)
--nix ~ No such option: --nix
"""
LINES = [line.split(" ~ ") for line in CASES.strip().splitlines()]

NOT_TRIED = {
    ("data index classes", "--subject"), ("data index coco", "--subject"), ("data index table", "--subject"),
    ("data index busi", "--out"), ("data index busi", "--task"), ("data index camus", "--out"),
    ("data index camus", "--task"), ("data index camus", "--convert"), ("data index hc18", "--out"),
    ("doctor", "--config-dir"),
    ("data index hc18", "--task"), ("data index tn3k", "--out"), ("data index tn3k", "--task"),
}  # fmt: skip
"""Options whose values are checked only after valid data or models; tests beside these commands try them."""


def list_commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the words and the object of each command."""
    if not hasattr(command, "commands"):
        yield " ".join(words), command
        return
    for name, inner in command.commands.items():
        yield from list_commands(inner, (*words, name))


COMMANDS = dict(list_commands(typer.main.get_command(app)))
FLAGS = [(name, p.opts[0]) for name, command in COMMANDS.items() for p in command.params if getattr(p, "is_flag", 0)]
OPTIONS = [
    (name, parameter.opts[0])
    for name, command in COMMANDS.items()
    for parameter in command.params
    if parameter.opts[0].startswith("-") and not parameter.is_flag
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with data, images, tables and results of a study without finished runs."""
    root = tmp_path_factory.mktemp("values")
    images = write_data(root / "data", samples=40) / "images"
    (root / "im").mkdir()
    (root / "classes" / "a").mkdir(parents=True)
    for path in images.iterdir():
        (root / "im" / path.name).write_bytes(path.read_bytes())
        (root / "classes" / "a" / path.name).write_bytes(path.read_bytes())
    (root / "file").write_text("")
    (root / "table.csv").write_text("name,x,y,x1,y1,x2,y2,l\n0.png,1,2,1,2,3,4,a\n")
    content = {"images": [{"id": 1, "file_name": "0.png", "width": 48, "height": 40}], "annotations": []}
    (root / "coco.json").write_text(json.dumps({**content, "categories": []}))
    results = root / "outputs" / "toy"
    results.mkdir(parents=True)
    (results / "study.yaml").write_text(describe_study(compose_study("demo", ["name=toy"])))
    row = PlanRow(f"toy-s1-k0-{'1' * 8}", "toy", ("unified",), ("toy",), 1.0, 0, "base", "1" * 64)
    write_plan_rows(results, [(row, "pending")])
    return root


def run(words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Return the exit status of a command, and what it prints to standard error."""
    monkeypatch.setattr(sys, "argv", ["usaggr", *words.split()])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0), capsys.readouterr().err


@pytest.mark.parametrize(("words", "message"), LINES, ids=[words.replace(" ", "_") for words, _ in LINES])
def test_a_wrong_value_gives_one_line_that_names_it(
    words: str, message: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    status, err = run(words, monkeypatch, capsys)
    assert err.startswith(message)
    assert (status, err.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    "words",
    [
        "status LONG",
        "clean LONG",
        "report LONG",
        "advise --from LONG data",
        "data check LONG",
        "data check data=fmuia data.root=LONG",
        "data index classes --images LONG --task t --out .",
        f"{TABLE} --table LONG",
        f"{COCO} --annotations LONG",
        "predict LONG --data data --out predictions",
        f"{PREDICT} --grouping unified --images LONG",
        "predict outputs/toy --grouping unified --data data --out LONG",
        "evaluate LONG --data data",
        "export LONG",
        "sweep --config-dir LONG",
    ],
)
def test_a_path_that_is_too_long_gives_one_line(
    words: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    status, err = run(words.replace("LONG", "a" * 300), monkeypatch, capsys)
    assert (status, err.count("\n")) == (2, 1), err


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_an_option_without_its_value_gives_one_line(
    command: str, option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, err = run(f"{command} {option}", monkeypatch, capsys)
    assert err.startswith(f"Option '{option}' requires an argument")
    assert (status, err.count("\n")) == (2, 1)


@pytest.mark.parametrize(("command", "option"), FLAGS)
def test_a_flag_with_a_value_gives_one_line(
    command: str, option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, err = run(f"{command} {option}=1", monkeypatch, capsys)
    assert err.startswith(f"Option '{option}' does not take a value")
    assert (status, err.count("\n")) == (2, 1)


def test_each_option_of_each_command_is_tried() -> None:
    tried = {
        (command, word)
        for words, _ in LINES
        for command in COMMANDS
        if words.startswith(f"{command} ")
        for word in words.split()
    }
    required = {("advise", "--from")}
    # tests/inference tries the other options of predict, which need a trained model.
    options = {(command, option) for command, option in OPTIONS if command != "predict"}
    assert options - tried - NOT_TRIED - required == set()
    assert options >= NOT_TRIED
