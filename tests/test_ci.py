"""The runner of the checks fails if a stage fails, runs no test, skips without a reason or leaves out a test."""

import importlib.util
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look up their module here, and stages.py imports pythons.py
    spec.loader.exec_module(module)
    return module


pythons = load(ROOT / ".ci" / "pythons.py")
stages = load(ROOT / ".ci" / "stages.py")
NOTHING = {"gpu": False, "root with apt": False, "linux": True, "test data": False}
PASSED = '<testcase classname="tests.test_a" name="test_one[x]" />'
OTHER = '<testcase classname="tests.test_a" name="test_one[y]" />'
FAILED = '<testcase classname="tests.test_a" name="test_two"><failure message="assert 1 == 2" /></testcase>'
SKIPPED = '<testcase classname="tests.test_a" name="test_three"><skipped message="{}" /></testcase>'


def run(tmp_path: Path, cases: str | None, status: int = 0, facts: Mapping[str, bool] = NOTHING) -> object:
    """Run a stage that writes a report of these cases (None: no report) and ends with a status."""
    make = tmp_path / "make"
    stage = stages.Stage("fast tests", "test")
    report = tmp_path / "fast-tests.xml"
    written = "" if cases is None else f"cat > {report} <<'END'\n<testsuites>{cases}</testsuites>\nEND\n"
    make.write_text(f"#!/bin/sh\n{written}exit {status}\n")
    make.chmod(0o755)
    return stages.run_stage(stage, tmp_path, stages.read_allowed_skips(), facts, make=str(make))


def problems(outcome: object) -> str:
    return "\n".join(outcome.problems)  # type: ignore[attr-defined]


def test_a_stage_whose_tests_pass_has_no_problem(tmp_path: Path) -> None:
    outcome = run(tmp_path, PASSED + OTHER + SKIPPED.format("chromium is not installed"))
    assert problems(outcome) == ""
    assert re.search(r"ok .* 2 passed, 0 failed, 1 skipped, \d+ s, Python 3[\d.]+$", outcome.line())  # type: ignore[attr-defined]


def test_a_repeated_test_counts_once_and_is_named(tmp_path: Path) -> None:
    """pytest-rerunfailures reports a repeated test in this way: the first try is an entry without an outcome."""
    outcome = run(tmp_path, PASSED + PASSED + FAILED, status=1)
    assert "1 passed, 1 failed" in outcome.line()  # type: ignore[attr-defined]
    assert "tried more than once: tests/test_a.py::test_one\n" in outcome.line() + "\n"  # type: ignore[attr-defined]


def test_a_failing_test_fails_its_stage(tmp_path: Path) -> None:
    outcome = run(tmp_path, PASSED + FAILED, status=2)
    assert "exit status 2" in problems(outcome)
    assert "1 passed, 1 failed" in outcome.line()  # type: ignore[attr-defined]


@pytest.mark.parametrize("cases", [None, "", SKIPPED.format("chromium is not installed")])
def test_a_stage_that_executed_no_test_has_failed(tmp_path: Path, cases: str | None) -> None:
    assert problems(run(tmp_path, cases)) == "ran no test"


def test_a_skip_for_an_unknown_reason_is_refused(tmp_path: Path) -> None:
    skipped = SKIPPED.format("does not work today")
    outcome = run(tmp_path, PASSED + skipped + skipped.replace("three", "four"))
    assert problems(outcome).startswith("2 skipped for a reason that is not allowed here: does not work today")


@pytest.mark.parametrize(
    ("reason", "fact"),
    [
        ("chromium is not installed", "root with apt"),
        ("no slurmctld: apt-get install slurmctld slurmd slurmdbd", "root with apt"),
        ("USAGGR_TEST_DATA is not set", "test data"),
        ("USAGGR_TEST_DATA names no folder with real data in the FM_UIA layout", "test data"),
    ],
)
def test_a_skip_is_refused_if_the_machine_has_what_the_test_needs(tmp_path: Path, reason: str, fact: str) -> None:
    cases = PASSED + SKIPPED.format(reason)
    assert problems(run(tmp_path, cases)) == ""
    assert reason in problems(run(tmp_path, cases, facts={**NOTHING, fact: True}))


def test_the_reason_of_a_skipped_module_is_read(tmp_path: Path) -> None:
    """pytest writes the reason of a skipped module into the text of the entry, not into its message."""
    text = "('/x/tests/test_a.py', 16, 'Skipped: chromium is not installed')"
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testcase classname="" name="tests.test_a"><skipped message="collection skipped">'
        f"{text}</skipped></testcase></testsuites>"
    )
    assert [test.reason for test in stages.read_report(report)] == ["chromium is not installed"]


def test_a_test_that_no_stage_ran_is_found() -> None:
    printed = (
        "tests/test_a.py::test_one[x]\ntests/test_a.py::test_one[y]\ntests/test_a.py::test_two\n\n3 tests collected\n"
    )
    collected = stages.collected_tests(printed)
    first_test = stages.Test("tests/test_a.py::test_one", "passed")
    outcome = stages.Outcome("fast tests", tests=[first_test])
    assert stages.tests_not_run(collected, [outcome]) == Counter(
        {"tests/test_a.py::test_one": 1, "tests/test_a.py::test_two": 1}
    )


def test_stages_run_the_tests_of_every_marker() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for stage in stages.STAGES:
        recipe = re.search(rf"^{stage.target}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
        assert recipe is not None, stage.target
        assert not stage.has_tests or "$(PYTEST_FLAGS)" in recipe[1]
    markers = re.findall(r'^    "(\w+): .*\(make ([\w-]+)\)",$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert {marker for marker, _ in markers} == {"slow", "cluster", "installed"}
    assert {target for _, target in markers} <= {stage.target for stage in stages.STAGES}


def test_make_help_prints_and_runs_nothing() -> None:
    """A shell runs what stands between backquotes in a text that `echo` prints."""
    lines = [line for line in (ROOT / "Makefile").read_text().splitlines() if "@echo" in line]
    assert lines
    assert not any(character in line for line in lines for character in ("`", "$(shell", "$$("))


def test_an_allowed_skip_with_an_unknown_fact_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "allowed.toml"
    path.write_text('[[skip]]\nreason = "x"\nunless = "moonlight"\n')
    with pytest.raises(ValueError, match="moonlight"):
        stages.read_allowed_skips(path)


def test_the_oldest_and_the_newest_supported_python_are_found(tmp_path: Path) -> None:
    paths = []
    for number, version in enumerate(("3.13.0", "3.10.13", "3.11.7", "3.12.1", "3.99.0")):
        path = tmp_path / f"python{number}"
        path.write_text(f"#!/bin/sh\necho Python {version}\n")
        path.chmod(0o755)
        paths.append(path)
    (tmp_path / "shim").write_text("#!/bin/sh\nexit 1\n")
    interpreters = pythons.find_interpreters([tmp_path / "shim", tmp_path / "missing", *paths])
    assert list(interpreters) == [(3, 11, 7), (3, 12, 1), (3, 13, 0)]
    assert interpreters[3, 11, 7] == paths[2]


INSTALLED = {(3, 11, 2): Path("/11.2"), (3, 11, 7): Path("/11.7"), (3, 12, 1): Path("/12"), (3, 13, 0): Path("/13")}


@pytest.mark.parametrize(
    ("which", "current", "without_torch", "path", "description"),
    [
        ("newest", (3, 11, 7), (), "/13", "Python 3.13.0"),
        ("newest", (3, 11, 7), ("/13",), "/12", "Python 3.12.1"),
        ("newest", (3, 11, 7), ("/12", "/13"), None, "no Python newer than 3.11 has torch: 3.13.0: no; 3.12.1: no"),
        ("newest", (3, 13, 1), (), None, "no Python newer than 3.13 is installed"),
        ("oldest", (3, 13, 1), (), "/11.7", "Python 3.11.7"),
        ("oldest", (3, 13, 1), ("/11.7",), "/12", "Python 3.12.1"),
        ("oldest", (3, 11, 7), (), None, "no Python older than 3.11 is installed"),
    ],
)
def test_a_python_without_torch_leaves_its_place_to_the_next_one(
    which: str, current: tuple[int, ...], without_torch: tuple[str, ...], path: str | None, description: str
) -> None:
    choice = pythons.choose_other(which, current, INSTALLED, lambda path: "no" if str(path) in without_torch else None)
    assert (choice.path, choice.description) == (None if path is None else Path(path), description)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has CUDA builds of torch by default")
def test_a_cuda_build_is_recognized_by_what_it_needs() -> None:
    needs = ["filelock", 'cuda-toolkit[cublas]==13.0.3; platform_system == "Linux"', "nvidia-cudnn-cu13==9.2", "triton"]
    assert pythons.describe_cuda_build({"version": "2.13.0", "requires_dist": needs}) == (
        "torch 2.13.0 is a CUDA build (cuda-toolkit and 1 more packages)"
    )
    assert pythons.describe_cuda_build({"version": "2.13.0+cpu", "requires_dist": needs[:1]}) is None


@pytest.mark.parametrize(
    ("answer", "obstacle"),
    [
        ('echo \'{"install": [{"metadata": {"version": "2.13.0+cpu", "requires_dist": ["jinja2"]}}]}\'', None),
        ("echo 'ERROR: No matching distribution found for torch' >&2; exit 1", "there is no release of torch>=2.6"),
        ("echo 'ERROR: no network' >&2; exit 1", "pip fails: ERROR: no network"),
    ],
)
def test_pip_says_whether_an_interpreter_can_have_torch(tmp_path: Path, answer: str, obstacle: str | None) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{answer}\n")
    python.chmod(0o755)
    assert pythons.find_torch_obstacle(python, "torch>=2.6", tmp_path) == obstacle


@pytest.mark.parametrize(
    ("description", "problem"),
    [
        ("no Python newer than 3.13 is installed", ""),
        (
            "no Python newer than 3.11 has torch: 3.13.0: torch 2.13.0 is a CUDA build (cuda-toolkit and 6 more "
            "packages); 3.12.1: there is no release of torch>=2.6,<2.14",
            "",
        ),
        ("no Python newer than 3.11 has torch: 3.13.0: pip fails: ERROR: no network", "1 skipped for a reason that"),
    ],
)
def test_a_stage_without_an_interpreter_says_why_and_fails_if_the_reason_is_not_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, description: str, problem: str
) -> None:
    monkeypatch.setattr(pythons, "choose_installed", lambda which: pythons.Choice(None, description))
    stage = stages.Stage("fast tests, newest Python", "test-other-python", python="newest")
    outcome = stages.run_stage(stage, tmp_path, stages.read_allowed_skips(), NOTHING, make="/no/make")
    assert re.search(rf"1 skipped, 0 s, {re.escape(description)}", outcome.line())
    assert problems(outcome)[: len(problem) or None] == problem


def test_the_lowest_versions_are_those_that_the_package_allows() -> None:
    """A bound such as >=1.12 is met by 1.12.0."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lowest = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / ".ci" / "constraints-lowest.txt").read_text(), re.MULTILINE))
    bounds = dict(
        match.groups() for text in project["dependencies"] if (match := re.match(r"([\w-]+)>=([\d.]+)", text))
    )
    assert bounds.keys() - lowest.keys() == {"torch", "torchvision", "monai"}
    assert {name for name in lowest if not lowest[name].startswith(bounds[name])} == set()
