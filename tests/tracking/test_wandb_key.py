"""A missing key of Weights & Biases ends a sweep before it trains."""

from pathlib import Path

import pytest

from tests.tracking.test_record import study
from usaggr.errors import ConfigError
from usaggr.tracking.record import check_logger
from usaggr.tracking.wandb_key import check_wandb_key

VARIABLES = ("API_KEY", "MODE", "BASE_URL", "CONFIG_DIR", "IDENTITY_TOKEN_FILE")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty home and current folder, without variables of W&B."""
    for name in ("NETRC", *(f"WANDB_{name}" for name in VARIABLES)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)


def test_without_a_key_the_message_names_all_ways_to_continue() -> None:
    with pytest.raises(ConfigError) as error:
        check_logger(study("logger=wandb"))
    assert str(error.value) == (
        "logger=wandb: no API key for https://api.wandb.ai; run `wandb login`, or set WANDB_API_KEY, or keep all "
        "files on this machine with WANDB_MODE=offline"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WANDB_API_KEY", "made-up"),
        ("WANDB_IDENTITY_TOKEN_FILE", "token"),
        ("WANDB_MODE", "offline"),
        ("WANDB_MODE", "disabled"),
    ],
)
def test_variables_are_enough(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    check_wandb_key()


@pytest.mark.parametrize("path", ["wandb/settings", ".config/wandb/settings"])
def test_the_setting_of_wandb_offline_is_enough(home: Path, path: str) -> None:
    write(home / path, "[default]\nmode = offline\n")
    check_wandb_key()


def test_a_login_counts_for_its_own_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home / ".netrc", "machine api.wandb.ai\n  login user\n  password made-up\n")
    check_wandb_key()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    with pytest.raises(ConfigError, match=r"no API key for https://wandb\.example\.org"):
        check_wandb_key()


def test_a_damaged_login_file_is_left_to_wandb(home: Path) -> None:
    write(home / ".netrc", "machine\n")
    check_wandb_key()
