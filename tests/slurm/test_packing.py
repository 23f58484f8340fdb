"""How runs are shared out between jobs."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usaggr.config.compose import compose_study
from usaggr.config.executor import SlurmConfig
from usaggr.errors import ConfigError
from usaggr.sweep.executors.slurm.packing import UNKNOWN, WORTHWHILE, machine_of, packs


@cache
def default() -> SlurmConfig:
    found = compose_study("demo", ["executor=slurm"]).executor
    assert isinstance(found, SlurmConfig)
    return found


def config(**changed: Any) -> SlurmConfig:
    return default().model_copy(update=changed)


def sizes(jobs: list[list[int]]) -> list[int]:
    return [len(job) for job in jobs]


@given(
    st.lists(st.one_of(st.none(), st.floats(1, 1e5)), max_size=60),
    st.one_of(st.none(), st.integers(1, 9)),
    st.integers(1, 9),
)
def test_each_run_is_in_one_job_and_no_job_is_empty(
    seconds: list[float | None], runs_per_job: int | None, jobs: int
) -> None:
    runs = list(range(len(seconds)))
    found = packs(config(runs_per_job=runs_per_job, jobs=jobs), runs, seconds)
    assert sorted(run for job in found for run in job) == runs
    assert all(found)
    assert all(job == sorted(job) for job in found)
    if runs_per_job is not None:
        assert all(len(job) <= runs_per_job for job in found)


def test_runs_per_job_is_the_most_and_long_and_short_runs_are_mixed() -> None:
    assert packs(config(runs_per_job=3), [0, 1, 2, 3], [None] * 4) == [[0, 2], [1, 3]]


def test_without_an_estimate_a_job_gets_a_few_runs_for_each_worker() -> None:
    found = packs(config(cpus=2, jobs=100), list(range(40)), [None] * 40)
    assert sizes(found) == [2 * UNKNOWN] * 5


def test_by_estimate_a_job_has_half_of_its_time_to_spare() -> None:
    # 40 runs of 20 minutes, 2 at once: 400 minutes of one job, of which each does 60.
    found = packs(config(cpus=2, time=120, jobs=1), list(range(40)), [1200.0] * 40)
    assert len(found) == 7
    assert all(len(job) * 20 / 2 <= 60 for job in found)


def test_runs_are_spread_over_the_jobs_that_may_run_at_once_if_that_is_worth_a_start() -> None:
    assert len(packs(config(cpus=1, time=600, jobs=4), list(range(40)), [WORTHWHILE] * 40)) == 4
    assert len(packs(config(cpus=1, time=600, jobs=4), list(range(40)), [1.0] * 40)) == 1


def test_a_run_longer_than_a_job_has_one_nearly_to_itself() -> None:
    found = packs(config(cpus=1, time=10, jobs=2), [0, 1, 2], [9000.0, 60.0, 60.0])
    assert found[0] == [0]


def test_a_job_has_as_many_workers_as_its_cores_or_its_gpus_take() -> None:
    machine = machine_of(config(cpus=8))
    assert (machine.workers, machine.threads, machine.devices) == (8, 1, [])
    machine = machine_of(config(cpus=8, gpus=2, runs_per_device=2))
    assert (machine.workers, machine.threads, machine.devices) == (4, 2, None)
    assert machine_of(config(cpus=8, workers=2, threads=3)).threads == 3
    assert machine_of(config(cpus=8, gpus=4, devices=[1, 3])).workers == 2
    with pytest.raises(ConfigError, match=r"executor\.devices"):
        machine_of(config(gpus=1, devices=[1]))


def test_the_papers_study_makes_as_many_jobs_as_the_docs_say() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "executors.md").read_text()
    for changed in ({"gpus": 1}, {"gpus": 1, "runs_per_device": 4}, {}):
        found = sizes(packs(config(**changed), list(range(420)), [None] * 420))
        runs = f"{min(found)}" if min(found) == max(found) else f"{min(found)} to {max(found)}"
        key = "".join(f" executor.{name}={value}" for name, value in changed.items())
        (row,) = (line for line in docs.splitlines() if line.startswith(f"| `executor=slurm{key}` "))
        assert f"| {len(found)} jobs of {runs} runs |" in row
    by_time = packs(config(gpus=1), list(range(420)), [18 * 3600 / 420] * 420)
    assert len(by_time) == 16
    assert "give 16 jobs\nof about 70 minutes" in docs
