"""Every command refuses a field, cell or column of another type in one line, which names file and field."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.faults.contract_readers import FILES, path_of, read_mapping, refusal, to_text, with_content

QUICK = {
    "study.yaml": "advise",
    "groupings.yaml": "advise",
    "data.json": "advise",
    "weights.json": "sweep, of weights",
    "affinity/affinity.json": "affinities alone",
    "affinity/seeds/gradient-k0.json": "affinity, of a seed",
    "RUN/run.yaml": "export",
    "RUN/result.json": "result alone",
    "RUN/status.json": "status, of a run",
    "RUN/tracking.json": "sweep, of trackers",
}
"""One reader per mapping for the tests of single fields, because all readers of a file use the same check."""
USED = {
    "study.yaml": ("name", "groupings", "reference", "scales", "scales.0", "seeds", "seeds.0", "variants",
                   "variants.base", "report", "report.confidence", "report.formats", "report.margin", "outputs",
                   "data", "data.max_pixels", "data.name", "model", "model.norm", "model.weights"),
    "groupings.yaml": ("two", "two.parent", "two.share", "two.budget", "two.overrides", "two.overrides.0"),
    "data.json": ("root", "content_hash", "split_hash", "tasks", "tasks.0", "tasks.1.id", "tasks.0.type",
                  "tasks.0.num_classes", "tasks.0.class_names", "tasks.0.organ", "tasks.0.clinical_group",
                  "tasks.0.n_train", "tasks.0.n_val", "tasks.0.n_test", "tasks.0.subjects_test", "skipped", "dropped",
                  "warnings", "disjoint", "disjoint.images"),
    "weights.json": ("vit",),
    "affinity/affinity.json": ("study", "content_hash", "split_hash", "scale", "variant", "tasks", "seeds", "seeds.0"),
    "RUN/run.yaml": ("run_id", "fingerprint", "tasks", "scale", "seed", "variant", "settings", "settings.data",
                     "settings.model", "settings.data.image_size", "settings.data.channels", "settings.model.encoder"),
    "RUN/result.json": ("scores", "scores.fetal_femur", "scores.fetal_femur.mre", "trivial", "validation",
                        "trivial_validation", "trivial_by_subject", "n_train", "n_train.fetal_femur", "n_test",
                        "n_subjects", "examples",
                        "cost", "cost.seconds", "cost.train_seconds", "cost.peak_mib", "cost.parameters",
                        "cost.active_parameters", "notes", "timings"),
}  # fmt: skip
"""Keys whose type is checked; a message about a wrong type names the key."""


def with_value(content: Any, key: Sequence[str], value: object) -> Any:
    """Return a copy of nested mappings and lists with another value at a key."""
    if not key:
        return value
    if isinstance(content, list):
        return [with_value(item, key[1:], value) if str(i) == key[0] else item for i, item in enumerate(content)]
    return {**content, key[0]: with_value(content[key[0]], key[1:], value)}


WRONG_VALUES: tuple[object, ...] = ("x", 7, 1.5, True, [], [None], {}, {"a": None}, None)


def is_like(value: object, old: object) -> bool:
    """Return whether a value has the type of an old value, as far as the schema distinguishes types."""
    if isinstance(old, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(old, list | dict):
        return type(value) is type(old)
    return type(value) is type(old)


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, keys in USED.items() for key in keys])
def test_a_field_of_another_type_is_named_in_the_message(complete_folder: Path, name: str, key: str) -> None:
    path = path_of(complete_folder, name)
    content = read_mapping(path)
    old: Any = content
    for name_part in key.split("."):
        old = old[int(name_part)] if isinstance(old, list) else old[name_part]
    optional = {"report.margin", "outputs", "data", "data.max_pixels", "data.name", "model", "model.norm",
                "model.weights", "two.parent", "two.share", "two.budget", "cost.active_parameters"}  # fmt: skip
    wrong = [value for value in WRONG_VALUES if not is_like(value, old) and not (value is None and key in optional)]
    if old is None:  # optional fields: a weights file, a count
        wrong = [[], {"a": None}, True]
    if key.endswith("image_size"):
        wrong = [value for value in wrong if value != 7]
    for value in wrong:
        with with_content(path, to_text(path, with_value(content, key.split("."), value))):
            message = refusal(QUICK[name], complete_folder)
            assert message is not None, value
            assert f"{path.name}: " in message
            assert key.rpartition(".")[2] in message, value


@pytest.mark.parametrize("name", QUICK)
def test_no_field_of_any_type_ends_in_a_traceback(complete_folder: Path, name: str) -> None:
    path = path_of(complete_folder, name)
    content = read_mapping(path)
    for key in leaves(content):
        for value in ([7],):
            with with_content(path, to_text(path, with_value(content, key, value))):
                refusal(QUICK[name], complete_folder)


def leaves(content: Any) -> Iterator[list[str]]:
    """Yield the keys of all values that are neither mappings nor lists."""
    for name, value in content.items() if isinstance(content, dict) else enumerate(content):
        if name == "train_samples":
            continue
        if isinstance(value, dict | list) and value:
            yield from ([str(name), *key] for key in leaves(value))
        else:
            yield [str(name)]


@pytest.mark.parametrize(
    ("name", "column", "value", "expected"),
    [
        ("plan.csv", "scale", "much", "line 2: scale is 'much', not a number"),
        ("plan.csv", "scale", "inf", "line 2: scale is 'inf', not a number"),
        ("plan.csv", "seed", "1.5", "line 2: seed is '1.5', not a whole number"),
        ("plan.csv", "fingerprint", "f", "line 2: fingerprint is 'f', not 64 hexadecimal digits"),
        ("plan.csv", "run_id", "", "line 2: run_id is '', not a name"),
        ("plan.csv", "tasks", "", "line 2: tasks is '', not names"),
        ("split.csv", "component", "1.5", "line 2: component is '1.5', not a whole number"),
        ("split.csv", "fold", "tset", "line 2: fold is 'tset', not one of train, val, test, dropped"),
        ("affinity/affinity.csv", "measure", "love", "line 2: measure is 'love', not one of lookahead"),
        ("affinity/affinity.csv", "seed", "x", "line 2: seed is 'x', not a whole number"),
        ("affinity/affinity.csv", "value", "x", "line 2: value is 'x', not a number"),
        ("RUN/routing.csv", "share", "x", "its routing.csv cannot be used (could not convert string to float: 'x')"),
    ],
)
def test_an_invalid_cell_is_named_with_its_line(
    complete_folder: Path, name: str, column: str, value: str, expected: str
) -> None:
    path = path_of(complete_folder, name)
    head, first, *other_lines = path.read_text().splitlines()
    cells = dict(zip(head.split(","), first.split(","), strict=False))
    with with_content(path, "\n".join([head, ",".join((cells | {column: value}).values()), *other_lines, ""])):
        for reader in FILES[name]:
            message = refusal(reader, complete_folder)
            if message is None and reader in ("status", "clean"):
                assert column not in ("run_id", "fingerprint")  # these commands read no other column
                continue
            assert message is not None, reader
            assert expected in message


@pytest.mark.parametrize("column", ["task_id", "sample_id", "mre", "label", "probs"])
def test_a_column_of_predictions_of_another_type_is_named(complete_folder: Path, column: str) -> None:
    path = path_of(complete_folder, "RUN/predictions.parquet")
    table = parquet.read_table(path)
    position = table.column_names.index(column)
    other = pa.array([["x"]] * len(table)) if column == "probs" else pa.array([True] * len(table))
    buffer = pa.BufferOutputStream()
    parquet.write_table(table.set_column(position, column, other), buffer)
    result = path_of(complete_folder, "RUN/result.json")
    unsealed = {name: value for name, value in read_mapping(result).items() if name != "predictions"}
    with with_content(result, json.dumps(unsealed)), with_content(path, buffer.getvalue().to_pybytes()):
        message = refusal("report, of a run", complete_folder)
    assert message is not None
    assert f"predictions.parquet: {column} is " in message
