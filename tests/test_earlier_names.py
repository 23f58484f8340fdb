"""Names that users of earlier versions use still exist: options, keys, documented calls, fields of results.

tests/fixtures/earlier_versions/README.md describes the source of the names. A name that must be removed stays for
some time and warns (`DeprecationWarning`, or a line printed by the command).
"""

import dataclasses
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import usaggr
from usaggr.cli.main import app
from usaggr.inference import result_types
from usaggr.inference.loaded_model import Model

ROOT = Path(__file__).parents[1]
NAMES: dict[str, dict[str, list[str]]] = json.loads(
    (ROOT / "tests" / "fixtures" / "earlier_versions" / "663d23c_names.json").read_text()
)


def keys_of(values: Any, before: str = "") -> Iterator[str]:
    """Yield the keys of a configuration, joined by dots."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from keys_of(value, f"{before}{name}.")
        else:
            yield f"{before}{name}"


def test_commands_have_the_options_of_an_earlier_version() -> None:
    for words, options in NAMES["options"].items():
        command: Any = typer.main.get_command(app)
        for word in words.split()[1:]:
            command = command.commands[word]
        options_now = {option for parameter in command.params for option in parameter.opts}
        assert set(options) <= options_now, words


@pytest.mark.parametrize("name", NAMES["calls"])
def test_documented_calls_take_the_arguments_of_an_earlier_version(name: str) -> None:
    function = usaggr.load if name == "load" else getattr(Model, name.removeprefix("Model."))
    parameters = {n: p for n, p in inspect.signature(function).parameters.items() if n != "self"}
    before = NAMES["calls"][name]
    assert list(parameters)[: len(before)] == before  # users may pass them by position
    added = [parameters[n] for n in list(parameters)[len(before) :]]
    assert all(parameter.default is not inspect.Parameter.empty for parameter in added)


@pytest.mark.parametrize("name", NAMES["results"])
def test_results_have_the_fields_of_an_earlier_version(name: str) -> None:
    assert set(NAMES["results"][name]) <= {field.name for field in dataclasses.fields(getattr(result_types, name))}


@pytest.mark.parametrize("path_in_conf", NAMES["keys"])
def test_shipped_configurations_have_the_keys_of_an_earlier_version(path_in_conf: str) -> None:
    path = ROOT / "conf" / path_in_conf
    group = [path] if path.parent.name == "conf" else sorted(path.parent.glob("*.yaml"))
    assert path.is_file()
    keys_now = {key for file in group for key in keys_of(yaml.safe_load(file.read_text()))}
    assert set(NAMES["keys"][path_in_conf]) <= keys_now
