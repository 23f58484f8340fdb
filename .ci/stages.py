"""Run every stage of the checks and end with one line for each: passed, failed, skipped, seconds.

A stage fails if its command fails, if it ran no test, or if it skipped a test for a reason that `allowed_skips.toml`
does not allow on this machine. After the stages, every test that pytest can collect must have been run by one of them.
All stages run, also after one has failed, and the exit status is 1 if any failed.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pythons

ROOT = Path(__file__).resolve().parent.parent
ALLOWED_SKIPS = ROOT / ".ci" / "allowed_skips.toml"


@dataclass(frozen=True)
class Stage:
    """A target of the Makefile. Targets that run tests accept PYTEST_FLAGS."""

    name: str
    target: str
    has_tests: bool = True
    python: Literal["current", "other", "oldest", "newest"] = "current"
    """The interpreter of .venv, another one that the target chooses, or one that it accepts as OTHER_PYTHON.

    OTHER_PYTHON is the oldest or newest of this machine. The stage is skipped if torch can be installed for none of
    another minor version than that of .venv.
    """


STAGES = (
    Stage("lint and types", "check", has_tests=False),
    Stage("fast tests", "test"),
    Stage("fast tests, oldest Python", "test-other-python", python="oldest"),
    Stage("fast tests, newest Python", "test-other-python", python="newest"),
    Stage("lowest dependencies", "test-lowest", python="other"),
    Stage("installed package", "wheel-smoke"),
    Stage("slow tests", "test-slow"),
    Stage("Slurm and Ray", "test-clusters"),
)


@dataclass(frozen=True)
class Test:
    """One test of a stage's report."""

    function: str
    """File and function as pytest names them, without parameters: `tests/data/split/test_make_split.py::test_x`."""
    outcome: str
    """passed, failed or skipped."""
    reason: str = ""
    """Reason why it was skipped."""
    tries: int = 1
    """More than one if it failed and was tried again; the outcome is that of the last try."""


@dataclass
class Outcome:
    """Result of one stage; it has passed if it has no problems."""

    name: str
    seconds: float = 0.0
    tests: Sequence[Test] = ()
    problems: list[str] = field(default_factory=list)
    python: str = ""
    """Version of the interpreter that ran the tests, or why there was none."""

    def count(self, outcome: str) -> int:
        """Return the number of tests with this outcome."""
        return sum(test.outcome == outcome for test in self.tests)

    def line(self) -> str:
        """Return the stage's line of the summary."""
        counts = ", ".join(f"{self.count(outcome)} {outcome}" for outcome in ("passed", "failed", "skipped"))
        text = f"{'FAILED' if self.problems else 'ok':6}  {self.name:25}  {counts}, {self.seconds:.0f} s"
        text += f", {self.python}" if self.python else ""
        again = [f"tried more than once: {test.function}" for test in self.tests if test.tries > 1]
        return "\n".join([text, *(f"        {line}" for line in (*self.problems, *again))])


@dataclass(frozen=True)
class AllowedSkip:
    """A reason for which tests may be skipped."""

    pattern: re.Pattern[str]
    """Matches the whole reason."""
    fact: str | None
    """Name of a fact that must be false of this machine; None: allowed everywhere."""


def has_gpu() -> bool:
    """Return whether NVIDIA's tool finds a GPU."""
    tool = shutil.which("nvidia-smi")
    return tool is not None and subprocess.run([tool, "-L"], capture_output=True).stdout.startswith(b"GPU")


FACTS: Mapping[str, Callable[[], bool]] = {
    "gpu": has_gpu,
    "root with apt": lambda: os.geteuid() == 0 and shutil.which("apt-get") is not None,
    "linux": lambda: sys.platform == "linux",
    "test data": lambda: bool(os.environ.get("USAGGR_TEST_DATA")),
}
"""Facts of the machine under which `allowed_skips.toml` no longer allows a skip."""


def read_allowed_skips(path: Path = ALLOWED_SKIPS) -> list[AllowedSkip]:
    """Return the reasons for which a test may be skipped.

    Raises:
        ValueError: an entry has no reason or names an unknown fact.
    """
    skips = []
    for entry in tomllib.loads(path.read_text(encoding="utf-8"))["skip"]:
        fact = entry.get("unless")
        if set(entry) - {"reason", "unless"} or (fact is not None and fact not in FACTS):
            raise ValueError(f"{path.name}: {entry}: an entry has a reason, and `unless` one of {', '.join(FACTS)}")
        skips.append(AllowedSkip(re.compile(entry["reason"], re.DOTALL), fact))
    return skips


def refused_skips(tests: Iterable[Test], allowed: Sequence[AllowedSkip], facts: Mapping[str, bool]) -> list[str]:
    """Return a line for each reason of a skip that is not allowed, with the number of its tests."""
    refused: dict[str, list[str]] = {}
    for test in tests:
        if test.outcome == "skipped" and not any(
            skip.pattern.fullmatch(test.reason) and not (skip.fact and facts[skip.fact]) for skip in allowed
        ):
            refused.setdefault(test.reason, []).append(test.function)
    return [
        f"{len(functions)} skipped for a reason that is not allowed here: {reason} (such as {functions[0]})"
        for reason, functions in refused.items()
    ]


def read_report(path: Path) -> list[Test]:
    """Return the tests of a JUnit report of pytest; none if it does not exist, as after a crash of pytest.

    A test that was tried again has an entry for each try, of which the last one counts.
    """
    if not path.is_file():
        return []
    tests: dict[tuple[str, str], Test] = {}
    for case in ET.parse(path).getroot().iter("testcase"):
        key = (case.get("classname", ""), case.get("name", ""))
        tries = tests[key].tries + 1 if key in tests else 1
        tests[key] = replace(_test(case), tries=tries)
    return list(tests.values())


def _test(case: ET.Element) -> Test:
    function = _function(case.get("classname", ""), case.get("name", ""))
    if case.find("failure") is not None or case.find("error") is not None:
        return Test(function, "failed")
    skipped = case.find("skipped")
    if skipped is None:
        return Test(function, "passed")
    # A module that is skipped as a whole has its reason in the text, as the representation of (file, line, reason).
    message = skipped.get("message", "")
    if message == "collection skipped":
        message = (skipped.text or "").rsplit(", '", 1)[-1].rstrip("')")
    return Test(function, "skipped", message.removeprefix("Skipped: "))


def _function(classname: str, name: str) -> str:
    return f"{classname.replace('.', '/')}.py::{name.split('[', 1)[0]}"


def collected_tests(output: str) -> Counter[str]:
    """Return how often each test function is collected, from the output of `pytest --collect-only -q`."""
    ids = (line for line in output.splitlines() if line.startswith("tests/") and "::" in line)
    return Counter(line.split("[", 1)[0] for line in ids)


def tests_not_run(collected: Counter[str], outcomes: Iterable[Outcome]) -> Counter[str]:
    """Return the test functions, with their number of cases, that no stage has run or skipped."""
    return collected - Counter(test.function for outcome in outcomes for test in outcome.tests)


def run_stage(
    stage: Stage, folder: Path, allowed: Sequence[AllowedSkip], facts: Mapping[str, bool], make: str = "make"
) -> Outcome:
    """Run a stage and judge it.

    Args:
        stage: What to run.
        folder: Where the report of its tests is written.
        allowed: Reasons for which tests may be skipped.
        facts: Facts of this machine, by name.
        make: The program that makes targets.
    """
    report = folder / f"{stage.name}.xml".replace(" ", "-")
    flags = [f"PYTEST_FLAGS=--junitxml={report}"] if stage.has_tests else []
    print(f"\n=== {stage.name}: make {stage.target}", flush=True)
    started = time.monotonic()
    python = f"Python {platform.python_version()}" if stage.has_tests and stage.python == "current" else ""
    if stage.python == "oldest" or stage.python == "newest":
        choice = pythons.choose_installed(stage.python)
        if choice.path is None:
            tests = [Test(f"make {stage.target}", "skipped", choice.description)]
            seconds = time.monotonic() - started
            return Outcome(stage.name, seconds, tests, refused_skips(tests, allowed, facts), choice.description)
        flags.append(f"OTHER_PYTHON={choice.path}")
        python = choice.description
    status = subprocess.run([make, stage.target, *flags], cwd=ROOT, stdin=subprocess.DEVNULL).returncode
    outcome = Outcome(stage.name, time.monotonic() - started, python=python)
    if not stage.has_tests:
        outcome.tests = [Test(stage.target, "failed" if status else "passed")]
    else:
        outcome.tests = read_report(report)
        if outcome.count("passed") + outcome.count("failed") == 0:
            outcome.problems.append("ran no test")
        outcome.problems += refused_skips(outcome.tests, allowed, facts)
    if status:
        outcome.problems.insert(0, f"make {stage.target} ended with exit status {status}")
    return outcome


def check_completeness(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the outcome of comparing the tests that were run with all that pytest collects."""
    started = time.monotonic()
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-o", "addopts=", "tests"]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    collected = collected_tests(completed.stdout)
    outcome = Outcome("no test left out", time.monotonic() - started)
    if completed.returncode or not collected:
        outcome.problems.append(f"tests cannot be collected:\n{completed.stdout[-2000:]}{completed.stderr[-2000:]}")
    missing = tests_not_run(collected, outcomes)
    outcome.problems += [f"no stage ran {function} ({count} cases)" for function, count in sorted(missing.items())]
    outcome.tests = [Test("all tests", "failed" if outcome.problems else "passed")]
    return outcome


def main() -> int:
    """Run all stages, print the summary and return the exit status."""
    allowed = read_allowed_skips()
    facts = {name: fact() for name, fact in FACTS.items()}
    with tempfile.TemporaryDirectory(prefix="usaggr-ci-") as folder:
        outcomes = [run_stage(stage, Path(folder), allowed, facts) for stage in STAGES]
    outcomes.append(check_completeness(outcomes))
    print("\n=== Summary")
    for outcome in outcomes:
        print(outcome.line())
    passed, failed, skipped = (
        sum(outcome.count(name) for outcome in outcomes) for name in ("passed", "failed", "skipped")
    )
    print(f"{sum(outcome.seconds for outcome in outcomes) / 60:.0f} minutes")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if any(outcome.problems for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
