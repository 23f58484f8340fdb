"""Configurations composed with cached lists of defaults equal those composed by Hydra alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hydra_cache import HydraCache
from usaggr.config import hydra
from usaggr.config.study import Origin
from usaggr.errors import ConfigError

ROOT = Path(__file__).parents[1]
SHIPPED = (ROOT / "sweeps", ROOT / "conf")
OVERRIDES = (
    (),
    ("training.batch_size=4", "seeds=[0,1]"),
    ("training.batch_size=5", "+model.dropout=0.5", "variants={slow:['training.learning_rate=1e-4']}"),
    ("model=m2dino", "model.experts.count=3", "data=fmuia", "data.root=/images"),
    ("model=m2dino_small", "data.organs={femur:fetal femur}", "scale=two"),
    ("data=fmuia", "scale=full", "logger=csv", "report.margin=0.02"),
)

pytestmark = pytest.mark.usefixtures("composed_by_hydra")


@pytest.fixture
def cache() -> Iterator[HydraCache]:
    cache = HydraCache()
    cache.switch_on()
    yield cache
    cache.switch_off()


def origin(*overrides: str, config: str = "demo", folders: tuple[Path, ...] = SHIPPED) -> Origin:
    return Origin(config=config, folders=folders, overrides=overrides)


@pytest.mark.parametrize("config", ["demo", "controls", "m2dino_ablation"])
def test_cached_lists_of_defaults_change_no_value(config: str) -> None:
    expected = [hydra.compose_values(origin(*overrides, config=config)) for overrides in OVERRIDES]
    cache = HydraCache()
    cache.switch_on()
    try:
        for _ in range(2):
            for overrides, values in zip(OVERRIDES, expected, strict=True):
                assert hydra.compose_values(origin(*overrides, config=config)) == values
    finally:
        cache.switch_off()


def test_changing_composed_values_does_not_change_later_compositions(cache: HydraCache) -> None:
    values = hydra.compose_values(origin("training.batch_size=4"))
    values["training"]["batch_size"] = 99
    values["seeds"].append(99)
    later_values = hydra.compose_values(origin("training.batch_size=4"))
    assert later_values["training"]["batch_size"] == 4
    assert 99 not in later_values["seeds"]


def test_files_of_other_folders_are_read_each_time(cache: HydraCache, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    for size in (4, 8):
        file.write_text(f"defaults: [sweep, _self_]\ntraining:\n  batch_size: {size}\n")
        values = hydra.compose_values(origin(config="mine", folders=(tmp_path, *SHIPPED)))
        assert values["training"]["batch_size"] == size


def test_an_error_of_hydra_is_raised_again_from_the_cache(cache: HydraCache) -> None:
    for _ in range(2):
        with pytest.raises(ConfigError, match="nowhere"):
            hydra.compose_values(origin("model.encoder=${nowhere}"))
