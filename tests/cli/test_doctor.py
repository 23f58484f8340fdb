"""`usaggr doctor` names what may prevent a sweep, and shows no secrets."""

import errno
import os
import shutil
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest

from usaggr.cli import doctor_command, doctor_folders, doctor_machine, doctor_reachability
from usaggr.cli.doctor_findings import Finding
from usaggr.cli.main import main
from usaggr.config.compose import compose_study
from usaggr.config.study import StudyConfig

ANSWER = '{"torch": "2.9.0", "cuda": null, "mps": false, "gpus": []}'


def compose(*overrides: str) -> StudyConfig:
    return compose_study("demo", overrides)


def warnings(findings: Iterable[Finding]) -> dict[str, str]:
    """Return the warnings by topic."""
    return {finding.topic: finding.warning for finding in findings if finding.warning}


def text(findings: Iterable[Finding]) -> str:
    return "\n".join(finding.text for finding in findings)


@pytest.fixture
def torch_answer(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.CompletedProcess[str]]:
    """Answer of the process that imports torch; a test may replace it."""
    answers = [subprocess.CompletedProcess([], 0, ANSWER, "")]
    monkeypatch.setattr(doctor_machine.subprocess, "run", lambda *arguments, **named: answers[-1])
    return answers


@pytest.mark.usefixtures("torch_answer")
def test_the_output_has_a_line_for_each_topic(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["usaggr", "doctor"])
    monkeypatch.setattr(doctor_folders, "_MIN_FREE_GIB", 0.0)
    monkeypatch.setattr(doctor_machine, "_MIN_MEMORY_GIB", 0.0)
    with pytest.raises(SystemExit) as end:
        main()
    output = capsys.readouterr().out
    topics = "study usaggr python system packages extras device threads memory limits locks text cache results"
    expected = [*topics.split(), "temporary", "tracker", "executor", "no"]
    assert [line.split()[0] for line in output.splitlines() if line] == expected
    assert "no GPU (torch 2.9.0, without CUDA)" in output
    assert output.endswith("\nno warnings\n")
    assert end.value.code == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("torch_answer")
def test_a_mistake_in_the_study_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    findings = doctor_command.collect_findings(["no_such_study"], None)
    assert "unknown 'no_such_study'" in warnings(findings)["study"]
    assert "python" in {finding.topic for finding in findings}


def test_home_and_user_names_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    monkeypatch.setenv("USER", "anna")
    shown = doctor_command.hide_user_name(
        "/home/anna/.cache, /home/anna, /scratch/anna/x, /data/annalena, /home/annabel/y"
    )
    assert shown == "~/.cache, ~, /scratch/USER/x, /data/annalena, /home/annabel/y"


@pytest.mark.parametrize("home", ["/", ""])
def test_a_home_folder_that_is_the_root_hides_nothing(monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("USER", "root")
    assert doctor_command.hide_user_name("/tmp/x") == "/tmp/x"


def test_a_torch_that_cannot_be_imported_is_a_warning(
    torch_answer: list[subprocess.CompletedProcess[str]],
) -> None:
    message = "Traceback ...\nImportError: libtorch.so: failed to map segment from shared object\n"
    torch_answer.append(subprocess.CompletedProcess([], 1, "", message))
    assert "torch cannot be imported: out of memory" in warnings(doctor_machine.describe_machine(None))["device"]
    torch_answer.append(subprocess.CompletedProcess([], -9, "", ""))
    assert "ended with status -9" in warnings(doctor_machine.describe_machine(None))["device"]


@pytest.mark.usefixtures("torch_answer")
def test_a_gpu_that_the_study_needs_is_missed() -> None:
    study = compose("training.accelerator=gpu")
    assert "torch sees no GPU" in warnings(doctor_machine.describe_machine(study))["device"]


@pytest.mark.usefixtures("torch_answer")
def test_too_little_memory_and_missing_semaphores_are_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    memory = psutil.virtual_memory()._replace(available=2**29)
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    monkeypatch.setattr("multiprocessing.synchronize.Lock", fail)
    found_warnings = warnings(doctor_machine.describe_machine(None))
    assert found_warnings["memory"] == "too little for a sweep: end other programs"
    assert "cannot be created (No space left on device)" in found_warnings["locks"]


def test_packages_of_another_version_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    required = ["torch>=2.6,<2.14", "numpy>=1.26", "no-such-package>=1", 'pytest>=8.3; extra == "dev"']
    monkeypatch.setattr("importlib.metadata.requires", lambda name: required)
    versions = {"torch": "2.5.1", "numpy": "2.0.0"}
    monkeypatch.setattr(doctor_machine, "_read_version", versions.get)
    assert doctor_machine._find_wrong_versions() == (
        "torch 2.5.1 is not <2.14,>=2.6; no-such-package is missing: pip install --upgrade usaggr"
    )


def test_folders_are_checked_and_not_created(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    study = compose(f"data.cache_dir={tmp_path / 'new' / 'cache'}", f"outputs={tmp_path / 'file'}")
    (tmp_path / "file").write_text("", encoding="utf-8")
    usage = shutil.disk_usage(tmp_path)._replace(free=2**30)
    monkeypatch.setattr(doctor_folders.shutil, "disk_usage", lambda path: usage)
    findings = list(doctor_folders.describe_folders(study))
    assert f"{tmp_path / 'new' / 'cache'} (not created yet), 1.0 GiB free" in text(findings)
    assert warnings(findings) == {
        "cache": "little free space; choose another disk with data.cache_dir=... or $USAGGR_CACHE",
        "results": f"{tmp_path / 'file'} is no folder; choose another with outputs=...",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_missing_home_folder_and_temporary_folder_are_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")

    def find_none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    for name in ("USAGGR_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", fail)
    monkeypatch.setattr("tempfile.gettempdir", find_none)
    found_warnings = warnings(doctor_folders.describe_folders(compose()))
    assert "no home folder is known" in found_warnings["cache"]
    assert "set TMPDIR" in found_warnings["temporary"]


def test_a_tracker_is_reached_or_not_and_its_password_is_not_shown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        location = f"logger.location='http://anna:secret@127.0.0.1:{port}'"
        findings = list(doctor_reachability.describe_tracker(compose("logger=mlflow", location)))
        assert text(findings) == f"mlflow at http://127.0.0.1:{port}"
        assert warnings(findings) == {}
    findings = list(doctor_reachability.describe_tracker(compose("logger=mlflow", location)))
    assert "127.0.0.1 cannot be reached" in warnings(findings)["tracker"]
    assert "secret" not in str(findings)


@pytest.mark.usefixtures("torch_answer")
def test_overrides_are_shown_without_passwords(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    override = "logger.location=http://me:secret@127.0.0.1:9"
    for words in (["logger=mlflow", override], ["demo", "logger=mlflow", override]):
        monkeypatch.setattr("sys.argv", ["usaggr", "doctor", *words])
        with pytest.raises(SystemExit):
            main()
        output = capsys.readouterr().out
        assert output.splitlines()[0] == "study      demo logger=mlflow logger.location=http://127.0.0.1:9"
        assert "secret" not in output


def test_an_address_that_is_not_valid_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://[wandb")
    reasons = warnings([doctor_reachability._describe_wandb()])
    assert reasons["tracker"].startswith("http://[wandb cannot be reached")


def test_weights_and_biases_needs_a_key_that_is_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor_reachability, "_connect", lambda address: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    study = compose("logger=wandb")
    assert "no API key" in warnings(doctor_reachability.describe_tracker(study))["tracker"]
    monkeypatch.setenv("WANDB_API_KEY", "0123456789")
    findings = list(doctor_reachability.describe_tracker(study))
    assert warnings(findings) == {}
    assert "0123456789" not in str(findings)


def test_doctor_finds_the_settings_of_weights_and_biases_that_plan_finds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    addresses: list[str] = []
    monkeypatch.setattr(doctor_reachability, "_connect", addresses.append)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_CONFIG_DIR", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    settings = tmp_path / ".config" / "wandb" / "settings"
    settings.parent.mkdir(parents=True)
    settings.write_text("[default]\nmode = offline\n")
    study = compose("logger=wandb")
    assert text(doctor_reachability.describe_tracker(study)) == "wandb, offline"
    assert addresses == []
    settings.write_text("[default]\nbase_url = https://wandb.example.org\napi_key = made-up\n")
    assert text(doctor_reachability.describe_tracker(study)) == "wandb at https://wandb.example.org, with a key"
    assert addresses == ["https://wandb.example.org"]


def test_slurm_is_asked_for_its_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    study = compose("executor=slurm", "executor.partition=night")
    monkeypatch.setattr("usaggr.sweep.executors.slurm.queue.has_slurm", lambda: False)
    assert "no squeue" in warnings(doctor_reachability.describe_cluster(study))["executor"]
    answers: dict[str, str | None] = {"--version": "slurm 22.05.8", "--noheader": "night up 4 nodes idle\n"}
    monkeypatch.setattr("usaggr.sweep.executors.slurm.queue.has_slurm", lambda: True)
    monkeypatch.setattr("usaggr.sweep.executors.slurm.queue.run_command", lambda command: answers[command[1]])
    findings = list(doctor_reachability.describe_cluster(study))
    assert text(findings) == "slurm (slurm 22.05.8), night: night up 4 nodes idle"
    answers["--noheader"] = ""
    assert "no such partition" in warnings(doctor_reachability.describe_cluster(study))["executor"]
    answers["--noheader"] = None
    assert "does not answer" in warnings(doctor_reachability.describe_cluster(study))["executor"]


def test_an_address_of_ray_that_nothing_listens_at_is_a_warning() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        study = compose("executor=ray", f"executor.address='127.0.0.1:{port}'")
        assert warnings(doctor_reachability.describe_cluster(study)) == {}
    assert "cannot be reached" in warnings(doctor_reachability.describe_cluster(study))["executor"]
