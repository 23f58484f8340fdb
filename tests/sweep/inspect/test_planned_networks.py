"""`usaggr plan` refuses a network that cannot be built, in a process of its own, and checks each network once."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sweep import fakes
from usaggr.config.folders import find_file, list_choices, search_folders
from usaggr.errors import ConfigError
from usaggr.sweep.inspect import planned_networks
from usaggr.sweep.inspect.planned_networks import check_planned_networks
from usaggr.sweep.planning.study_plan import Plan

SIZES = f'[{{"shared": 100, "by_task": {{"{fakes.TASK.id}": 10}}}}]\n'
"""Answer of the process about one network that can be built."""


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Standard output of the processes that are started, in their order."""
    outputs: list[str] = []

    def run(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        assert command[:2] == [sys.executable, "-P"], "modules of the current folder are not imported"
        return subprocess.CompletedProcess(command, 0, outputs.pop(0), "")

    monkeypatch.setattr(planned_networks.subprocess, "run", run)
    return outputs


def plan_of(tmp_path: Path, *overrides: str) -> Plan:
    study = fakes.study(tmp_path, f"data.cache_dir={tmp_path / 'cache'}", *overrides)
    return fakes.plan(study, fakes.planned(study, 0))


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("model", ["tiny", "mh_mtl", "m2dino", "m2dino_small", "m2dino_tiny"])
def test_shipped_networks_start_no_process_if_no_weights_are_kept(tmp_path: Path, model: str) -> None:
    check_planned_networks(plan_of(tmp_path, f"model={model}", "data.image_size=64", "training.keep_weights=none"))


def test_the_encoders_of_all_shipped_networks_are_listed() -> None:
    folders = search_folders(None)
    files = [find_file(f"model/{name}", folders) for name in list_choices("model", folders)]
    encoders = {
        content["encoder"] for file in files if file.is_file() and (content := yaml.safe_load(file.read_text()))
    }
    assert encoders == set().union(*planned_networks._SHIPPED_ENCODERS.values())


def test_a_network_that_cannot_be_built_is_refused(tmp_path: Path, answers: list[str]) -> None:
    answers.append("[\"model.encoder: unknown 'resnet1'\"]\n")
    with pytest.raises(ConfigError, match=r"^model\.encoder: unknown 'resnet1'$"):
        check_planned_networks(plan_of(tmp_path, "model.encoder=resnet1"))


def test_a_network_is_checked_again_only_if_it_has_changed(tmp_path: Path, answers: list[str]) -> None:
    answers += [SIZES, SIZES]
    check_planned_networks(plan_of(tmp_path, "model.encoder=resnet18"))
    assert len(answers) == 1
    check_planned_networks(plan_of(tmp_path, "model.encoder=resnet18", "training.batch_size=3"))
    assert len(answers) == 1
    check_planned_networks(plan_of(tmp_path, "model.encoder=resnet18", "model.decoder_channels=64"))
    assert answers == []


def test_a_process_without_an_answer_stops_no_plan(tmp_path: Path, answers: list[str]) -> None:
    answers += ["", '["unknown"]']
    check_planned_networks(plan_of(tmp_path, "model.encoder=resnet18"))
    with pytest.raises(ConfigError, match="unknown"):
        check_planned_networks(plan_of(tmp_path, "model.encoder=resnet18"))


@pytest.mark.slow
def test_an_encoder_that_does_not_exist_is_found_without_loading_torch_here(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^model\.encoder: unknown 'resnet1', did you mean 'resnet18'\?"):
        check_planned_networks(plan_of(tmp_path, "model.encoder=resnet1"))
    plan = plan_of(tmp_path, "model.encoder=resnet18")
    (sizes,) = check_planned_networks(plan).values()
    # 11.18 million parameters and 9,620 statistics of the encoder with classes left out, by torchvision's table.
    assert 11_176_512 * 4 < sizes.shared < 1.2 * 11_176_512 * 4
    assert sizes.by_task[fakes.TASK.id] < sizes.shared / 10
    assert len(list((tmp_path / "cache" / "networks").iterdir())) == 1
