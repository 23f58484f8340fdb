"""Keys of balancing and sampling: their neutral values change neither fingerprints nor joins of results."""

from functools import cache
from pathlib import Path

import pytest

from tests.report.sweeps import FakeSweep
from usaggr.config.compose import compose_study
from usaggr.config.section import Section, get_result_settings, key, list_neutral_values
from usaggr.config.study import TrainingConfig
from usaggr.errors import ConfigError, RunError
from usaggr.results.join import join_sources
from usaggr.results.stored_study import Source, read_source
from usaggr.sweep.planning import balancing_checks as balancing_room
from usaggr.sweep.planning.balancing_checks import PACKAGES, check_balancing, check_sampling


@cache
def training(*overrides: str) -> TrainingConfig:
    return compose_study("demo", overrides).training


def test_the_neutral_values_are_the_defaults_and_are_not_in_fingerprints() -> None:
    settings = get_result_settings(training())
    assert not {"balancing", "sampling"} & set(settings)
    assert list_neutral_values(TrainingConfig, "training") == {
        "training.balancing": "equal",
        "training.sampling": "equal",
    }
    assert (training().balancing, training().sampling) == ("equal", "equal")


@pytest.mark.parametrize("override", ["balancing=uncertainty", "balancing=pcgrad", "sampling=sqrt", "sampling=uniform"])
def test_any_other_value_is_in_the_fingerprint(override: str) -> None:
    name, value = override.split("=")
    assert get_result_settings(training(f"training.{override}"))[name] == value


def test_a_key_without_a_neutral_value_is_always_hashed() -> None:
    class PartSection(Section):
        plain: str = key(affects_results=True, doc="")
        later: int = key(affects_results=True, neutral=0, doc="")
        free: int = key(affects_results=False, neutral=0, doc="")

    assert get_result_settings(PartSection(plain="", later=0, free=1)) == {"plain": ""}
    assert get_result_settings(PartSection(plain="", later=2, free=0)) == {"plain": "", "later": 2}
    assert list_neutral_values(PartSection, "") == {"later": 0, "free": 0}


@pytest.mark.parametrize("value", ["pcgard", "sum"])
def test_an_unknown_method_of_balancing_is_refused_with_the_allowed_ones(value: str) -> None:
    allowed = "equal, imtl_g, mgda, pcgrad, uncertainty, upgrad"
    with pytest.raises(ConfigError, match=f"training.balancing: .*Allowed: {allowed}"):
        training(f"training.balancing={value}")


def test_a_missing_package_is_named_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    for missing in PACKAGES:
        monkeypatch.setattr(
            balancing_room.importlib.util, "find_spec", lambda name, missing=missing: None if name == missing else 1
        )
        check_balancing(training())
        check_balancing(training("training.balancing=uncertainty"))
        with pytest.raises(ConfigError) as caught:
            check_balancing(training("training.balancing=upgrad"))
        assert str(caught.value) == (
            f"training.balancing=upgrad needs the package {missing}: pip install usaggr[torchjd]"
        )


def test_a_staged_grouping_is_refused_with_other_sampling_than_equal() -> None:
    check_sampling(training("training.balancing=upgrad"), "staged_task")
    with pytest.raises(ConfigError, match=r"training\.sampling=sqrt: must be equal with the staged grouping"):
        check_sampling(training("training.sampling=sqrt"), "staged_task")


def source(folder: Path, seed: int, **training: str) -> Source:
    FakeSweep(folder, seeds=(seed,), settings={"training": training}).write_plan()
    return read_source(folder)


def test_results_without_the_keys_are_joined_with_results_of_neutral_values(tmp_path: Path) -> None:
    old, new = source(tmp_path / "a", 0), source(tmp_path / "b", 1, balancing="equal", sampling="equal")
    assert join_sources([old, new])[0].seeds == (0, 1)
    with pytest.raises(RunError, match=r"training\.sampling is None in the first, 'sqrt' in the second"):
        join_sources([old, source(tmp_path / "c", 1, sampling="sqrt")])
