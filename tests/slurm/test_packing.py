"""Distribution of runs over jobs."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usaggr.config.compose import compose_study
from usaggr.config.executor import SlurmConfig
from usaggr.errors import ConfigError
from usaggr.sweep.executors.slurm.packing import UNKNOWN, WORTHWHILE, assign_to_jobs, make_job_machine


@cache
def default() -> SlurmConfig:
    executor = compose_study("demo", ["executor=slurm"]).executor
    assert isinstance(executor, SlurmConfig)
    return executor


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
    groups = assign_to_jobs(config(runs_per_job=runs_per_job, jobs=jobs), runs, seconds)
    assert sorted(run for job in groups for run in job) == runs
    assert all(groups)
    assert all(job == sorted(job) for job in groups)
    if runs_per_job is not None:
        assert all(len(job) <= runs_per_job for job in groups)


def test_runs_per_job_is_the_maximum_and_long_and_short_runs_are_mixed() -> None:
    assert assign_to_jobs(config(runs_per_job=3), [0, 1, 2, 3], [None] * 4) == [[0, 2], [1, 3]]


def test_without_an_estimate_a_job_gets_a_fixed_number_of_runs_per_worker() -> None:
    groups = assign_to_jobs(config(cpus=2, jobs=100), list(range(40)), [None] * 40)
    assert sizes(groups) == [2 * UNKNOWN] * 5


def test_with_an_estimate_a_job_uses_at_most_half_of_its_time_limit() -> None:
    # 40 runs of 20 minutes, 2 at once, take 400 minutes in one job. Each job may use 60 minutes, so 7 are needed.
    groups = assign_to_jobs(config(cpus=2, time=120, jobs=1), list(range(40)), [1200.0] * 40)
    assert len(groups) == 7
    assert all(len(job) * 20 / 2 <= 60 for job in groups)


def test_runs_are_spread_over_all_parallel_jobs_only_if_the_work_justifies_a_start() -> None:
    assert len(assign_to_jobs(config(cpus=1, time=600, jobs=4), list(range(40)), [WORTHWHILE] * 40)) == 4
    assert len(assign_to_jobs(config(cpus=1, time=600, jobs=4), list(range(40)), [1.0] * 40)) == 1


def test_a_run_longer_than_the_time_limit_has_a_job_nearly_alone() -> None:
    groups = assign_to_jobs(config(cpus=1, time=10, jobs=2), [0, 1, 2], [9000.0, 60.0, 60.0])
    assert groups[0] == [0]


def test_a_job_has_one_worker_per_core_or_as_many_as_share_its_gpus() -> None:
    machine = make_job_machine(config(cpus=8))
    assert (machine.workers, machine.threads, machine.devices) == (8, 1, [])
    machine = make_job_machine(config(cpus=8, gpus=2, runs_per_device=2))
    assert (machine.workers, machine.threads, machine.devices) == (4, 2, None)
    assert make_job_machine(config(cpus=8, workers=2, threads=3)).threads == 3
    assert make_job_machine(config(cpus=8, gpus=4, devices=[1, 3])).workers == 2
    with pytest.raises(ConfigError, match=r"executor\.devices"):
        make_job_machine(config(gpus=1, devices=[1]))


def test_the_papers_study_makes_as_many_jobs_as_documented() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "executors.md").read_text()
    for changed in ({"gpus": 1}, {"gpus": 1, "runs_per_device": 4}, {}):
        job_sizes = sizes(assign_to_jobs(config(**changed), list(range(420)), [None] * 420))
        runs = f"{min(job_sizes)}" if min(job_sizes) == max(job_sizes) else f"{min(job_sizes)} to {max(job_sizes)}"
        key = "".join(f" executor.{name}={value}" for name, value in changed.items())
        (row,) = (line for line in docs.splitlines() if line.startswith(f"| `executor=slurm{key}` "))
        assert f"| {len(job_sizes)} jobs of {runs} runs |" in row
    by_time = assign_to_jobs(config(gpus=1), list(range(420)), [18 * 3600 / 420] * 420)
    assert len(by_time) == 16
    assert "give 16 jobs\nof about 70 minutes" in docs
