"""Pictures and GENERATOR_VERSION change together, because the name of a cached set depends on the version."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.data.synthetic.stored_pictures import STORED, describe_pictures
from usaggr.data.synthetic.writer import GENERATOR_VERSION

UPDATE = "python -m tests.data.synthetic.stored_pictures"
RAISE = f"raise GENERATOR_VERSION in usaggr/data/synthetic/writer.py, then run `{UPDATE}`"
TOLERANCE = {"sums": 60, "classes": 4, "box": 0, "points": 0.02, "size": 0}
"""Largest differences (gray values or pixels) between processors, whose sums round differently.

Without the vector instructions of numpy and OpenCV, sums of about 1600 gray values differ by up to 17, because rounding
changes a coefficient of a JPEG file.
"""


def differences(described: dict[str, Any], stored: dict[str, Any]) -> Iterator[str]:
    """Yield the names of differences between two descriptions that are larger than rounding errors."""
    yield from (f"{name} is not in both" for name in described.keys() ^ stored.keys())
    for name in described.keys() & stored.keys():
        if isinstance(described[name], str):
            if described[name] != stored[name]:
                yield name
            continue
        for kind, tolerance in TOLERANCE.items():
            pair = [_flat(description[name].get(kind, [])) for description in (described, stored)]
            lengths = {len(numbers) for numbers in pair}
            if len(lengths) > 1 or any(abs(a - b) > tolerance for a, b in zip(*pair, strict=True)):
                yield f"{kind} of {name}"


def _flat(numbers: list[Any]) -> list[float]:
    return [x for number in numbers for x in (_flat(number) if isinstance(number, list) else [float(number)])]


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    """Return the stored descriptions by version."""
    versions: dict[str, Any] = json.loads(STORED.read_text())
    return versions


def test_pictures_change_only_together_with_the_generators_version(stored: dict[str, Any]) -> None:
    assert str(GENERATOR_VERSION) in stored, f"GENERATOR_VERSION is new: run `{UPDATE}`"
    changed = sorted(differences(describe_pictures(), stored[str(GENERATOR_VERSION)]))
    assert not changed, (
        f"version {GENERATOR_VERSION} draws other pictures than before: {RAISE} ({len(changed)}: {changed[:5]})"
    )


def test_a_new_generators_version_draws_other_pictures(stored: dict[str, Any]) -> None:
    versions = sorted(stored, key=int)
    assert int(versions[-1]) <= GENERATOR_VERSION, f"{STORED.name} holds version {versions[-1]}: {RAISE}"
    for before, after in pairwise(versions):
        changed = list(differences(stored[after], stored[before]))
        assert changed, f"versions {before} and {after} draw the same pictures: lower GENERATOR_VERSION again"


@pytest.mark.parametrize(("kind", "change"), [("sums", 61), ("classes", 5), ("box", 1), ("points", 0.03), ("size", 1)])
def test_a_difference_above_rounding_is_found(stored: dict[str, Any], kind: str, change: float) -> None:
    description = stored[str(GENERATOR_VERSION)]
    name = next(name for name, numbers in description.items() if isinstance(numbers, dict) and numbers.get(kind))
    numbers = list(description[name][kind])
    numbers[0] = [numbers[0][0] + change, *numbers[0][1:]] if kind == "points" else numbers[0] + change
    other = {**description, name: {**description[name], kind: numbers}}
    assert list(differences(other, description)) == [f"{kind} of {name}"]
    assert not list(differences(description, description))
