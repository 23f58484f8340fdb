"""Every command refuses a file of a results folder that is cut off, of another format or of another version."""

import json
import re
from pathlib import Path

import pytest

from tests.faults.contract_readers import FILES, PASSED, STUDY, pairs, path_of, read_mapping, refusal, with_content
from usaggr.errors import UsaggrError
from usaggr.inference.prediction_folder import open_prediction_folder
from usaggr.results.integrity import SCHEMA_VERSION

VERSIONED = {
    "study.yaml": (*STUDY, "plan"),
    "data.json": (*STUDY, "plan"),
    "plan.csv": (*STUDY, "status", "clean", "plan"),
    "affinity/affinity.json": ("report, of affinities",),
    "affinity/seeds/gradient-k0.json": ("affinity, of a seed",),
    "RUN/run.yaml": ("export", "report, of a run"),
    "RUN/result.json": ("report, of a run", "export"),
}
"""Readers that refuse a file of another version."""


def make_damages(path: Path) -> dict[str, bytes]:
    content = path.read_bytes()
    end = len(content) * 3 // 5
    end -= 4 * (content[end : end + 1] == b"\n")  # a table cut between two lines would be a valid table
    return {
        "empty": b"",
        "cut off": content[:end],
        "not of the format": b"\xff\xfe\x00\x81" * 50,
        "a list": b"[1, 2]",
        "a text": b"hello",
        "deep": b"[" * 20_000,
    }


@pytest.mark.parametrize(("name", "reader"), pairs(FILES))
def test_a_file_that_is_cut_off_or_of_another_format_is_refused_by_name(
    complete_folder: Path, name: str, reader: str
) -> None:
    path = path_of(complete_folder, name)
    assert refusal(reader, complete_folder) is None
    for kind, content in make_damages(path).items():
        with with_content(path, content):
            message = refusal(reader, complete_folder)
        if name == "groupings.yaml" and kind == "cut off" and message is None:
            continue  # YAML that is cut between two lines is valid YAML
        assert message is not None, kind
        assert path.name in message, kind


@pytest.mark.parametrize(("name", "reader"), pairs(PASSED))
def test_a_damaged_file_that_is_written_again_stops_no_command(complete_folder: Path, name: str, reader: str) -> None:
    path = path_of(complete_folder, name)
    for content in make_damages(path).values():
        with with_content(path, content):
            assert refusal(reader, complete_folder) is None
    for content in ({}, {"state": 3}, {"attempt": "x"}, {"identity": "i", "tasks": "x"}):
        with with_content(path, json.dumps(content)):
            assert refusal(reader, complete_folder) is None


@pytest.mark.parametrize(("name", "reader"), pairs(VERSIONED))
def test_a_file_of_another_version_is_refused_with_both_versions(complete_folder: Path, name: str, reader: str) -> None:
    path = path_of(complete_folder, name)
    for version, expected in (
        (SCHEMA_VERSION + 1, f"schema_version {SCHEMA_VERSION + 1} is newer than this tool's {SCHEMA_VERSION}"),
        (0, "schema_version 0 is older than those that are read"),
        ("x", "schema_version is 'x', not a whole number"),
        (1.5, "not a whole number"),
        (True, "not a whole number"),
        (None, "not a whole number"),
    ):
        with with_content(path, with_version(path, version)):
            message = refusal(reader, complete_folder)
        assert message is not None, version
        assert expected in message
        assert f"{path.name}: " in message


def with_version(path: Path, version: object) -> str:
    text = path.read_text()
    if path.name == "study.yaml":
        return re.sub(r"# schema_version: .*", f"# schema_version: {version}", text)
    if path.suffix == ".csv":
        head, *lines = text.splitlines()
        return "\n".join([f"{head},schema_version", *(f"{row},{version}" for row in lines)])
    if path.suffix == ".yaml":  # only the line of the version changes, so that the order of keys stays
        return re.sub(r"^schema_version: .*", f"schema_version: {json.dumps(version)}", text, flags=re.MULTILINE)
    return json.dumps({**read_mapping(path), "schema_version": version})


def test_a_folder_of_predictions_of_another_version_or_type_is_refused(tmp_path: Path) -> None:
    for content in ({"schema_version": 2}, {"models": {"a": 3}, "data": "x"}, {"models": {}, "data": 3}, [], {}):
        (tmp_path / "predicted_by.json").write_text(json.dumps(content))
        with (
            pytest.raises(UsaggrError, match=r"predicted_by\.json: ") as caught,
            open_prediction_folder(tmp_path, {}, tmp_path, {}),
        ):
            pass
        assert "\n" not in str(caught.value)
