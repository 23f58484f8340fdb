"""A server of MLflow that asks for a login ends a plan and a sweep before training, if there is none."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.cli.test_main import Shell, shell, write_data  # noqa: F401  (a fixture)
from usaggr.errors import ConfigError
from usaggr.tracking import record
from usaggr.tracking.mlflow_key import check_mlflow_key

VARIABLES = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_AUTH")
DATABRICKS = ("DATABRICKS_HOST", "DATABRICKS_TOKEN", "DATABRICKS_CLIENT_ID", "DATABRICKS_CONFIG_FILE")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty home, without variables of MLflow."""
    for name in ("NETRC", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", *VARIABLES, *DATABRICKS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


class Server(HTTPServer):
    """Server that answers each request with a status, and records the requests."""

    status = 401
    paths: list[str]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.paths.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.paths = []
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def test_without_a_login_the_message_names_the_variables(server: Server) -> None:
    with pytest.raises(ConfigError) as error:
        check_mlflow_key(f"{address(server)}/")
    assert str(error.value) == (
        f"logger=mlflow: {address(server)} asks for a login; set MLFLOW_TRACKING_USERNAME and "
        "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    )
    assert server.paths == ["/api/2.0/mlflow/experiments/search?max_results=1"]


@pytest.mark.parametrize("status", [200, 404, 500])
def test_a_server_that_asks_for_no_login_is_accepted(server: Server, status: int) -> None:
    server.status = status
    check_mlflow_key(address(server))
    assert len(server.paths) == 1


@pytest.mark.parametrize("names", [VARIABLES[:2], VARIABLES[2:3], VARIABLES[3:]])
def test_variables_are_enough(server: Server, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in names:
        monkeypatch.setenv(name, "made-up")
    check_mlflow_key(address(server))
    assert server.paths == [], "MLflow itself sends the login"


def test_a_user_without_a_password_is_not_enough(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "user")
    with pytest.raises(ConfigError, match="asks for a login"):
        check_mlflow_key(address(server))


def test_a_login_in_a_file_or_the_address_is_enough(server: Server, home: Path) -> None:
    check_mlflow_key(address(server).replace("//", "//user:made-up@"))
    (home / ".mlflow").mkdir()
    (home / ".mlflow" / "credentials").write_text("[mlflow]\nmlflow_tracking_username = user\n")
    check_mlflow_key(address(server))
    (home / ".mlflow" / "credentials").unlink()
    (home / ".netrc").write_text("machine 127.0.0.1\n  login user\n  password made-up\n")
    (home / ".netrc").chmod(0o600)
    check_mlflow_key(address(server))
    assert server.paths == []


def test_a_server_that_cannot_be_reached_stops_nothing(server: Server) -> None:
    location = address(server)
    server.shutdown()
    server.server_close()
    check_mlflow_key(location)
    check_mlflow_key("sqlite:///mlflow.db")


def test_databricks_needs_its_own_login(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for location in ("databricks", "databricks://profile"):
        with pytest.raises(ConfigError, match=r"^logger=mlflow: no login for Databricks; run `databricks configure`"):
            check_mlflow_key(location)
    (home / ".databrickscfg").write_text("[DEFAULT]\nhost = https://example.org\n")
    check_mlflow_key("databricks")
    (home / ".databrickscfg").unlink()
    monkeypatch.setenv("DATABRICKS_HOST", "https://example.org")
    monkeypatch.setenv("DATABRICKS_TOKEN", "made-up")
    check_mlflow_key("databricks://profile")


@pytest.mark.parametrize("command", [["plan"], ["sweep"], ["sweep", "--dry-run"], ["train"]])
def test_commands_say_so_before_training(
    server: Server,
    shell: Shell,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
) -> None:
    monkeypatch.setattr(record.importlib.util, "find_spec", lambda name: object())  # also without mlflow
    write_data(tmp_path / "data")
    words = ["data=fmuia", "data.root=data", "groupings=[task_specific]", "scale=full", "seeds=[0]", "logger=mlflow"]
    assert shell(*command, *words, f"logger.location={address(server)}", "name=tracked") == 2
    (line,) = [line for line in shell.err.splitlines() if not line.startswith(("note: ", "nothing to compare"))]
    assert line.startswith(f"logger=mlflow: {address(server)} asks for a login; set ")
    assert not list(tmp_path.glob("outputs/tracked/runs/*/*")), "nothing was trained"


def test_plan_asks_for_the_key_of_wandb(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    for name in ("API_KEY", "MODE", "BASE_URL", "CONFIG_DIR", "IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    monkeypatch.setattr(record.importlib.util, "find_spec", lambda name: object())
    write_data(tmp_path / "data")
    words = ["data=fmuia", "data.root=data", "groupings=[task_specific]", "scale=full", "seeds=[0]", "logger=wandb"]
    assert shell("plan", *words) == 2
    assert shell.err.splitlines()[-1].startswith("logger=wandb: no API key for https://api.wandb.ai; run `wandb login`")
