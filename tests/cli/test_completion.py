"""Tests of completion in shells: the right names, without heavy imports and without errors."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from usaggr.cli.completion import complete_results, complete_words
from usaggr.config.section import walk_leaf_keys
from usaggr.config.study import StudyConfig

USAGGR = Path(sys.executable).parent / "usaggr"


def offered(incomplete: str, *before: str, config_dir: Path | None = None) -> list[str]:
    return complete_words(context(words=list(before), config_dir=config_dir), incomplete)


def context(**params: Any) -> Any:
    """Make a substitute for typer's context, of which completion reads only the parameters."""
    return SimpleNamespace(params=params)


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Current folder without configuration files."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("empty")
def test_studies_are_offered_until_there_is_one() -> None:
    assert {"demo", "demo_m2dino"} <= set(offered("de"))
    assert offered("demo_m") == ["demo_m2dino"]
    assert offered("de", "paper") == []
    assert "demo" in offered("de", "seeds=[0]")


def test_studies_and_choices_in_the_users_folders_are_offered(empty: Path) -> None:
    for name in ("sweeps", "conf/model", "more/sweeps"):
        (empty / name).mkdir(parents=True)
    (empty / "sweeps" / "mine.yaml").write_text("")
    (empty / "conf" / "model" / "mine.yaml").write_text("name: tiny\n")
    (empty / "more" / "sweeps" / "more.yaml").write_text("")
    assert offered("m")[:1] == ["m2dino_ablation"]
    assert "mine" in offered("m")
    assert offered("model=mi") == ["model=mine"]
    assert offered("mor", config_dir=empty / "more") == ["more"]


@pytest.mark.usefixtures("empty")
def test_groups_are_offered_with_their_choices() -> None:
    assert offered("mod") == ["model.", "model="]
    assert offered("model=ti") == ["model=tiny"]
    assert offered("logger=") == [f"logger={name}" for name in ("csv", "mlflow", "none", "tensorboard", "wandb")]


@pytest.mark.usefixtures("empty")
def test_keys_are_offered_one_level_at_a_time() -> None:
    assert {"training.", "training=", "seeds=", "metrics."} <= set(offered(""))
    assert "training.augment." in offered("training.")
    assert "training.augment.rotate=" not in offered("training.")
    assert "training.augment.rotate=" in offered("training.au")


@pytest.mark.usefixtures("empty")
def test_a_key_is_never_the_only_word_so_that_no_space_follows_it() -> None:
    assert offered("training.le") == ["training.learning_rate=", "training.learning_rate=VALUE"]
    assert offered("training.augment.r") == ["training.augment.rotate=", "training.augment.rotate=VALUE"]
    assert offered("see") == ["seeds=", "seeds=VALUE"]
    assert offered("met") == ["metrics.nsd_tolerance=", "metrics.nsd_tolerance=VALUE"]


@pytest.mark.usefixtures("empty")
def test_every_key_of_the_schema_is_offered() -> None:
    for key, _ in walk_leaf_keys(StudyConfig, ""):
        if key.endswith(".name") or key.startswith("variants."):
            continue
        assert f"{key}=" in offered(key), key


@pytest.mark.usefixtures("empty")
def test_values_are_offered_for_keys_with_few_values() -> None:
    assert offered("training.score_weights=") == ["training.score_weights=best", "training.score_weights=last"]
    assert offered("training.compile=t") == ["training.compile=true"]
    assert offered("training.resident=") == [f"training.resident={value}" for value in ("auto", "false", "true")]
    assert offered("training.learning_rate=") == []
    assert offered("reference=uni") == ["reference=unified"]
    assert offered("nothing.of.this=") == []


@pytest.mark.usefixtures("empty")
def test_lists_are_continued_without_repeated_items() -> None:
    assert offered("groupings=[uni") == ["groupings=[unified"]
    assert offered("groupings=[unified,uni") == []
    assert "groupings=[unified,clinical" in offered("groupings=[unified,")
    assert offered("tasks=[breast_l") == ["tasks=[breast_lesion"]


def test_folders_of_results_are_offered(empty: Path) -> None:
    for name in ("outputs/demo", "elsewhere/paper"):
        (empty / name).mkdir(parents=True)
        (empty / name / "study.yaml").write_text("")
    (empty / "outputs" / "no_results").mkdir()
    assert complete_results("") == ["outputs/demo"]
    assert complete_results("outputs/d") == ["outputs/demo"]
    assert complete_results("elsewhere/") == ["elsewhere/paper"]


@pytest.mark.usefixtures("empty")
def test_words_that_bash_splits_at_the_equals_sign_are_joined() -> None:
    assert offered("ti", "demo", "model", "=") == ["tiny"]
    assert "unified" in offered("", "demo", "reference")
    assert offered("de", "model", "=", "tiny") == ["demo", "demo_m2dino"]
    assert offered("de", "paper", "model", "=", "tiny") == []


def test_unreadable_files_cause_no_error_during_typing(empty: Path) -> None:
    (empty / "conf" / "model").mkdir(parents=True)
    (empty / "conf" / "model" / "broken.yaml").write_text("a: [")
    (empty / "conf" / "sweep.yaml").write_bytes(b"\xff")
    assert "training.learning_rate=" in offered("training.le")
    assert offered("de", config_dir=empty / "nowhere") == []


def test_completion_imports_no_heavy_library(empty: Path) -> None:
    code = (
        "import sys; from types import SimpleNamespace; import usaggr.cli.main; from usaggr.cli.completion import *;"
        "words = [complete_words(SimpleNamespace(params={}), word) for word in ('de', 'training.le', 'model=')];"
        "assert all(words);"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(process.stdout.split()) & {"hydra", "omegaconf", "torch", "numpy", "pandas", "mlflow", "wandb"}


# In shells


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{USAGGR.parent}{os.pathsep}{os.environ['PATH']}"}


def in_bash(*lines: str, where: Path) -> list[list[str]]:
    """Return the completions of each line; the script's function is called as in bash, with words split at `=`."""
    script = """
        source <(usaggr --show-completion bash)
        for line in "$@"; do
            read -ra COMP_WORDS <<< "${line//=/ = }"
            COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )) COMPREPLY=()
            _usaggr_completion usaggr
            (IFS=' '; echo "${COMPREPLY[*]}")
        done
    """
    command = ["bash", "--norc", "-c", script, "bash", *lines]
    process = subprocess.run(command, capture_output=True, text=True, check=True, env=environment(), cwd=where)
    assert process.stderr == ""
    return [line.split() for line in process.stdout.splitlines()]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_the_word_after_the_equals_sign(empty: Path) -> None:
    lines = ["usaggr sw", "usaggr sweep demo_m", "usaggr sweep model=ti", "usaggr sweep demo training.compile="]
    assert in_bash(*lines, where=empty) == [["sweep"], ["demo_m2dino"], ["tiny"], ["false", "true"]]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_shows_no_completion_and_no_error_if_nothing_matches(empty: Path) -> None:
    (empty / "conf").mkdir()
    (empty / "conf" / "sweep.yaml").write_text("a: [")
    assert in_bash("usaggr sweep model=nothing", "usaggr sweep --config-dir nowhere de", where=empty) == [[], []]


def test_fish_completes_entire_words(empty: Path) -> None:
    for line, expected in (
        ("usaggr sweep model=ti", "model=tiny\n"),
        ("usaggr plan training.le", "training.learning_rate=\ntraining.learning_rate=VALUE\n"),
    ):
        protocol = {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
        variables = {**environment(), **protocol, "_USAGGR_COMPLETE": "complete_fish"}
        process = subprocess.run([USAGGR], capture_output=True, text=True, check=True, env=variables, cwd=empty)
        assert (process.stdout, process.stderr) == (expected, "")


class Terminal:
    """Interactive shell on its own pseudo-terminal."""

    def __init__(self, command: list[str], where: Path) -> None:
        self._pid, self._file = pty.fork()
        if self._pid == 0:
            os.chdir(where)
            os.execvpe(command[0], command, {**environment(), "TERM": "dumb", "HOME": str(where)})

    def type(self, text: str, until: str) -> str:
        """Type a text and return the output until `until` appears, for at most 60 seconds."""
        os.write(self._file, text.encode())
        shown, end = "", time.monotonic() + 60
        while until not in shown and time.monotonic() < end:
            if select.select([self._file], [], [], 0.1)[0]:
                shown += os.read(self._file, 4096).decode(errors="replace")
        return shown

    def close(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.close(self._file)
        os.waitpid(self._pid, 0)


@pytest.fixture(params=["bash", "zsh"])
def terminal(request: pytest.FixtureRequest, empty: Path) -> Iterator[Terminal]:
    shell = str(request.param)
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    quiet = {"bash": ["bash", "--norc", "-i"], "zsh": ["zsh", "-f", "-i"]}[shell]
    prepare = {"bash": "", "zsh": "autoload -Uz compinit; compinit -u; "}[shell]
    started = Terminal(quiet, empty)
    started.type(f"PS1='> '; {prepare}source <(usaggr --show-completion {shell}); echo rea''dy\n", "ready")
    yield started
    started.close()


@pytest.mark.slow
def test_tab_completes_on_a_terminal(terminal: Terminal) -> None:
    """A complete word is followed by a space; a key that needs a value is not."""
    shown = plain(terminal.type("usaggr sw\tdemo_m\tmodel=ti\ttraining.le\t3", "rate=3"))
    assert shown.endswith("usaggr sweep demo_m2dino model=tiny training.learning_rate=3")


def plain(shown: str) -> str:
    """Return the line that is finally visible, without control codes."""
    text = ""
    for character in re.sub(r"\x1b\[[?\d;]*[a-zA-Z]|\x07", "", shown):
        text = text[:-1] if character == "\b" else text + character
    return text
