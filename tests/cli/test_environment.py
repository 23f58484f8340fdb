"""The command line in other environments: locales, closed streams, no home folder, low limits, another system."""

import errno
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from usaggr.cli import standard_streams
from usaggr.config.study import DataConfig
from usaggr.data.read.paths import find_cache_folder
from usaggr.data.synthetic.process_pool import map_in_processes
from usaggr.errors import ConfigError, RunError
from usaggr.io import cores, system_limits
from usaggr.io.home import expand_home
from usaggr.io.matplotlib_backend import replace_unusable_backend
from usaggr.sweep.executors.local import socket_folder
from usaggr.sweep.executors.local.forkserver import WorkerContext

ROOT = Path(__file__).parents[2]
UNKNOWN_ENCODING = "PYTHONCOERCECLOCALE=0 PYTHONUTF8=0 LC_ALL=C"
"""Variables with which Python reads and writes ASCII, unless a program names another encoding."""


def usaggr(
    folder: Path, arguments: str, redirections: str = "", variables: str = "", limits: str = "true"
) -> tuple[int, str]:
    """Run a command in a shell; return its exit status and what it prints on the streams that are left open."""
    command = f"{limits}; env {variables} {shlex.quote(sys.executable)} -m usaggr {arguments} {redirections}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    finished = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True)
    return finished.returncode, (finished.stdout + finished.stderr).decode()


@pytest.mark.parametrize(
    ("redirections", "printed"),
    [("<&-", "name: demo"), ("<&- 2>&-", "name: demo"), ("<&- >&- 2>&-", ""), (">&-", "")],
)
def test_a_command_works_with_closed_streams(tmp_path: Path, redirections: str, printed: str) -> None:
    status, output = usaggr(tmp_path, "config", redirections)
    assert status == 0, output
    assert output.startswith(printed)
    assert bool(output) == bool(printed)


def test_a_question_of_clean_is_not_asked_without_a_standard_input(tmp_path: Path) -> None:
    code = (
        "import os, sys; os.close(0); sys.stdin = None; from usaggr.cli.standard_streams import prepare_streams; "
        "prepare_streams(); print(sys.stdin.isatty(), repr(sys.stdin.read()), os.fstat(0).st_rdev != 0)"
    )
    finished = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stdout == "False '' True\n"


@pytest.mark.parametrize("variables", [UNKNOWN_ENCODING, "PYTHONIOENCODING=ascii"])
def test_names_and_text_of_any_language_are_read(tmp_path: Path, variables: str) -> None:
    study = tmp_path / "sweeps" / "Schilddrüse.yaml"
    study.parent.mkdir()
    study.write_text("defaults: [demo, _self_]\nname: neck\noutputs: 甲状腺\n", encoding="utf-8")
    status, output = usaggr(tmp_path, "config 'Schilddrüse'", variables=variables)
    assert status == 0, output
    assert output.startswith('name: neck\noutputs: "\\u7532\\u72B6\\u817A"\n')


@pytest.mark.parametrize("variables", [UNKNOWN_ENCODING, "PYTHONIOENCODING=ascii"])
def test_letters_that_a_stream_does_not_have_are_printed_as_escapes(tmp_path: Path, variables: str) -> None:
    status, output = usaggr(tmp_path, "config 'Schilddrüse'", variables=variables)
    assert status == 2
    assert output.startswith("study: unknown 'Schilddr\\xfcse'")


def test_a_command_starts_again_in_utf8_mode_only_with_another_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execve", lambda path, words, environment: started.append(words))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "usaggr", "plan"])
    standard_streams.use_utf8()
    assert started == []
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    standard_streams.use_utf8()
    assert started == ([] if sys.flags.utf8_mode else [[sys.executable, "-X", "utf8", "-m", "usaggr", "plan"]])


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        ("module://matplotlib_inline_is_not_here.backend_inline", "Agg"),
        ("inline", "Agg"),
        ("TkAgg", "TkAgg"),
        ("module://matplotlib.backends.backend_svg", "module://matplotlib.backends.backend_svg"),
        ("", ""),
    ],
)
def test_only_a_backend_that_cannot_be_imported_is_replaced(
    monkeypatch: pytest.MonkeyPatch, backend: str, expected: str
) -> None:
    monkeypatch.setenv("MPLBACKEND", backend)
    replace_unusable_backend()
    assert os.environ["MPLBACKEND"] == expected


def test_cores_are_counted_where_a_process_cannot_be_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 5}, raising=False)
    assert cores.count_bound_cores() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert cores.count_bound_cores() == 6


@pytest.fixture
def _no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("HOME", "USAGGR_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)


@pytest.mark.usefixtures("_no_home")
def test_the_cache_names_what_to_set() -> None:
    with pytest.raises(ConfigError) as caught:
        find_cache_folder(DataConfig.model_construct(cache_dir=None))
    assert str(caught.value) == (
        "no home folder is known ($HOME is not set); choose a folder for the cache with data.cache_dir=... or "
        "$USAGGR_CACHE"
    )


@pytest.mark.usefixtures("_no_home")
def test_the_cache_needs_no_home_if_it_is_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert find_cache_folder(DataConfig.model_construct(cache_dir=str(tmp_path))) == tmp_path
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert find_cache_folder(DataConfig.model_construct(cache_dir=None)) == tmp_path / "usaggr"


@pytest.mark.usefixtures("_no_home")
@pytest.mark.parametrize(("path", "user"), [("~/images", "~"), ("~nobody_of_this_name/images", "~nobody_of_this_")])
def test_a_path_that_begins_with_an_unknown_home_names_its_key(path: str, user: str) -> None:
    with pytest.raises(ConfigError, match=rf"^data\.root={path}: no home folder is known for {user}"):
        expand_home(path, "data.root")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "ulimit -u"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
        (MemoryError(), "out of memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory"),
        (ImportError("libtorch.so: failed to map segment from shared object"), "out of memory"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "a" * 300), f"{'a' * 80}...: too long for the file system"),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/x']"), "set TMPDIR"),
    ],
)
def test_a_limit_is_explained_in_one_line(error: Exception, expected: str) -> None:
    wrapped = ValueError("something failed")
    wrapped.__cause__ = error
    for raised in (error, wrapped):
        line = system_limits.explain_system_limit(raised)
        assert line is not None
        assert expected in line
        assert "\n" not in line


@pytest.mark.parametrize(
    "error", [OSError(errno.EACCES, "Permission denied"), ImportError("No module named x"), ValueError("memory")]
)
def test_other_errors_are_not_explained(error: Exception) -> None:
    assert system_limits.explain_system_limit(error) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps semaphores in /dev/shm")
@pytest.mark.parametrize(("number", "remedy"), [(errno.ENOSPC, "remove files there"), (errno.EROFS, "writable")])
def test_semaphores_that_cannot_be_created_name_their_folder(number: int, remedy: str) -> None:
    line = system_limits.explain_semaphores(OSError(number, os.strerror(number)))
    assert line.startswith("/dev/shm: ")
    assert os.strerror(number) in line
    assert remedy in line


def test_too_few_open_files_are_refused_before_the_work(tmp_path: Path) -> None:
    command = f"ulimit -n 20; {shlex.quote(sys.executable)} -m usaggr config"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    finished = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert finished.returncode == 2
    assert finished.stderr.startswith("at most 20 files may be open at once (ulimit -n)")
    assert finished.stderr.count("\n") == 1


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    config: dict[str, object] = {}
    monkeypatch.setattr(socket_folder.process.current_process(), "_config", config)
    return config


def test_a_long_temporary_folder_is_replaced_by_a_short_one(
    config: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/" + "x" * 120)
    socket_folder.use_short_socket_folder()
    folder = Path(str(config["tempdir"]))
    assert folder.is_dir()
    assert len(str(folder / "listener-12345678")) <= 103
    folder.rmdir()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="short-") as folder:
        yield Path(folder)


def test_a_short_temporary_folder_is_used(
    config: dict[str, object], monkeypatch: pytest.MonkeyPatch, short_folder: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(short_folder))
    socket_folder.use_short_socket_folder()
    folder = Path(str(config["tempdir"]))
    assert (folder.is_dir(), folder.parent) == (True, short_folder)
    socket_folder.use_short_socket_folder()
    assert config["tempdir"] == str(folder)


def test_a_temporary_folder_that_was_removed_is_replaced(
    config: dict[str, object], monkeypatch: pytest.MonkeyPatch, short_folder: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(short_folder / "gone"))
    config["tempdir"] = str(short_folder / "gone" / "pymp-abcdefgh")
    socket_folder.use_short_socket_folder()
    folder = Path(str(config["tempdir"]))
    assert (folder.is_dir(), folder.parent) == (True, Path("/tmp"))
    folder.rmdir()


def test_folders_that_are_not_writable_are_named(config: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/gone")
    monkeypatch.setattr(socket_folder, "_SHORT_FOLDERS", ("/gone/too",))
    with pytest.raises(
        RunError, match=r"^TMPDIR=/gone and /gone/too are not writable; set TMPDIR to a folder that is$"
    ):
        socket_folder.use_short_socket_folder()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps semaphores in /dev/shm")
def test_a_lock_of_workers_that_cannot_be_created_is_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("multiprocessing.synchronize.RLock", fail)
    with pytest.raises(RunError, match=r"^/dev/shm: the semaphores .* \(No space left on device\)"):
        WorkerContext().RLock()


def test_phantoms_are_drawn_in_this_process_if_there_are_no_semaphores(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **named: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("multiprocessing.synchronize.Lock", fail)
    monkeypatch.setattr("multiprocessing.queues.SimpleQueue", fail)
    assert sorted(map_in_processes(abs, range(-40, 0), workers=4)) == list(range(1, 41))
