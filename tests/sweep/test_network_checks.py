"""Networks are checked once before a sweep's first run, in a separate process; a failure is reported in one line."""

import dataclasses
import io
import json
import sys
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file

from tests.models.test_vit_weights import put_into_cache, source
from tests.sweep import fakes
from usaggr.config.study import StudyConfig
from usaggr.errors import ConfigError, RunError
from usaggr.models.checking import check_network
from usaggr.models.weight_sizes import WeightSizes
from usaggr.progress import NoProgress
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep import network_checks, sweep
from usaggr.sweep.executors.local import forkserver
from usaggr.sweep.executors.local.executor import start_worker_server
from usaggr.sweep.network_checks import check_networks, find_distinct_networks
from usaggr.sweep.planning.study_plan import Plan
from usaggr.tasks import CATALOGUE

SIZES = WeightSizes(100, {fakes.TASK.id: 10})
TASKS = tuple(CATALOGUE[task_id] for task_id in ("cardiac_multi", "breast_3cls", "thyroid_nodule_det", "IUGC"))


@pytest.fixture(autouse=True)
def _no_server_is_left() -> object:
    yield
    forkserver.stop_server()


def study(tmp_path: Path, *overrides: str) -> StudyConfig:
    return fakes.study(tmp_path, "model=m2dino_tiny", "data.image_size=64", *overrides)


def plan_of(*studies: StudyConfig) -> Plan:
    return fakes.plan(studies[0], *(fakes.planned(config, seed, writes=True) for seed, config in enumerate(studies)))


class Counted(NoProgress):
    """Records what was started, and counts steps."""

    def __init__(self) -> None:
        self.started: list[tuple[str, int]] = []
        self.steps = 0

    def start(self, what: str, total: int) -> None:
        self.started.append((what, total))

    def advance(self, n: int = 1) -> None:
        self.steps += n


def test_each_network_is_built_once_with_the_tasks_of_all_its_runs(tmp_path: Path) -> None:
    small, large = study(tmp_path), study(tmp_path, "data.image_size=96")
    with_lora = study(tmp_path, "model.conditioning=lora")
    plan = plan_of(small, large, small, with_lora)
    spec = dataclasses.replace(plan.runs[2].spec, tasks=(fakes.TASK.id,))
    networks = find_distinct_networks(plan, [*plan.runs, dataclasses.replace(plan.runs[2], spec=spec)])
    assert [(network.model.conditioning, network.size) for network in networks] == [  # type: ignore[union-attr]
        ("experts", (64, 64)), ("experts", (96, 96)), ("lora", (64, 64)),
    ]  # fmt: skip
    assert {network.tasks for network in networks} == {(fakes.TASK,)}


@pytest.mark.slow
def test_valid_networks_leave_the_server_to_the_executor_and_no_torch_here(tmp_path: Path) -> None:
    progress = Counted()
    plan = plan_of(study(tmp_path), study(tmp_path, "model=tiny"), study(tmp_path, "model.experts.noise=0.1"))
    check_networks(plan, plan.runs, progress)
    assert (progress.started, progress.steps) == ([("networks checked", 3)], 3)
    server = forkserver.forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    assert server is not None
    start_worker_server(plan.study.executor.machine)
    assert forkserver.forkserver._forkserver._forkserver_pid == server  # type: ignore[attr-defined]
    start_worker_server(plan.study.executor.machine)
    assert forkserver.forkserver._forkserver._forkserver_pid != server  # type: ignore[attr-defined]


def test_a_server_with_other_threads_is_not_taken_over(tmp_path: Path) -> None:
    configs = [study(tmp_path, f"executor.threads={n}").executor.machine for n in (1, 2)]
    start_worker_server(configs[0], fakes.TARGET, ahead=True)
    first = forkserver.forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    start_worker_server(configs[1], fakes.TARGET)
    assert forkserver.forkserver._forkserver._forkserver_pid != first  # type: ignore[attr-defined]


def test_a_server_that_died_meanwhile_is_not_taken_over(tmp_path: Path) -> None:
    config = study(tmp_path).executor.machine
    start_worker_server(config, fakes.TARGET, ahead=True)
    first: int = forkserver.forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    psutil.Process(first).kill()
    while psutil.pid_exists(first) and psutil.Process(first).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    with fakes.executor(study(tmp_path, "executor.workers=1")) as executor:
        assert executor.slots == 1


def test_an_error_ends_the_check_with_one_line_and_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error here is missing weights, without internet access and with an empty cache."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = set(psutil.Process().children(recursive=True))
    plan = plan_of(study(tmp_path, "model.weights=timm"))
    progress = Counted()
    with pytest.raises(
        ConfigError, match=r"^model\.weights=timm: .*download model\.safetensors of timm/test_vit\."
    ) as caught:
        check_networks(plan, plan.runs, progress)
    assert "\n" not in str(caught.value)
    assert progress.started == [("networks checked, missing weights downloaded", 1)]
    forkserver.stop_server()
    left = set(psutil.Process().children(recursive=True)) - before
    assert not [p for p in left if p.status() != psutil.STATUS_ZOMBIE and "forkserver" in " ".join(p.cmdline())]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.conditioned_blocks=[3,9]"], r"^model\.conditioned_blocks: test_vit has 6 blocks"),
        (["model.encoder=test_vitt"], r"^model\.encoder: unknown 'test_vitt', did you mean 'test_vit'"),
        (["model=tiny", "model.encoder=tu-test_resnett"], r"^model\.encoder: unknown 'tu-test_resnett'"),
    ],
)
def test_an_error_that_would_end_a_run_is_reported_in_one_line(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        check_network(study(tmp_path, *overrides).model, TASKS, (64, 64))
    assert "\n" not in str(caught.value)


def test_the_variant_with_the_error_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = study(tmp_path, "variants={base:[],deep:['model.conditioned_blocks=[3,9]']}")
    answers(monkeypatch, ("fault", "model.conditioned_blocks: too deep", None))
    plan = plan_of(config)
    run = dataclasses.replace(plan.runs[0], spec=dataclasses.replace(plan.runs[0].spec, variant="deep"))
    with pytest.raises(ConfigError, match=r"^variant deep: model\.conditioned_blocks: too deep$"):
        check_networks(plan, [run], NoProgress())


def test_an_unexpected_error_is_reported_with_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, ("error", "Traceback\nZeroDivisionError: no", None))
    plan = plan_of(study(tmp_path))
    with pytest.raises(RunError, match=r"(?s)the network m2dino cannot be built:.*ZeroDivisionError: no"):
        check_networks(plan, plan.runs, NoProgress())


def test_a_checking_process_that_dies_is_reported_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch)
    plan = plan_of(study(tmp_path))
    with pytest.raises(RunError, match="the process that checks the network m2dino died"):
        check_networks(plan, plan.runs, NoProgress())


def answers(monkeypatch: pytest.MonkeyPatch, *messages: tuple[str, str, WeightSizes | None]) -> None:
    """Replace the checking process by one that sends these messages."""

    class Answering:
        pid = None

        def __init__(self, target: object, args: tuple[Connection, object], daemon: bool) -> None:
            self._pipe = args[0]

        def start(self) -> None:
            for message in messages:
                self._pipe.send(message)

    context = SimpleNamespace(Process=Answering, Pipe=Pipe)
    monkeypatch.setattr(
        "usaggr.sweep.executors.local.executor.start_worker_server", lambda config, preload, ahead: context
    )


def test_an_error_ends_a_sweep_before_its_data_are_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[object] = []

    def check(*_: object) -> None:
        raise ConfigError("model.encoder: no")

    plan = plan_of(study(tmp_path))
    with pytest.raises(ConfigError, match=r"model\.encoder: no"):
        sweep.run_sweep(
            plan,
            console=Console(file=io.StringIO()),
            check=check,
            prepare=lambda *_: prepared.append(1),  # type: ignore[func-returns-value, arg-type, return-value]
            build_report=lambda directories: directories[0],
        )
    assert prepared == []
    assert RunDirectory(plan.runs[0].directory).read_state() == "pending"


def test_a_sweep_without_runs_to_train_checks_no_network(tmp_path: Path) -> None:
    plan = plan_of(study(tmp_path))
    directory = RunDirectory(plan.runs[0].directory)
    directory.path.mkdir(parents=True)
    directory.write_result(fakes.RESULT)

    def never(*_: object) -> None:
        raise AssertionError("nothing is to be checked")

    outcome = sweep.run_sweep(
        plan, console=Console(file=io.StringIO()), check=never, build_report=lambda directories: directories[0]
    )
    assert outcome.exit_status == 0


def test_weights_that_changed_under_one_id_are_refused_once_a_run_has_used_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(study(tmp_path, "model.weights=timm"))
    note = plan.directory / network_checks.DOWNLOADS
    plan.directory.mkdir(parents=True)
    for content in ("one", "two"):  # no run has used either
        answers(monkeypatch, ("fits", content, SIZES))
        check_networks(plan, plan.runs, NoProgress())
        assert json.loads(note.read_text()) == {"test_vit": content}
    directory = RunDirectory(plan.runs[0].directory)
    directory.path.mkdir(parents=True)
    directory.write_result(fakes.RESULT)
    check_networks(plan, plan.runs, NoProgress())
    answers(monkeypatch, ("fits", "three", SIZES))
    with pytest.raises(ConfigError, match=r"of test_vit \(three\) differ from .* \(two\); start another study"):
        check_networks(plan, plan.runs, NoProgress())


@pytest.mark.parametrize("conditioning", ["experts", "lora", "film", "none"])
def test_a_large_network_is_checked_without_memory_for_it(
    tmp_path: Path, conditioning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[torch.nn.Module] = []
    real = sys.modules["usaggr.models.checking"].build_network

    def build(*args: object, **kwargs: object) -> torch.nn.Module:
        built.append(real(*args, **kwargs))
        return built[-1]

    monkeypatch.setattr("usaggr.models.checking.build_network", build)
    model = study(tmp_path, "model=m2dino", f"model.conditioning={conditioning}", "model.experts.noise=0.1").model
    assert check_network(model, TASKS, (64, 64)).download is None
    assert [all(p.is_meta for p in network.parameters()) for network in built] == [True]


def test_an_image_size_that_is_no_multiple_of_the_encoder_s_patch_size_is_refused(tmp_path: Path) -> None:
    model = study(tmp_path, "model.encoder=vit_tiny_patch16_224", "model.patch_size=null").model
    with pytest.raises(
        ConfigError, match=r"^data\.image_size: must be a multiple of 16, the patch of vit_tiny_patch16_224"
    ):
        check_network(model, TASKS, (64, 72))


def test_the_check_returns_file_and_hash_of_the_weights_of_timm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    put_into_cache(tmp_path, source("test_vit").state_dict(), "c0ffee")
    content = check_network(study(tmp_path, "model.weights=timm").model, TASKS, (64, 64)).download
    assert content is not None
    assert content.startswith("timm/test_vit.r160_in1k model.safetensors sha256:")


def test_weights_in_a_file_are_checked_against_the_network(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    save_file(source("test_vit").state_dict(), file)
    assert check_network(study(tmp_path, f"model.weights={file}").model, TASKS, (64, 64)).download is None
    with pytest.raises(ConfigError, match="does not fit vit_small_patch16_dinov3"):
        check_network(study(tmp_path, "model=m2dino_small", f"model.weights={file}").model, TASKS, (64, 64))
