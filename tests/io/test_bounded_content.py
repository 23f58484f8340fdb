"""Hostile and damaged JSON, YAML and CSV is refused with its reason, within bounded time and memory."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from usaggr.io.bounded_content import MAX_DEPTH, parse_csv, parse_csv_table, parse_json, parse_yaml
from usaggr.io.bounded_files import UnusableContentError

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
MERGES = "a0: &a0 {k: 1}\n" + "".join(f"a{i}: &a{i}\n  <<: [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
DEEP = f"is nested more than {MAX_DEPTH} levels deep"

JSON_ATTACKS: dict[str, tuple[str | bytes, str]] = {
    "deep lists": ("[" * 100_000, DEEP),
    "deep mappings": ('{"a":' * 100_000 + "1" + "}" * 100_000, DEEP),
    "just too deep": ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), DEEP),
    "an integer of 5,000 digits": ("[" + "9" * 5000 + "]", "digits"),
    "an integer of 4,000 digits": ("[" + "9" * 4000 + "]", "whole number of more than 64 bits"),
    "a lone surrogate": (r'{"a": "\ud800"}', r"not Unicode \('\\ud800'\)"),
    "a lone surrogate as a key": (r'{"\uDCFF": 1}', "not Unicode"),
    "many values": ("[" + "0," * 2_000_001 + "0]", "holds more than 2000000 values"),
    "cut off": ('{"a": ', "Expecting value"),
    "bytes of no encoding": (b"\xff\xfe\x00", "utf-8"),
    "empty": ("", "Expecting value"),
}
YAML_ATTACKS = {
    "exponential aliases": (LAUGHS, "more than 200000 values"),
    "exponential merges": (MERGES, "more than 200000 values"),
    "a list that contains itself": ("a: &a [*a]", "line 1: a contains itself"),
    "a mapping that contains itself": ("a: &a\n  b: *a", "line 2: a contains itself"),
    "deep flow lists": ("[" * 100_000, "deep|nesting"),
    "deep block lists": ("- " * 100_000 + "a", DEEP.removeprefix("is ")),
    "deep mappings": ("\n".join(" " * i + "a:" for i in range(MAX_DEPTH + 5)), DEEP.removeprefix("is ")),
    "an integer of 5,000 digits": ("a: " + "9" * 5000, "line 1 holds a number of 5000 characters"),
    "hexadecimal digits": ("a: 0x" + "f" * 5000, "line 1 holds a number of 5002 characters"),
    "an integer of 30 digits": ("a: " + "9" * 30, "more than 64 bits"),
    "a number to base 60": ("a: 1" + ":1" * 500_000, "line 1 holds a number of 1000001 characters"),
    "a tagged number": ("a: !!int '" + "9" * 5000 + "'", "line 1 holds a number"),
    "a tag of Python": ("a: !!python/object/apply:os.system [x]", "could not determine a constructor"),
    "a lone surrogate": (r'a: "\ud800"', "Unicode"),
    "a date that does not exist": ("a: 2024-13-01", "month must be in 1..12"),
    "a list as a key": ("? [a]\n: 1", "unhashable"),
    "a control character": ("a: \x00", "special characters|unacceptable"),
    "an unknown alias": ("a: *b", "undefined alias"),
    "many values": ("- a\n" * 200_001, "more than 200000 values"),
}


@pytest.mark.parametrize("attack", JSON_ATTACKS)
def test_hostile_json_is_refused_with_its_reason(attack: str) -> None:
    content, reason = JSON_ATTACKS[attack]
    with pytest.raises(UnusableContentError, match=reason) as caught:
        parse_json(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("attack", YAML_ATTACKS)
def test_hostile_yaml_is_refused_with_its_reason(attack: str) -> None:
    text, reason = YAML_ATTACKS[attack]
    with pytest.raises(UnusableContentError, match=reason) as caught:
        parse_yaml(text, aliases=True)
    assert "\n" not in str(caught.value)


def test_aliases_are_read_in_files_of_users_only() -> None:
    text = "base: &base {a: 1}\nother:\n  <<: *base\n  b: [*base, *base]\n"
    value = {"a": 1}
    assert parse_yaml(text, aliases=True) == {"base": value, "other": {"a": 1, "b": [value, value]}}
    with pytest.raises(UnusableContentError, match=r"line 1 holds an anchor or alias \(base\)"):
        parse_yaml(text)


def test_numbers_of_ordinary_size_and_long_texts_that_start_with_a_digit_are_read() -> None:
    text = "1 " * 500
    assert parse_yaml(f"a: 1e-3\nb: {2**63 - 1}\nc: {text}\nd: 2024-01-02") == {
        "a": "1e-3",  # YAML 1.1 requires a decimal point in a number with an exponent
        "b": 2**63 - 1,
        "c": text.strip(),
        "d": yaml.safe_load("2024-01-02"),
    }


plain: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda items: st.lists(items, max_size=4) | st.dictionaries(st.text(max_size=8), items, max_size=4),
    max_leaves=20,
)


@given(plain)
def test_every_ordinary_value_is_read_as_it_was_written(value: object) -> None:
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@given(plain)
def test_yaml_is_read_as_pyyaml_reads_it(value: object) -> None:
    text = yaml.safe_dump(value)
    assert parse_yaml(text, aliases=True) == yaml.safe_load(text)


def test_a_cell_may_be_longer_than_the_limit_of_python() -> None:
    cell = "task;" * 40_000
    assert list(parse_csv(f'a,"{cell}"\n')) == [["a", cell]]
    assert list(parse_csv_table(f"name,tasks\nx,{cell}\n")) == [{"name": "x", "tasks": cell}]


def test_a_reader_may_accept_integers_of_more_than_64_bits() -> None:
    assert parse_json(f"[{10**400}]", wide_integers=True) == [10**400]
    with pytest.raises(UnusableContentError, match="digits"):
        parse_json(f"[{'9' * 5000}]", wide_integers=True)
