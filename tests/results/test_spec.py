"""Specifications of runs: the names of their folders, and their fingerprints."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.results.specs import spec
from usaggr.results.integrity import SCHEMA_VERSION
from usaggr.results.spec import compute_fingerprint

# Names


def test_a_run_is_named_by_block_scale_seed_and_fingerprint() -> None:
    start = spec().fingerprint[:8]
    assert spec().run_id == f"lung-s0.25-k3-{start}"
    assert spec(scale=1.0).run_id == f"lung-s1-k3-{start}"
    assert spec(scale=200, variant="slow").run_id == f"lung-slow-s200-k3-{start}"


def test_every_block_name_gives_a_valid_folder_name() -> None:
    name = spec(block="fetal head/pelvis: ../x").run_id
    assert Path(name).name == name
    assert " " not in name
    assert ":" not in name


# Fingerprint


def fingerprint(**changes: object) -> str:
    parts = {
        "settings": {"training": {"rate": 0.1, "clip": None}}, "tasks": ("a", "b"), "train_samples": {"a": ("x", "y")},
        "content": "c", "seed": 0, "weights_hash": None, "parent": None,
    }  # fmt: skip
    return compute_fingerprint(**{**parts, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"training": {"rate": 0.2, "clip": None}}},
        {"tasks": ("a",)},
        {"content": "d"},
        {"train_samples": {"a": ("y", "x")}},
        {"train_samples": {"a": ("x",)}},
        {"seed": 1},
        {"weights_hash": "w"},
        {"parent": "p"},
    ],
)
def test_each_argument_changes_the_fingerprint(change: dict[str, object]) -> None:
    assert fingerprint(**change) != fingerprint()


def test_the_order_of_keys_does_not_change_the_fingerprint() -> None:
    assert fingerprint(settings={"training": {"clip": None, "rate": 0.1}}) == fingerprint()


NAMES = st.text(max_size=6)


@given(
    st.dictionaries(NAMES, st.lists(NAMES, max_size=4).map(tuple), max_size=4),
    st.dictionaries(NAMES, st.dictionaries(NAMES, st.none() | st.booleans() | st.floats() | NAMES, max_size=3)),
    st.integers(0, 2**40),
    st.none() | NAMES,
    st.none() | NAMES,
    NAMES,
)
def test_the_fingerprint_is_the_hash_of_one_json_with_sorted_keys(
    train: dict[str, tuple[str, ...]],
    settings: dict[str, object],
    seed: int,
    weights: str | None,
    parent: str | None,
    content: str,
) -> None:
    parts = {
        "schema_version": SCHEMA_VERSION, "settings": settings, "tasks": list(train),
        "train_samples": {task: list(ids) for task, ids in train.items()}, "content": content, "seed": seed,
        "weights": weights, "parent": parent,
    }  # fmt: skip
    plain = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    assert compute_fingerprint(settings, tuple(train), train, content, seed, weights, parent) == plain


def test_fingerprints_are_the_same_as_in_earlier_versions() -> None:
    """Another one would train every finished run of every study again."""
    assert fingerprint() == "c43d1ea494d621f823fcfd3978084c8a0a9cae36afe2b2198561da6f6942b859"
    train = {"b": ("ü.png", 'quote".png'), "a": ("../1.png#2",)}
    assert (
        fingerprint(train_samples=train, weights_hash="w", parent="p", seed=7)
        == "917a4a2a2700b475b55b2cf6ac25f34ee229b829eac075337fd2290f3ec8e2e0"
    )
