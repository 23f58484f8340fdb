"""Plans without training: runs that sleep, fail, hang or die as their settings say.

`python -m tests.sweep.fakes DIR JSON` sweeps such a plan in a separate process, for tests that kill it.
"""

import hashlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from usaggr.config.compose import compose_study
from usaggr.config.study import StudyConfig
from usaggr.data.samples import Dataset, Sample
from usaggr.data.split.manifest import make_manifest
from usaggr.errors import UsaggrError
from usaggr.io.locks import is_held
from usaggr.results import run_directory
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import Cost, RunResult
from usaggr.results.spec import Placement, RunSpec
from usaggr.sweep.execution.jobs import Executor
from usaggr.sweep.executors.local import worker
from usaggr.sweep.executors.local.executor import LocalExecutor
from usaggr.sweep.planning.study_plan import Plan, PlannedRun
from usaggr.tasks import CATALOGUE

if _beat := os.environ.get("FAKE_HEARTBEAT"):  # seconds, in all processes of a sweep
    run_directory.HEARTBEAT_SECONDS = worker.HEARTBEAT_SECONDS = float(_beat)

TARGET = "tests.sweep.fakes:execute"
TASK = CATALOGUE["lung_2cls"]
RESULT = RunResult(
    scores={TASK.id: {"auc": 0.9}},
    trivial={TASK.id: {"auc": 0.5}},
    validation={TASK.id: {"auc": 0.9}},
    trivial_validation={TASK.id: {"auc": 0.5}},
    n_train={TASK.id: 1},
    n_test={TASK.id: 1},
    n_subjects={TASK.id: 1},
    examples={TASK.id: 1},
    cost=Cost(1.0, 1.0, 1.0, 1.0, 1),
)


def execute(spec: RunSpec, directory: Path, study: StudyConfig, placement: Placement, data: object) -> None:
    """Do what `settings` say, in their order, instead of training; add a line to executions.txt next to runs/."""
    settings = spec.settings
    status = RunDirectory(directory).read_status()
    assert status is not None
    with (directory.parents[1] / "executions.txt").open("a") as file:
        file.write(f"{spec.run_id} {os.getpid()} {placement.threads} {os.environ.get('OMP_NUM_THREADS')}\n")
    (directory / "predictions.parquet").write_text("half")
    print("said on stdout", flush=True)
    os.system("echo said by a child")
    if status.attempt <= settings.get("dies", 0):
        os.kill(os.getpid(), signal.SIGKILL)
    if status.attempt <= settings.get("kills_server", 0):
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    if status.attempt <= settings.get("exits", 0):
        os._exit(0)
    if "allocates" in settings:
        _allocate(settings["allocates"], settings.get("address_space"), settings.get("cgroup"))
    if "memory" in settings:
        _need_memory(settings["memory"], directory)
    if settings.get("greedy") and (_other_runs(directory) if status.attempt > 1 else _company(directory)):
        _need_memory(settings["greedy"], directory)
    if "fills" in settings and not (disk := Path(settings["fills"]) / "roomy").exists():
        _fill(disk.with_name("filled"))
    if "errno" in settings and status.attempt == 1:
        raise OSError(settings["errno"], os.strerror(settings["errno"]), str(directory / "data"))
    if "raises" in settings and status.attempt <= settings.get("times", 10**9):
        raise ValueError(settings["raises"])
    if "stubborn" in settings:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if status.attempt <= settings.get("stops", 0):
        os.kill(os.getpid(), signal.SIGSTOP)
    if settings.get("deaf"):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR2])
    time.sleep(60 if status.attempt <= settings.get("hangs", 0) else settings.get("sleeps", 0))
    if settings.get("writes", True):
        RunDirectory(directory).write_result(RESULT)


def _need_memory(kind: str, directory: Path) -> None:
    match kind:
        case "torch":
            import torch

            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        case "kernel":
            os.kill(os.getpid(), signal.SIGKILL)
        case _:
            raise MemoryError("all is taken")


def _allocate(count: int, address_space: int | None, cgroup: str | None) -> None:
    """Fill `count` bytes of memory, under limits of the system for this process or for a control group."""
    if address_space is not None:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + address_space, resource.RLIM_INFINITY))
    if cgroup is not None:
        (Path(cgroup) / "cgroup.procs").write_text(str(os.getpid()))
    assert len(bytearray(b"1") * count) == count


def _fill(path: Path) -> None:
    """Fill a disk, as other people's files do."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def _other_runs(directory: Path) -> list[Path]:
    """Return the lock files of the other runs that train now."""
    locks = [path for path in directory.parent.glob("*/.lock") if path.parent != directory]
    return [path for path in locks if is_held(path)]


def _company(directory: Path) -> bool:
    """Wait up to 5 seconds until another run trains; return whether one does."""
    end = time.monotonic() + 5
    while not (has_company := bool(_other_runs(directory))) and time.monotonic() < end:
        time.sleep(0.01)
    return has_company


def study(outputs: Path, *overrides: str) -> StudyConfig:
    usual = [
        "name=fake",
        f"outputs={outputs}",
        "executor.workers=2",
        "training.accelerator=cpu",
        "seeds=[0]",
        "executor.grace=0",
    ]
    return compose_study("demo", [*usual, *overrides])


def planned(
    study: StudyConfig, seed: int, examples: int = 100, parent: str | None = None, **settings: Any
) -> PlannedRun:
    fingerprint = hashlib.sha256(f"{seed} {settings}".encode()).hexdigest()
    spec = RunSpec(TASK.id, (TASK.id,), 1.0, seed, "base", settings, {TASK.id: ("0.png",)}, fingerprint, parent)
    return PlannedRun(spec, ("task_specific",), study.directory / "runs" / spec.run_id, study, examples)


def plan(study: StudyConfig, *runs: PlannedRun) -> Plan:
    samples = tuple(
        Sample(
            TASK.id, f"{i:02}.png", Path(f"/{i}.png"), f"subject {i}", f"image {i}", "", 9, 9, "a.csv", i, label=i % 2
        )
        for i in range(40)
    )
    dataset = Dataset(Path("/data"), {TASK.id: TASK}, samples, ())
    return Plan(study, study.directory, make_manifest(dataset, study.data, study.seeds), {}, runs)


def executor(study: StudyConfig) -> LocalExecutor:
    return LocalExecutor(study.executor.machine, study.training.accelerator, TARGET)


def executions(study: StudyConfig) -> list[str]:
    """Return the run_id of each execution that has started, in order."""
    path = study.directory / "executions.txt"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def sweep(make: Callable[[StudyConfig], Executor], *chosen: str) -> int:
    """Sweep a plan, and return the exit status.

    argv is the outputs folder, a JSON list of the settings of the runs in the order of their seeds, and overrides. A
    run with `child` waits for the run before it. `chosen` are further overrides; `make` returns the executor.
    """
    from rich.console import Console

    from usaggr.sweep.sweep import run_sweep

    chosen_study = study(Path(sys.argv[1]), *chosen, *sys.argv[3:])
    runs: list[PlannedRun] = []
    for seed, settings in enumerate(json.loads(sys.argv[2])):
        parent = runs[-1].spec.run_id if settings.pop("child", False) else None
        runs.append(planned(chosen_study, seed, parent=parent, **settings))
    return run_sweep(
        plan(chosen_study, *runs),
        console=Console(stderr=True),
        executor=make(chosen_study),
        prepare=lambda plan, runs, progress: lambda run: None,
        build_report=lambda directories: directories[0],
    ).exit_status


if __name__ == "__main__":
    try:
        sys.exit(sweep(executor))
    except UsaggrError as error:  # as the command line does
        print(error, file=sys.stderr)
        sys.exit(2)
