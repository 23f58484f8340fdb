"""An untrusted study runs no code, reads no environment, and writes only below its outputs."""

from pathlib import Path

import pytest

from usaggr.config.compose import compose_study, read_grouping
from usaggr.config.folders import find_grouping
from usaggr.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", "hush")
    return tmp_path


def refusal(folder: Path, text: str) -> str:
    """Return the message with which a study of these lines is refused."""
    (folder / "theirs.yaml").write_text(text)
    with pytest.raises(ConfigError) as error:
        compose_study("theirs.yaml")
    return str(error.value)


def built_on_demo(lines: str, more: str = "") -> str:
    return f"defaults:\n  - demo\n{more}  - _self_\n{lines}\n"


@pytest.mark.parametrize(
    "value", ["${oc.env:SECRET}", "x${oc.env:SECRET}", "${oc.decode:${oc.env:SECRET}}", "${${name}:SECRET}"]
)
def test_a_study_reads_no_environment(folder: Path, value: str) -> None:
    message = refusal(folder, built_on_demo(f"outputs: '{value}'"))
    assert message.startswith("outputs: ")
    assert "calls a resolver" in message
    assert "hush" not in message


@pytest.mark.parametrize(
    "entry",
    [
        "override /data: ${oc.env:SECRET}",
        "${oc.env:SECRET}",
        "/model: [tiny, '${oc.env:SECRET}']",
        "override /${oc.env:SECRET}: tiny",
        "/model@x${oc.env:SECRET}: tiny",
    ],
)
def test_a_defaults_list_reads_no_environment(folder: Path, entry: str) -> None:
    message = refusal(folder, built_on_demo("", f"  - {entry}\n"))
    assert "hush" not in message
    assert "\n" not in message


@pytest.mark.parametrize("entry", ["${oc.env:SECRET}", "/model: ${oc.env:SECRET}"])
def test_the_defaults_list_of_a_file_beside_a_study_reads_no_environment(folder: Path, entry: str) -> None:
    beside = folder / "data" / "mine.yaml"
    beside.parent.mkdir()
    beside.write_text(f"defaults: [_base, '{entry}', _self_]\n" if ": " not in entry else f"defaults:\n  - {entry}\n")
    message = refusal(folder, built_on_demo("", "  - override /data: mine\n"))
    assert message.startswith("data/mine: defaults: '${oc.env:SECRET}' calls a resolver")


@pytest.mark.usefixtures("folder")
def test_overrides_and_variants_read_no_environment() -> None:
    with pytest.raises(ConfigError, match="calls a resolver"):
        compose_study("demo", ["outputs=${oc.env:SECRET}"])
    with pytest.raises(ConfigError, match="calls a resolver"):
        compose_study("demo", ["+variants.a=['model.weights=${oc.env:SECRET}']"])


@pytest.mark.usefixtures("folder")
def test_a_study_can_refer_to_its_other_keys() -> None:
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
def test_a_study_imports_no_package(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (folder / "evil").mkdir()
    (folder / "evil" / "__init__.py").write_text("open('ran', 'w').close()")
    monkeypatch.syspath_prepend(folder)
    message = refusal(folder, text)
    assert "does not configure Hydra" in message or "@package" in message
    assert not (folder / "ran").exists()


def test_yaml_creates_no_objects(folder: Path) -> None:
    message = refusal(folder, built_on_demo("outputs: !!python/object/apply:os.system ['touch ran']"))
    assert "not valid YAML" in message
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("key", ["training", "model", "data"])
def test_a_hydra_target_is_an_unknown_key(folder: Path, key: str) -> None:
    assert "unknown key" in refusal(folder, built_on_demo(f"{key}:\n  _target_: os.system"))


def test_a_study_s_name_cannot_leave_the_folder(folder: Path) -> None:
    assert "got '../../x'" in refusal(folder, built_on_demo("name: ../../x"))


@pytest.mark.parametrize("group", ["data", "model", "training", "executor"])
def test_yaml_of_selected_files_creates_no_objects(folder: Path, group: str) -> None:
    (folder / "conf" / group).mkdir(parents=True)
    (folder / "conf" / group / "theirs.yaml").write_text("name: !!python/object/apply:os.system ['touch ran']\n")
    with pytest.raises(ConfigError, match="YAML"):
        compose_study("demo", [f"{group}=theirs"])
    assert not (folder / "ran").exists()


def test_yaml_of_a_grouping_creates_no_objects(folder: Path) -> None:
    (folder / "conf" / "grouping").mkdir(parents=True)
    (folder / "conf" / "grouping" / "theirs.yaml").write_text("by: !!python/object/apply:os.system ['touch ran']\n")
    study = compose_study("demo", ["groupings=[task_specific,theirs]"])
    with pytest.raises(ConfigError, match="YAML"):
        read_grouping("theirs", study)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("name", ["../theirs", "../../theirs", "sub/theirs", "/theirs"])
def test_a_grouping_s_name_cannot_leave_the_folder(folder: Path, name: str) -> None:
    (folder / "conf" / "grouping" / "sub").mkdir(parents=True)
    for parent in (folder, folder / "conf", folder / "conf" / "grouping" / "sub"):
        (parent / "theirs.yaml").write_text("by: all\n")
    with pytest.raises(ConfigError, match="theirs"):
        find_grouping(name if name != "/theirs" else f"{folder}/theirs", [folder / "conf"])
