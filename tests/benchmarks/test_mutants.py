"""Tests of the mutants: each fits the sources, is tried with the right tests, and is counted correctly on the page."""

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from coverage import CoverageData

from benchmarks.mutants.__main__ import check, is_open, read_outcomes, write_outcomes
from benchmarks.mutants.catalogue import CatalogueError, Mutant, read_catalogue
from benchmarks.mutants.noticing import Noticing
from benchmarks.mutants.page import page
from benchmarks.mutants.trials import Laboratory, Outcome

ROOT = Path(__file__).parent.parent.parent
SOURCE = '''LIMIT = 3


def clip(value: int) -> int:
    """Clip."""
    if (
        value > LIMIT
    ):
        return LIMIT
    return value
'''


def mutant(old: str, new: str, equivalent: str = "") -> Mutant:
    return Mutant("a-fault", "usaggr/metrics/clip.py", 2, "It does what it must not.", old, new, equivalent)


def test_every_mutant_fits_the_sources() -> None:
    """Check every entry of the catalog, which has to follow changes of the sources."""
    faults = []
    for entry in read_catalogue():
        source = (ROOT / entry.file).read_text()
        try:
            entry.apply(source)
            entry.statement_lines(source)
        except CatalogueError as error:
            faults.append(str(error))
    assert not faults


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("absent", "present", "occurs 0 times"),
        ("LIMIT", "BOUND", "occurs 3 times"),
        ("value > LIMIT", "value >", "would not parse"),
        ("value > LIMIT", "value  >  LIMIT", "means the same"),
    ],
)
def test_a_mutant_that_does_not_change_the_meaning_of_valid_code_is_an_error(old: str, new: str, message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        mutant(old, new).apply(SOURCE)


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("LIMIT = 3", "LIMIT = 4", [1]),
        ("value > LIMIT", "value >= LIMIT", [6, 7, 8]),
        ("return LIMIT", "return 0", [9]),
        ("):\n        return LIMIT", "):\n        return 0", [9]),
        ("return LIMIT\n    return value", "return 0\n    return 1", [9, 10]),
    ],
)
def test_the_lines_of_a_mutant_are_those_of_the_changed_statements(old: str, new: str, lines: list[int]) -> None:
    assert list(mutant(old, new).statement_lines(SOURCE)) == lines


def test_catalogue_keys_are_checked_and_names_occur_once(tmp_path: Path) -> None:
    entry = "- {name: twice, file: usaggr/a.py, round: 1, why: w, old: o, new: n}\n"
    (tmp_path / "a.yaml").write_text(entry * 2)
    with pytest.raises(CatalogueError, match="occur twice: twice"):
        read_catalogue(tmp_path)
    (tmp_path / "a.yaml").write_text("- {name: short, file: usaggr/a.py}\n")
    with pytest.raises(CatalogueError, match=r"a.yaml: short: .*'old'"):
        read_catalogue(tmp_path)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Coverage of three tests: `test_deep` executes the most lines; `test_far` does not execute line 9."""
    data = CoverageData(basename=str(tmp_path / "tests.coverage"))
    file, other = (f"/somewhere/usaggr/metrics/{name}.py" for name in ("clip", "other"))
    for context, lines in {
        "": {file: [1, 4]},
        "tests/metrics/test_clip.py::test_deep[a|b]|run": {file: [6, 9], other: [1, 2, 3]},
        "tests/metrics/test_clip.py::test_near|run": {file: [6, 9]},
        "tests/metrics/test_clip.py::test_far|setup": {file: [6]},
    }.items():
        data.set_context(context)
        data.add_lines(lines)
    data.write()
    return tmp_path / "tests.coverage"


def test_a_mutant_is_tried_with_the_tests_that_execute_a_changed_line_the_cheapest_first(database: Path) -> None:
    tests = Noticing(database).tests_of(mutant("return LIMIT", "return 0"), SOURCE)
    assert tests == ("tests/metrics/test_clip.py::test_near", "tests/metrics/test_clip.py::test_deep[a|b]")


def test_a_line_that_is_executed_at_import_is_tried_with_all_tests_of_its_file(database: Path) -> None:
    tests = Noticing(database).tests_of(mutant("LIMIT = 3", "LIMIT = 4"), SOURCE)
    assert {test.rpartition("::")[2] for test in tests} == {"test_far", "test_near", "test_deep[a|b]"}


def test_a_file_that_no_test_executes_has_no_tests(database: Path) -> None:
    entry = Mutant("a-fault", "usaggr/sweep/execution/loop.py", 2, "", "return LIMIT", "return 0")
    assert Noticing(database).tests_of(entry, SOURCE) == ()


TESTS = """
import pytest
from usaggr.metrics.clip import clip

def test_near():
    assert clip(4) == 3

@pytest.mark.parametrize("value", [4], ids=["a|b"])
def test_deep(value):
    assert clip(value) == 4

@pytest.mark.slow
def test_small():
    assert clip(1) == 1
"""


@pytest.fixture
def laboratory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Laboratory]:
    """Make a tree with one module, a test that covers it, one that always fails, and a slow one."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    files = {
        "usaggr/metrics/clip.py": SOURCE,
        "tests/metrics/test_clip.py": TESTS,
        "pytest.ini": "[pytest]\nmarkers =\n    slow: slow\n    cluster: cluster\n",
    }
    for name, text in files.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "tree" / "untracked").touch()
    subprocess.run(["git", "init", "-q"], cwd=tmp_path / "tree", check=True)
    subprocess.run(["git", "add", *files], cwd=tmp_path / "tree", check=True)
    with closing(Laboratory(tmp_path / "tree", tmp_path / "copy", libraries=())) as made:
        yield made


@pytest.mark.slow
def test_a_mutant_is_killed_by_a_test_that_passes_without_it(
    laboratory: Laboratory, database: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    entry, noticing = mutant("return LIMIT", "return 0"), Noticing(database)
    outcome = laboratory.try_out(entry, noticing)
    assert (outcome.verdict, outcome.test) == ("fast", "tests/metrics/test_clip.py::test_near")
    assert laboratory.source(entry) == SOURCE
    assert not (laboratory.folder / "untracked").exists()
    # One fast test fails with and without the fault, which is no proof, and one is missing; a slow test detects it.
    entry = Mutant("a-fault", "usaggr/metrics/clip.py", 2, "", "return value", "return value + 1")
    outcome = laboratory.try_out(entry, noticing, slow=True)
    assert (outcome.verdict, outcome.test) == ("slow", "tests/metrics/test_clip.py::test_small")
    assert "test_deep[a|b] fails without the mutant too" in capfd.readouterr().err


def test_an_equivalent_mutant_is_not_run(laboratory: Laboratory, database: Path) -> None:
    assert laboratory.try_out(mutant("absent", "too", "nobody calls it"), Noticing(database)).verdict == "equivalent"


def test_mutants_that_no_longer_apply_are_named_together_before_anything_runs(laboratory: Laboratory) -> None:
    moved = Mutant("moved", "usaggr/gone.py", 2, "", "a", "b")
    with pytest.raises(CatalogueError, match=r"(?s)a-fault: its old text occurs 0 times.*usaggr/gone.py"):
        check([mutant("absent", "too"), mutant("return LIMIT", "return 0"), moved], laboratory)


def test_outcomes_are_stored_and_only_survivors_are_tried_with_slow_tests_later(tmp_path: Path) -> None:
    outcomes = {"b": Outcome("survived", "", 3, 1.5), "a": Outcome("fast", "tests/x.py::test_y", 1, 0.5)}
    assert read_outcomes(tmp_path / "none.json") == {}
    write_outcomes(tmp_path / "some.json", outcomes, "abc")
    assert read_outcomes(tmp_path / "some.json", "abc") == read_outcomes(tmp_path / "some.json") == outcomes
    assert read_outcomes(tmp_path / "some.json", "another tree") == {}
    assert [is_open(outcomes.get(name), slow=True) for name in "abc"] == [False, True, True]
    assert [is_open(outcomes.get(name), slow=False) for name in "abc"] == [False, False, True]
    assert not is_open(Outcome("survived", "", 3, 1.5, met_slow_tests=True), slow=True)


def test_the_page_counts_mutants_of_the_second_round_that_are_not_equivalent() -> None:
    def entry(name: str, number: int, equivalent: str = "") -> Mutant:
        return Mutant(name, "usaggr/metrics/clip.py", number, f"Why {name}.", "a", "b", equivalent)

    mutants = [entry("reviewed", 1), *(entry(name, 2) for name in "abcd"), entry("alike", 2, "It is a constant.")]
    before = {"a": Outcome("fast", "t"), "b": Outcome("survived"), "reviewed": Outcome("survived")}
    killed = Outcome("fast", "tests/a.py::test_b[1|2]", 2)
    after = {"a": killed, "b": killed, "c": Outcome("slow", "s"), "d": Outcome("survived"), "reviewed": killed}
    text = page(mutants, before, after)
    line = "| {} | 5 | 1 | 1/2 (50%) | 2/4 (50%) | 1/4 (25%) | 1 |"
    assert line.format("metrics") in text
    assert line.format("all") in text
    lines = text[text.index("| package | kind") :].splitlines()[2:]
    assert [line.strip("| ").split(" | ") for line in lines] == [
        ["metrics", "review", "fast", "`reviewed`"],
        ["metrics", "sources", "equivalent", "`alike`"],
        ["metrics", "sources", "fast", "`a` `b`"],
        ["metrics", "sources", "slow", "`c`"],
        ["metrics", "sources", "survived", "`d`"],
    ]
