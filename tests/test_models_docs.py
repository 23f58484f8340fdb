"""docs/models.md agrees with the tool: its commands compose, its overrides are valid, and it lists every key."""

import re
import shlex
from pathlib import Path

import pytest

from usaggr.config.compose import compose_study
from usaggr.config.model import M2DinoConfig, MhMtlConfig
from usaggr.config.section import Section, walk_leaf_keys
from usaggr.models.vit import LEVELS

PAGE = (Path(__file__).parents[1] / "docs" / "models.md").read_text()
CONF = Path(__file__).parents[1] / "conf" / "model"
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


def section(title: str) -> str:
    """Return the text from a heading to the next heading of the same or a higher level."""
    level, start = title.index(" "), PAGE.index(f"\n{title}\n") + 1
    after = re.search(rf"^#{{1,{level}}} ", PAGE[start + len(title) :], re.MULTILINE)
    return PAGE[start : start + len(title) + after.start()] if after else PAGE[start:]


def first_cells(text: str) -> list[list[str]]:
    """Return the names in code format in the first cell of each table row."""
    cells = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
    return [names for row in cells if (names := re.findall(r"`([^`=]+)`", row))]


def overrides_of_variants() -> dict[str, list[str]]:
    cells = re.findall(r"^\| (\w+) \| `([^`]+)` \|", section("### Ablations"), re.MULTILINE)
    return {name: [f"model.{override}" for override in overrides.split()] for name, overrides in cells}


def keys_of(config: type[Section]) -> set[str]:
    return {name for name, _ in walk_leaf_keys(config, "")} - {"name"}


def test_the_page_prints_commands() -> None:
    assert len(COMMANDS) >= 5


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_composes(command: str) -> None:
    tool, verb, *words = shlex.split(command)
    assert (tool, verb) == ("usaggr", "plan")
    study = words.pop(0) if "=" not in words[0] else "demo"
    composed = compose_study(study, words)
    assert study != "demo" or composed.name != "demo", "an example must not write into the demo's folder"


def test_every_shipped_network_is_in_the_first_table() -> None:
    table = PAGE[: PAGE.index("\n## ")]
    assert {name for (name,) in first_cells(table)} == {path.stem for path in CONF.glob("*.yaml")}


def test_every_key_of_both_networks_is_explained() -> None:
    for title, config in (("### Keys", M2DinoConfig), ("## mh_mtl", MhMtlConfig)):
        explained = {name for names in first_cells(section(title)) for name in names}
        assert explained - {"model."} == keys_of(config)


def test_each_ablation_is_another_network() -> None:
    variants = overrides_of_variants()
    assert len(variants) == 7
    networks = [compose_study("demo", ["model=m2dino_small"]).model]
    networks += [compose_study("demo", ["model=m2dino_small", *overrides]).model for overrides in variants.values()]
    assert len({network.model_dump_json() for network in networks}) == 8


def test_ablations_have_the_documented_sizes() -> None:
    import torch

    from usaggr.models.build_network import build_network
    from usaggr.models.parameters import count_parameters
    from usaggr.tasks import CATALOGUE

    def active(*overrides: str) -> int:
        # Noise does not change the size, and meta tensors have no values from which it could be drawn.
        model = compose_study("demo", ["model=m2dino_small", *overrides]).model.model_copy()
        assert isinstance(model, M2DinoConfig)
        model = model.model_copy(update={"experts": model.experts.model_copy(update={"noise": 0.0})})
        with torch.device("meta"):
            return count_parameters(build_network(model, [CATALOGUE["lung"]], 0)).active

    variants = overrides_of_variants()
    assert active(*variants["wide"]) == pytest.approx(active(), rel=1e-3)
    assert active(*variants["one"]) == pytest.approx(active(*variants["dense"]), rel=1e-3)


def test_the_documented_blocks_are_those_that_the_decoder_uses() -> None:
    depth = 12
    read = [-(-depth * (i + 1) // LEVELS) for i in range(LEVELS)]
    drawn = re.findall(r"maps of blocks (\d+) and (\d+)", PAGE)
    assert [int(block) for pair in drawn for block in pair] == read
