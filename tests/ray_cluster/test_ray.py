"""Ray without a cluster: messages for invalid requests, and the outcome of a run for each of Ray's exceptions."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.sweep import fakes
from usaggr.config.compose import compose_study
from usaggr.config.executor import RayConfig
from usaggr.errors import ConfigError
from usaggr.sweep.execution.jobs import Job, Outcome
from usaggr.sweep.executors.choose_executor import make_executor
from usaggr.sweep.executors.ray import task as ray_task
from usaggr.sweep.executors.ray.executor import RayExecutor, make_task_machine
from usaggr.sweep.executors.ray.ray_cluster import ResourceRequest, _count_fitting_runs, explain_lost_task
from usaggr.sweep.executors.ray.run_claims import release_claim
from usaggr.sweep.executors.ray.task import Task


def config(*overrides: str) -> RayConfig:
    executor = compose_study("demo", ["executor=ray", *overrides]).executor
    assert isinstance(executor, RayConfig)
    return executor


def test_a_study_may_select_ray() -> None:
    assert isinstance(make_executor(compose_study("demo", ["executor=ray"])), RayExecutor)


def test_a_missing_package_is_reported_with_its_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install usaggr\[ray\]"), RayExecutor(config()):
        pass


def test_a_gpu_run_without_gpus_per_run_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"executor\.gpus"), RayExecutor(config(), "gpu"):
        pass


@pytest.mark.parametrize("wrong", ["executor.gpus=2", "executor.gpus=-1", "executor.memory=0", "executor.devices=[0]"])
def test_an_invalid_key_is_refused_by_name(wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong.partition("=")[0]):
        config(wrong)


def test_the_address_of_ray_s_client_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"executor\.address must be host:port"):
        config("executor.address=ray://far:10001")


def test_a_task_gets_one_worker_and_only_a_gpu_assigned_by_ray() -> None:
    machine = make_task_machine(config("executor.threads=3", "executor.timeout=9"))
    assert (machine.workers, machine.devices, machine.threads, machine.timeout) == (1, [], 3, 9)
    assert make_task_machine(config("executor.gpus=0.5")).devices is None


@pytest.mark.parametrize(
    ("resources", "runs"),
    [
        (ResourceRequest(1, 0, None), 8),
        (ResourceRequest(3, 0, None), 2),
        (ResourceRequest(1, 0.3, None), 6),
        (ResourceRequest(1, 1, None), 2),
        (ResourceRequest(1, 0, 3), 5),
        (ResourceRequest(9, 0, None), 0),
    ],
)
def test_the_scarcest_resource_limits_the_runs_on_a_node(resources: ResourceRequest, runs: int) -> None:
    assert _count_fitting_runs({"CPU": 8.0, "GPU": 2.0, "memory": 16.0 * 1024**3}, resources) == runs


def errors() -> list[tuple[Any, Outcome]]:
    exceptions = pytest.importorskip("ray.exceptions", reason="ray is not installed: pip install usaggr[ray]")
    return [
        (exceptions.TaskCancelledError(), "interrupted"),
        (exceptions.NodeDiedError("gone"), "interrupted"),
        (exceptions.LocalRayletDiedError(), "interrupted"),
        (exceptions.ObjectLostError("0" * 56, None, ""), "interrupted"),
        (exceptions.OwnerDiedError("0" * 56, None, ""), "interrupted"),
        (exceptions.OutOfMemoryError("ended"), "killed"),
        (exceptions.WorkerCrashedError(), "died"),
        (exceptions.RuntimeEnvSetupError("no"), "failed"),
        (exceptions.TaskUnschedulableError("no"), "failed"),
        (ValueError("what is this"), "failed"),
    ]


def test_a_run_lost_by_ray_is_repeated_and_a_refused_one_is_not() -> None:
    import ray.exceptions

    for error, outcome in errors():
        returned = explain_lost_task(error, ray.exceptions)
        assert returned.outcome == outcome, error
        assert "\n" not in returned.message
        assert returned.message


def test_no_run_fails_because_the_only_node_of_ray_has_ended() -> None:
    exceptions = pytest.importorskip("ray.exceptions", reason="ray is not installed: pip install usaggr[ray]")
    for error in (exceptions.NodeDiedError("gone"), exceptions.LocalRayletDiedError()):
        assert explain_lost_task(error, exceptions, has_one_node=True).outcome == "unstartable"
    assert explain_lost_task(exceptions.TaskCancelledError(), exceptions, has_one_node=True).outcome == "interrupted"


def test_a_node_with_another_version_of_usaggr_trains_nothing(tmp_path: Path) -> None:
    study = fakes.study(tmp_path, "executor=ray")
    run = fakes.planned(study, 0)
    job = Job(run.spec, run.directory, study, None, 1)
    task = Task(job, study.executor.machine, "cpu", fakes.TARGET, "0.0.1", None)
    returned = ray_task.execute(task)
    assert returned.outcome == "failed"
    assert "install the same version" in returned.message


def test_the_claim_of_a_lost_attempt_is_released_immediately_but_not_that_of_a_later_one(tmp_path: Path) -> None:
    from usaggr.results.run_directory import RunDirectory

    run = RunDirectory(tmp_path / "run")
    with run.claim(2) as mine:
        assert mine
    status = run.read_status()
    assert status is not None
    run.write_status(replace(status, host="another"))
    assert run.read_state() == "running"
    release_claim(run.path, 1)
    assert run.read_state() == "running"
    release_claim(run.path, 2)
    assert run.read_state() == "pending"
