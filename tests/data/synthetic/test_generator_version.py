"""Pictures and GENERATOR_VERSION change together: a cached set is known by the version that has drawn it."""

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
"""By how much numbers may differ between processors, whose sums round differently: grey values, pixels.

With numpy's and OpenCV's vector instructions switched off, sums of some 1600 grey values differ by up to 17: rounding
decides a coefficient of a JPEG file.
"""


def differences(found: dict[str, Any], stored: dict[str, Any]) -> Iterator[str]:
    """Name what differs between two descriptions by more than rounding does."""
    yield from (f"{name} is not in both" for name in found.keys() ^ stored.keys())
    for name in found.keys() & stored.keys():
        if isinstance(found[name], str):
            if found[name] != stored[name]:
                yield name
            continue
        for kind, tolerance in TOLERANCE.items():
            pair = [_flat(description[name].get(kind, [])) for description in (found, stored)]
            lengths = {len(numbers) for numbers in pair}
            if len(lengths) > 1 or any(abs(a - b) > tolerance for a, b in zip(*pair, strict=True)):
                yield f"{kind} of {name}"


def _flat(numbers: list[Any]) -> list[float]:
    return [x for number in numbers for x in (_flat(number) if isinstance(number, list) else [float(number)])]


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    """Descriptions by version."""
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
        assert changed, f"versions {before} and {after} draw the same pictures: take GENERATOR_VERSION back"


@pytest.mark.parametrize(("kind", "change"), [("sums", 61), ("classes", 5), ("box", 1), ("points", 0.03), ("size", 1)])
def test_a_difference_above_rounding_is_found(stored: dict[str, Any], kind: str, change: float) -> None:
    description = stored[str(GENERATOR_VERSION)]
    name = next(name for name, numbers in description.items() if isinstance(numbers, dict) and numbers.get(kind))
    numbers = list(description[name][kind])
    numbers[0] = [numbers[0][0] + change, *numbers[0][1:]] if kind == "points" else numbers[0] + change
    other = {**description, name: {**description[name], kind: numbers}}
    assert list(differences(other, description)) == [f"{kind} of {name}"]
    assert not list(differences(description, description))
