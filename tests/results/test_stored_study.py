"""A folder of results is read for every version of the configuration, or refused with the reason."""

import json
from pathlib import Path

import pytest
import yaml

from tests.report.sweeps import FakeSweep
from usaggr.config.compose import compose_study, describe_study
from usaggr.errors import RunError
from usaggr.results.plan import COLUMNS as PLAN_COLUMNS
from usaggr.results.plan import VERSION_COLUMN as COLUMN
from usaggr.results.stored_study import read_source

PLAN_HEAD = "run_id,block,groupings,tasks,scale,seed,variant,fingerprint"


def planned(tmp_path: Path, **changes: object) -> Path:
    sweep = FakeSweep(tmp_path / "study", **changes)  # type: ignore[arg-type]
    sweep.write_plan()
    return sweep.directory


def test_study_data_and_plan_are_read(tmp_path: Path) -> None:
    source = read_source(planned(tmp_path, scales=(0.25, 1.0), seeds=(3, 4), variants={"base": [], "slow": ["a=1"]}))
    assert source.study.scales == (0.25, 1.0)
    assert source.study.variants == {"base": (), "slow": ("a=1",)}
    assert source.study.get_setting("training.batch_size") == 8
    assert source.study.get_setting("training.no.such.key") is None
    assert source.data.tasks["fetal_femur"].task.clinical_group == "obstetrics"
    assert source.data.tasks["fetal_femur"].n_subjects == 12
    row = next(row for row in source.plan if row.block == "fetal_femur")
    assert row.groupings == ("task_specific", "clinical")
    assert (row.tasks, row.scale, row.seed, row.variant) == (("fetal_femur",), 0.25, 3, "base")


def test_a_cap_of_samples_is_distinguished_from_a_fraction(tmp_path: Path) -> None:
    source = read_source(planned(tmp_path, scales=(16, 64)))
    assert [type(row.scale) for row in source.plan] == [int] * len(source.plan)


def test_the_composed_demo_study_is_read(tmp_path: Path) -> None:
    """A study.yaml that this version writes has every key that a report needs."""
    directory, study = planned(tmp_path), compose_study("demo")
    (directory / "study.yaml").write_text(describe_study(study))
    source = read_source(directory)
    assert list(source.study.groupings) == study.groupings
    assert list(source.study.seeds) == study.seeds
    assert source.study.confidence == study.report.confidence
    for key in ("model.name", "model.encoder", "model.norm", "training.budget", "training.score_weights"):
        assert source.study.get_setting(key), key
    assert source.study.get_setting("data.subset") == study.data.subset


def test_the_columns_of_the_plan_are_those_that_the_sweep_writes(tmp_path: Path) -> None:
    header = (planned(tmp_path) / "plan.csv").read_text().splitlines()[0]
    assert (*header.split(","), COLUMN) == PLAN_COLUMNS  # of a tool that wrote no version


def test_unknown_keys_are_ignored(tmp_path: Path) -> None:
    directory = planned(tmp_path)
    content = yaml.safe_load((directory / "study.yaml").read_text())
    (directory / "study.yaml").write_text(yaml.safe_dump({**content, "from_the_future": {"a": 1}}))
    assert read_source(directory).study.get_setting("from_the_future.a") == 1


@pytest.mark.parametrize("name", ["study.yaml", "data.json", "plan.csv"])
def test_a_folder_that_lacks_a_file_is_named(tmp_path: Path, name: str) -> None:
    directory = planned(tmp_path)
    (directory / name).unlink()
    with pytest.raises(RunError, match=rf"study: no {name} in it"):
        read_source(directory)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("study.yaml", "name: [unclosed", "cannot be read"),
        ("study.yaml", "just a string", "holds text, not a mapping"),
        ("study.yaml", "name: x\n", "no groupings"),
        ("data.json", "{", "cannot be read"),
        ("data.json", '{"schema_version": 1}', "no root"),
        ("data.json", '{"root": "", "content_hash": "", "split_hash": "", "tasks": [{}]}', "no tasks.0.id"),
        ("plan.csv", "run_id,block\na,b\n", "no column groupings, tasks, scale"),
        ("plan.csv", f"{PLAN_HEAD}\na,b,c,d,much,0,base,f\n", "line 2: scale is 'much', not a number"),
        ("plan.csv", f"{PLAN_HEAD}\na,b\n", "line 2: no groupings"),
    ],
)
def test_a_broken_file_is_named_in_one_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    directory = planned(tmp_path)
    (directory / name).write_text(content)
    with pytest.raises(RunError, match=f"{name}: {message}") as caught:
        read_source(directory)
    assert "\n" not in str(caught.value)


def test_results_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    directory = planned(tmp_path)
    content = json.loads((directory / "data.json").read_text())
    (directory / "data.json").write_text(json.dumps({**content, "schema_version": 99}))
    with pytest.raises(RunError, match="schema_version 99 is newer"):
        read_source(directory)
