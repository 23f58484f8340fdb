"""Slots: one per core or one per GPU, and never more cores than this process may use."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usaggr.config.executor import LocalConfig
from usaggr.errors import ConfigError
from usaggr.results.spec import Placement
from usaggr.sweep.executors.local.placement import count_usable_cores, make_placements


def config(
    workers: int | None = None,
    threads: int | None = None,
    devices: list[int] | None = None,
    runs_per_device: int | None = None,
) -> LocalConfig:
    return LocalConfig(
        name="local",
        workers=workers,
        threads=threads,
        devices=devices,
        runs_per_device=runs_per_device,
        runs_per_worker=None,
        attempts=1,
        timeout=None,
        grace=10.0,
    )


def test_without_a_gpu_there_is_one_slot_with_one_thread_per_core() -> None:
    assert make_placements(config(), gpus=0, cores=4) == [Placement(1, None)] * 4


def test_with_gpus_there_is_one_slot_per_gpu_and_they_share_the_cores() -> None:
    assert make_placements(config(), gpus=2, cores=8) == [Placement(4, 0), Placement(4, 1)]


def test_more_workers_than_gpus_use_the_gpus_in_turn() -> None:
    assert [p.device for p in make_placements(config(workers=4), gpus=2, cores=8)] == [0, 1, 0, 1]


def test_a_gpu_has_as_many_slots_as_configured_which_share_the_cores() -> None:
    slots = make_placements(config(runs_per_device=2), gpus=2, cores=8)
    assert slots == [Placement(2, 0), Placement(2, 1)] * 2


def test_workers_beyond_the_capacity_of_the_gpus_are_not_started() -> None:
    assert [p.device for p in make_placements(config(workers=3, runs_per_device=2), gpus=2, cores=8)] == [0, 1, 0]
    assert [p.device for p in make_placements(config(workers=9, runs_per_device=2), gpus=2, cores=8)] == [0, 1, 0, 1]


def test_runs_per_device_does_not_apply_to_the_cpu() -> None:
    assert make_placements(config(runs_per_device=3), gpus=0, cores=2) == [Placement(1, None)] * 2


def test_only_the_listed_gpus_are_used_and_none_for_an_empty_list() -> None:
    assert [p.device for p in make_placements(config(devices=[3, 1, 3]), gpus=4, cores=8)] == [3, 1]
    assert make_placements(config(devices=[]), gpus=4, cores=2) == [Placement(1, None)] * 2


@pytest.mark.parametrize(("gpus", "message"), [(0, "this machine has no usable GPU"), (2, "has 2, numbered from 0")])
def test_a_gpu_that_does_not_exist_is_refused(gpus: int, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"executor\.devices: no GPU 2; .*{message}"):
        make_placements(config(devices=[2]), gpus=gpus, cores=2)


@given(st.none() | st.integers(1, 20), st.integers(0, 4), st.integers(1, 32))
def test_threads_add_up_to_at_most_the_cores_unless_there_are_more_workers(
    workers: int | None, gpus: int, cores: int
) -> None:
    slots = make_placements(config(workers), gpus, cores)
    assert all(p.threads >= 1 for p in slots)
    assert sum(p.threads for p in slots) <= max(cores, len(slots))


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "max 100000"}, 64),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64),
        ({"cpu.max": "nonsense"}, 64),
        ({}, 64),
    ],
)
def test_a_container_s_quota_limits_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert count_usable_cores(tmp_path) == cores


def test_a_process_bound_to_one_core_uses_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert count_usable_cores(tmp_path) == 1
