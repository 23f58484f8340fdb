"""A study from a stranger runs no code, reads no environment and writes nowhere but under its outputs."""

from pathlib import Path

import pytest

from usaggr.config.compose import compose_study, read_grouping
from usaggr.config.folders import find_grouping
from usaggr.errors import ConfigError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", "hush")
    return tmp_path


def refused(folder: Path, text: str) -> str:
    """The message for a study with these lines."""
    (folder / "theirs.yaml").write_text(text)
    with pytest.raises(ConfigError) as error:
        compose_study("theirs.yaml")
    return str(error.value)


def built_on_demo(lines: str, more: str = "") -> str:
    return f"defaults:\n  - demo\n{more}  - _self_\n{lines}\n"


@pytest.mark.parametrize(
    "value", ["${oc.env:SECRET}", "x${oc.env:SECRET}", "${oc.decode:${oc.env:SECRET}}", "${${name}:SECRET}"]
)
def test_a_study_reads_no_environment(here: Path, value: str) -> None:
    message = refused(here, built_on_demo(f"outputs: '{value}'"))
    assert message.startswith("outputs: ")
    assert "calls a resolver" in message
    assert "hush" not in message


@pytest.mark.usefixtures("here")
def test_neither_does_an_override_nor_a_variant() -> None:
    with pytest.raises(ConfigError, match="calls a resolver"):
        compose_study("demo", ["outputs=${oc.env:SECRET}"])
    with pytest.raises(ConfigError, match="calls a resolver"):
        compose_study("demo", ["+variants.a=['model.weights=${oc.env:SECRET}']"])


@pytest.mark.usefixtures("here")
def test_other_keys_can_be_referred_to() -> None:
    study = compose_study("demo", ["training.encoder_learning_rate=${training.learning_rate}"])
    assert study.training.encoder_learning_rate == study.training.learning_rate


@pytest.mark.parametrize(
    "text",
    [
        built_on_demo("hydra:\n  searchpath: ['pkg://evil']"),
        built_on_demo("hydra.searchpath: ['pkg://evil']"),
        built_on_demo("", "  - override hydra/job_logging: none\n"),
        built_on_demo("", "  - override /hydra/job_logging: none\n"),
        "# @package hydra\nsearchpath: ['pkg://evil']\n",
    ],
)
def test_a_study_has_no_package_imported(here: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (here / "evil").mkdir()
    (here / "evil" / "__init__.py").write_text("open('ran', 'w').close()")
    monkeypatch.syspath_prepend(here)
    message = refused(here, text)
    assert "does not configure Hydra" in message or "@package" in message
    assert not (here / "ran").exists()


def test_yaml_makes_no_objects(here: Path) -> None:
    message = refused(here, built_on_demo("outputs: !!python/object/apply:os.system ['touch ran']"))
    assert "not valid YAML" in message
    assert not (here / "ran").exists()


@pytest.mark.parametrize("key", ["training", "model", "data"])
def test_a_target_is_an_unknown_key(here: Path, key: str) -> None:
    assert "unknown key" in refused(here, built_on_demo(f"{key}:\n  _target_: os.system"))


def test_a_name_does_not_climb(here: Path) -> None:
    assert "got '../../x'" in refused(here, built_on_demo("name: ../../x"))


@pytest.mark.parametrize("group", ["data", "model", "training", "executor"])
def test_neither_do_the_files_that_it_chooses(here: Path, group: str) -> None:
    (here / "conf" / group).mkdir(parents=True)
    (here / "conf" / group / "theirs.yaml").write_text("name: !!python/object/apply:os.system ['touch ran']\n")
    with pytest.raises(ConfigError, match="YAML"):
        compose_study("demo", [f"{group}=theirs"])
    assert not (here / "ran").exists()


def test_neither_does_a_grouping(here: Path) -> None:
    (here / "conf" / "grouping").mkdir(parents=True)
    (here / "conf" / "grouping" / "theirs.yaml").write_text("by: !!python/object/apply:os.system ['touch ran']\n")
    study = compose_study("demo", ["groupings=[task_specific,theirs]"])
    with pytest.raises(ConfigError, match="YAML"):
        read_grouping("theirs", study)
    assert not (here / "ran").exists()


@pytest.mark.parametrize("name", ["../theirs", "../../theirs", "sub/theirs", "/theirs"])
def test_the_name_of_a_grouping_does_not_climb(here: Path, name: str) -> None:
    (here / "conf" / "grouping" / "sub").mkdir(parents=True)
    for place in (here, here / "conf", here / "conf" / "grouping" / "sub"):
        (place / "theirs.yaml").write_text("by: all\n")
    with pytest.raises(ConfigError, match="theirs"):
        find_grouping(name if name != "/theirs" else f"{here}/theirs", [here / "conf"])
