"""Hostile files of configuration end as one line: aliases, references and nesting that would fill the memory."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from usaggr.config.compose import compose_study, read_grouping
from usaggr.config.references import MAX_CHAIN, check_references
from usaggr.config.study import StudyConfig
from usaggr.errors import ConfigError

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
ATTACKS: dict[str, tuple[str, str]] = {
    "aliases": (LAUGHS, "more than 200000 values"),
    "a list that contains itself": ("a: &a [*a]", "a contains itself"),
    "flow nesting": ("a: " + "[" * 100_000, "nest|deep"),
    "block nesting": ("- " * 100_000, "deep"),
    "digits": ("seeds: [" + "9" * 5000 + "]", "a number of 5000 characters"),
    "an impossible date": ("name: 2024-13-01", "month must be in 1..12"),
    "a surrogate": (r'name: "\ud800"', "Unicode"),
    "a list as a key": ("? [a]\n: 1", "unhashable"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("sweeps", "conf/grouping", "conf/model"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_study_grouping_and_file_of_a_group_end_as_one_line(folder: Path, attack: str) -> None:
    text, reason = ATTACKS[attack]
    (folder / "sweeps" / "bad.yaml").write_text(text)
    (folder / "conf" / "grouping" / "bad.yaml").write_text(text)
    (folder / "conf" / "model" / "bad.yaml").write_text(text)
    requests: dict[str, Callable[[], object]] = {
        "sweeps/bad.yaml": lambda: compose_study("sweeps/bad.yaml"),
        "conf/grouping/bad.yaml": lambda: read_grouping("bad", StudyConfig.model_construct()),
        "conf/model/bad.yaml": lambda: compose_study("demo", ["model=bad"]),
    }
    for file, request in requests.items():
        with pytest.raises(ConfigError, match=reason) as caught:
            request()
        assert "\n" not in str(caught.value)
        assert file in str(caught.value)


def test_a_study_that_is_a_pipe_or_endless_ends_as_one_line(folder: Path) -> None:
    os.mkfifo(folder / "conf" / "model" / "pipe.yaml")
    (folder / "conf" / "model" / "zero.yaml").symlink_to("/dev/zero")
    for name, kind in (("pipe", "a pipe"), ("zero", "a device")):
        with pytest.raises(ConfigError, match=rf"model/{name}\.yaml.* is {kind}, not a regular file|unknown '{name}'"):
            compose_study("demo", [f"model={name}"])


def test_references_that_grow_exponentially_are_refused(folder: Path) -> None:
    chain = "".join(f"  v{i}: ['${{variants.v{i - 1}}}${{variants.v{i - 1}}}']\n" for i in range(1, 40))
    (folder / "sweeps" / "bad.yaml").write_text(f"defaults: [demo]\nvariants:\n  base: []\n  v0: [x]\n{chain}")
    with pytest.raises(ConfigError, match=r"its references stand for more than 10000 values|through more than 20 keys"):
        compose_study("bad")


def test_references_between_a_few_keys_are_allowed() -> None:
    check_references({"a": 1, "b": "${a}", "c.d": "${.e} ${b}", "c.e": [1, "${a}"], "f": "${c}", "g": "${g}"})
    with pytest.raises(ConfigError, match=r"c: '.*' holds a reference inside a reference"):
        check_references({"a": "b", "b": 1, "c": "${${a}}"})
    doubled = {"k0": "x"} | {f"k{i}": f"${{k{i - 1}}}" * 10 for i in range(1, 10)}
    with pytest.raises(ConfigError, match="k4: its references stand for more than 10000 values"):
        check_references(doubled)


@pytest.mark.parametrize("order", ["forward", "backward", "from the middle"])
def test_the_limit_of_a_chain_does_not_depend_on_the_order_of_the_keys(order: str) -> None:
    def chain(length: int) -> dict[str, str]:
        items = [(f"k{number}", f"${{k{number + 1}}}") for number in range(length)]
        items = items[::-1] if order == "backward" else items
        start = length // 2 if order == "from the middle" else 0
        return dict([*items[start:], *items[:start], (f"k{length}", "1")])

    check_references(chain(MAX_CHAIN))
    with pytest.raises(ConfigError, match=r"^k\d+: refers to other keys through more than 20 keys"):
        check_references(chain(MAX_CHAIN + 1))


@pytest.mark.parametrize("item", ["[0]", ".0", ".name"], ids=["index", "dotted index", "through another reference"])
def test_references_into_a_value_count_as_references_to_it(item: str) -> None:
    tenfold = {"k0": "x"} | {f"k{i}": [f"${{k{i - 1}{item}}}" * 10] for i in range(1, 10)}
    with pytest.raises(ConfigError, match="k4: its references stand for more than 10000 values"):
        check_references(tenfold)
