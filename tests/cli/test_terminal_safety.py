"""Names from strangers cannot command the terminal: no raw control character reaches a stream, from any command."""

import io
import json
import os
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.live import Live
from rich.table import Table

from tests.data.factories import Row, noise, read_rows, tiny_data, write_image, write_rows
from usaggr.cli.lost_output import keep_working_without_output
from usaggr.cli.main import app, main
from usaggr.config.compose import compose_study
from usaggr.io.rich_console import SafeConsole
from usaggr.io.terminal_text import escape_line, escape_output, escape_text
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.planning.study_plan import make_plan, write_plan

HOSTILE = "a\x1b[2J\x1b]0;title\x07\x9b31m\u202egnp.\u2066\x7f\r\nFORGED: all is well"
"""An escape sequence of each kind, a change of direction, a carriage return and a line of its own."""


class Console:
    """The command line in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def __call__(self, *words: str, may_break_lines: bool = False) -> str:
        """Run a command, check what it prints, and return it; `may_break_lines` for a path that the user has typed."""
        self._monkeypatch.setattr(sys, "argv", ["usaggr", *words])
        with pytest.raises(SystemExit):
            main()
        out, err = self._capsys.readouterr()
        assert find_unsafe(out + err) == [], f"{words}: {out}{err}"
        assert may_break_lines or "\nFORGED" not in f"\n{out}\n{err}", f"{words}: {out}{err}"
        assert "Traceback" not in err
        return out + err


@pytest.fixture
def usaggr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Console:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TERM", "dumb")
    return Console(capsys, monkeypatch)


def find_unsafe(text: str) -> list[str]:
    """Return the characters of a text that are no letters, signs or line feeds, by an independent rule."""
    return sorted({ascii(letter) for letter in text if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
                  - {ascii("\n"), ascii("\t")})  # fmt: skip


def write_hostile_data(root: Path) -> Path:
    """Write four valid tasks whose files, groups, classes and columns have hostile names."""
    tiny_data(root, n=20)
    table: list[Row] = []
    for number, row in enumerate(read_rows(root, "cls.csv")):
        name = f"{number}{HOSTILE}.png"
        write_image(root / "cls" / name, noise(number + 5000))
        names = {"organ": "[/red]\x1b[2J\u202e", "clinical_group": "[bold]\x1b[2J", "Subject\x1b_\nID": f"P{number}"}
        table.append({**row, "image_path": f"../cls/{name}", **names, "class_names": json.dumps([HOSTILE, "b", "c"])})
    write_rows(root, "cls.csv", table)
    (root / "csv_files" / "cls.csv").rename(root / "csv_files" / "cls\x1b[2J\nFORGED.csv")
    return root


def write_faults(root: Path) -> Path:
    """Write an index of which each row has a hostile fault."""
    columns = ("image_path", "mask", "task_name", "task_id", "num_classes", "split")
    values = ("../images/a.png", "0", "classification", "t", "2", "train")
    write_image(root / "images" / "a.png", noise(0))
    write_image(root / "images" / os.fsdecode(b"b\xff.png"), noise(1))
    lines = [dict(zip(columns, values, strict=True)) for _ in range(len(columns) + 2)]
    for number, column in enumerate(columns):
        lines[number] = {**lines[number], column: HOSTILE}
    lines[-1] = {**lines[-1], "image_path": "../images/b\u202e.png"}
    write_rows(root, "a\x1b[2J.csv", lines)
    return root


def write_hostile_results(folder: Path) -> Path:
    """Write results of four failed runs, one of which has a hostile reason, and an unplanned run."""
    root = tiny_data(folder / "data", n=20)
    words = ["data=fmuia", f"data.root={root}", "scales=[1.0]", "seeds=[0]", f"outputs={folder / 'outputs'}"]
    plan = make_plan(compose_study("demo", [*words, "groupings=[task_specific]"]))
    write_plan(plan)
    for run in plan.runs:
        RunDirectory(run.directory).mark_failed(HOSTILE.replace("\n", " "), 1)
    stranger = plan.runs[0].directory.parent / HOSTILE
    stranger.mkdir()
    (stranger / "status.json").write_text((plan.runs[0].directory / "status.json").read_text())
    return plan.directory


@pytest.mark.parametrize(
    "command", [["data", "show"], ["data", "check"], ["plan", "own"], ["sweep", "own", "--dry-run"]], ids=" ".join
)
def test_valid_data_with_hostile_names(usaggr: Console, tmp_path: Path, command: list[str]) -> None:
    root = write_hostile_data(tmp_path / "data")
    shown = usaggr(*command, *(["data=fmuia"] if command[0] == "data" else []), f"data.root={root}")
    assert "[bold][2J" in shown or "check" in command, "a group keeps its brackets, which are no style"
    assert "note: cls\\x1b[2J\\nFORGED.csv: the column Subject_ ID is not read" in shown


@pytest.mark.parametrize("words", [["data", "check"], ["data", "show"], ["plan"], ["sweep"], ["train"]], ids=" ".join)
def test_faults_in_data(usaggr: Console, tmp_path: Path, words: list[str]) -> None:
    shown = usaggr(*words, "data=fmuia", f"data.root={write_faults(tmp_path / 'data')}")
    assert "\\x1b[2J.csv, line 2" in shown


def test_status_and_clean_of_hostile_results(usaggr: Console, tmp_path: Path) -> None:
    results = write_hostile_results(tmp_path)
    assert "failed: seg-s1-k0-" in (shown := usaggr("status", str(results)))
    assert "a\\x1b[2J\\x1b]0;title\\x07" in shown
    assert "a\\x1b[2J" in usaggr("clean", str(results))
    usaggr("report", str(results))


@pytest.mark.parametrize("command", ["sweep", "plan", "train", "config", "affinity", "data check", "data make"])
def test_words_of_a_study(usaggr: Console, command: str) -> None:
    for word in (HOSTILE, f"{HOSTILE}=1", f"name={HOSTILE}", f"name='{HOSTILE}'", f"data={HOSTILE}"):
        usaggr(*command.split(), word)


@pytest.mark.slow
def test_the_description_of_the_machine(usaggr: Console, tmp_path: Path) -> None:
    folder = tmp_path / HOSTILE
    folder.mkdir()
    shown = usaggr("doctor", "data=fmuia", f"data.root='{folder}'", f"outputs='{folder}'")
    assert "a\\x1b[2J\\x1b]0;title" in shown


SLOW_COMMANDS = (("doctor",), ("data", "make"))
"""Commands that do their work whatever the value of an option is."""


def list_commands() -> list[tuple[str, ...]]:
    """Return the words of each command."""

    def walk(group: Any, words: tuple[str, ...]) -> list[tuple[str, ...]]:
        commands = getattr(group, "commands", None)
        return [words] if commands is None else [w for n, c in commands.items() for w in walk(c, (*words, n))]

    return walk(typer.main.get_command(app), ())


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, marks=[pytest.mark.slow] * (command in SLOW_COMMANDS), id=" ".join(command))
        for command in list_commands()
    ],
)
def test_wrong_values_of_every_option_and_argument(usaggr: Console, tmp_path: Path, command: tuple[str, ...]) -> None:
    group: Any = typer.main.get_command(app)
    for word in command:
        group = group.commands[word]
    usaggr(*command, f"--{HOSTILE}")
    words: list[str] = []
    if command in (("train",), ("data", "check"), ("data", "show")):
        words = ["data=fmuia", f"data.root={tiny_data(tmp_path / 'data', n=20)}"]
    for parameter in group.params:
        if parameter.param_type_name == "argument":
            required = [word for other in group.params if other.required and other.param_type_name == "option"
                      for word in (other.opts[0], "x")]  # fmt: skip
            usaggr(*command, HOSTILE, *required)
        elif not parameter.is_flag:
            usaggr(*command, parameter.opts[0], HOSTILE, *words, may_break_lines=True)


def test_letters_of_scripts_and_joiners_stay() -> None:
    for text in (
        "Schilddrüse ± 3 × 4 µm",
        "甲状腺結節",
        "\u0645\u06cc\u200c\u062e\u0648",
        "a\tb\nc",
        "№ 5 \N{NO-BREAK SPACE}x",
    ):
        assert escape_text(text) == text
    assert escape_line("a\tb\nc") == "a\\tb\\nc"
    assert escape_text("\ud800\u202e\x1b\x9b\x7f\r") == "\\ud800\\u202e\\x1b\\x9b\\x7f\\r"


def test_exactly_the_unsafe_characters_are_escaped() -> None:
    joiners = {"\u200c", "\u200d"}
    letters = {chr(code) for code in (*range(0xA0), 0xAD, *range(0x2000, 0x2065), 0xD800, 0xFEFF, 0xE0041)}
    escaped = {letter for letter in letters if escape_text(letter) != letter}
    assert escaped == {letter for letter in letters - joiners if find_unsafe(letter)}


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_the_consoles_own_colors_and_live_lines_reach_a_terminal_and_names_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with escape_output(), keep_working_without_output():
        console = SafeConsole(width=80)
        table = Table("task")
        table.add_row("a\x1b[2Jb")
        with Live(table, console=console, auto_refresh=False) as live:
            live.refresh()
            print("printed\x1b[2J")
        console.print("[red]c\x1b[2J[/]", highlight=False)
    text = terminal.getvalue()
    assert "│ a\\x1b[2Jb │" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text), "the column is as wide as the escape"
    assert "\x1b[31mc\\x1b[2J\x1b[0m" in text
    assert "\x1b[?25l" in text, "a live line hides the cursor"
    assert "\x1b[2J" not in text
