"""Trials of mutants: one at a time in a copy of the tree, with the tests that can detect it."""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from benchmarks.mutants.catalogue import Mutant
from benchmarks.mutants.noticing import Noticing

Verdict = Literal["fast", "slow", "survived", "equivalent"]
"""Killed by a fast test, by a slow test only, or by none; equivalent mutants are not run."""

LIBRARIES = (
    "numpy", "pandas", "torch", "hypothesis", "scipy.stats", "sklearn.metrics", "cv2", "pyarrow.parquet", "pydantic",
    "hydra", "rich.console", "typer", "matplotlib.pyplot", "yaml",
)  # fmt: skip
"""Libraries imported once for all runs of tests; none imports torchvision, for which usaggr has to prepare torch."""
FIRST = 25
"""Number of tests in the first run, the cheapest ones, which kill most mutants."""
LIMIT = 1200.0
"""Seconds for one run of tests; a mutant that takes longer counts as killed, since a test would not end."""
_DECIDING = ("usaggr/", "conf/", "sweeps/", "tests/")
"""Folders whose content affects an outcome."""
_QUIET = ("-q", "--tb=no", "-rfE", "-p", "no:cacheprovider")
_FAST = "not slow and not cluster"
_SLOW = "slow and not cluster"
_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)
_NOT_FOUND = re.compile(r"^ERROR: not found: \S*?/(tests/.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """Outcome of a mutant's trial."""

    verdict: Verdict
    test: str = ""
    """Id of the failed test; empty for a survivor."""
    tests: int = 0
    """Number of fast tests that execute the changed lines."""
    seconds: float = 0.0
    met_slow_tests: bool = False
    """True if slow tests were run."""


class Laboratory:
    """A copy of the tracked files of a tree, in which mutants are tried."""

    def __init__(self, tree: Path, folder: Path, libraries: Sequence[str] = LIBRARIES) -> None:
        """Copy the tracked files of a tree, with uncommitted changes, into an empty folder."""
        self.folder = folder
        self._libraries = libraries
        content = hashlib.sha256()
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=tree, capture_output=True, text=True, check=True, encoding="utf-8"
        )
        for name in filter(None, listed.stdout.split("\0")):
            source, target = tree / name, folder / name
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read_bytes())
                target.chmod(source.stat().st_mode & 0o777)
                if name.startswith(_DECIDING):
                    content.update(f"{name}\0".encode() + hashlib.sha256(target.read_bytes()).digest())
        self._server: subprocess.Popen[str] | None = None
        self.content = content.hexdigest()
        """Hash of the files that affect an outcome."""

    def source(self, mutant: Mutant) -> str:
        """Return the text of a mutant's file, without the fault."""
        return (self.folder / mutant.file).read_text(encoding="utf-8")

    def record(self, database: Path) -> None:
        """Run the fast tests once and write the coverage database of the lines that each test executes.

        Raises:
            RuntimeError: if a test fails without any mutant.
        """
        flags = ["-n", "2", "--cov=usaggr", "--cov-context=test", "--cov-report=", "-m", _FAST]
        environment = {**self._environment(), "COVERAGE_FILE": str(database)}
        command = [sys.executable, "-m", "pytest", *_QUIET, *flags]
        ended = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, encoding="utf-8"
        )
        if ended.returncode:
            raise RuntimeError(f"tests fail without a mutant:\n{ended.stdout[-4000:]}{ended.stderr[-2000:]}")

    def close(self) -> None:
        """End the process that runs the tests."""
        if self._server is not None:
            self._server.communicate()
            self._server = None

    def try_out(
        self, mutant: Mutant, noticing: Noticing, fast: bool = True, slow: bool = False, rooms: bool = False
    ) -> Outcome:
        """Insert a mutant, and run the tests that can detect it until one fails.

        A failure counts if the same test passes without the mutant. If no test executes the changed lines according to
        the database, the tests of the package's test folder are run.

        Args:
            mutant: Entry of the catalog.
            noticing: Index of the tests that can detect a mutant.
            fast: Runs the fast tests.
            slow: Runs the slow tests of the package's test folder, if no fast test fails.
            rooms: Runs all fast tests of the package's test folder too, for a database that lacks some tests.
        """
        if mutant.equivalent:
            return Outcome("equivalent")
        start = time.monotonic()
        tests = noticing.tests_of(mutant, self.source(mutant))
        room = self._room(mutant)
        runs: list[tuple[Verdict, str, Sequence[str]]] = []
        if fast:
            first, further = (tests[:FIRST], tests[FIRST:]) if tests else (room[:1], room[1:])
            runs += [("fast", _FAST, first), ("fast", _FAST, further)]
            runs += [("fast", _FAST, room[:1]), ("fast", _FAST, room[1:])] if tests and rooms else []
        if slow:
            runs.append(("slow", _SLOW, room))
        test = None
        for verdict, marks, chosen in runs:
            test = self._first_failure(mutant, chosen, marks)
            if test is not None:
                return Outcome(verdict, test, len(tests), time.monotonic() - start, verdict == "slow")
        return Outcome("survived", "", len(tests), time.monotonic() - start, slow)

    def _room(self, mutant: Mutant) -> list[str]:
        """Return the test file of a mutant's module and the test folder of its package, if they exist."""
        name, folder = f"test_{Path(mutant.file).stem}.py", Path("tests") / mutant.room
        return [str(path) for path in (folder / name, Path("tests") / name, folder) if (self.folder / path).exists()]

    def _first_failure(self, mutant: Mutant, tests: Sequence[str], marks: str) -> str | None:
        """Return the first test that fails with the mutant and passes without it; None if there is none."""
        chosen, unsound = list(tests), []
        while chosen:
            flags = ["-x", "-m", marks, *(f"--deselect={test}" for test in unsound)]
            with self._mutated(mutant):
                status, text = self._run(chosen, flags)
            if status == -1:
                return f"no end after {LIMIT:.0f} s"
            if status in (0, 5):  # 5: every test is deselected
                return None
            # A database of another tree may name missing tests; pytest reports their names without parameters.
            missing = set(_NOT_FOUND.findall(text))
            available = [test for test in chosen if not {test, test.split("[")[0]} & missing]
            if len(available) < len(chosen):
                chosen = available
                continue
            if (failed := _FAILED.search(text)) is None:
                raise RuntimeError(f"{mutant.name}: pytest ended with {status}:\n{text[-2000:]}")
            test = failed[1]
            if self._run([test], ["-m", marks])[0] == 0:
                return test
            print(f"{mutant.name}: {test} fails without the mutant too", file=sys.stderr)
            unsound.append(test)
            chosen = [other for other in chosen if other != test]
        return None

    @contextmanager
    def _mutated(self, mutant: Mutant) -> Iterator[None]:
        """Insert a mutant into its file while the context lasts."""
        path, source = self.folder / mutant.file, self.source(mutant)
        try:
            self._write(path, mutant.apply(source))
            yield
        finally:
            self._write(path, source)

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        # Python reuses compiled code if a file's size and the second of its last change are the same.
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()

    def _run(self, tests: Sequence[str], flags: Sequence[str]) -> tuple[int, str]:
        """Return pytest's exit status (-1 if it was killed at the limit) and its output."""
        listed, output = self.folder / "mutant-tests.txt", self.folder / "mutant-output.txt"
        listed.write_text("\n".join(tests), encoding="utf-8")
        output.write_text("", encoding="utf-8")
        arguments = [*_QUIET, *flags, f"@{listed}"]
        stdin, stdout = self._pipes()
        stdin.write(json.dumps({"arguments": arguments, "output": str(output), "limit": LIMIT}) + "\n")
        stdin.flush()
        return int(stdout.readline()), output.read_text(errors="replace", encoding="utf-8")

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        """Return the pipes of the process that runs the tests, which is started once."""
        if self._server is None:
            command = [sys.executable, Path(__file__).with_name("fork_server.py"), *self._libraries]
            self._server = subprocess.Popen(
                command, cwd=self.folder, text=True,
                env=self._environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
            )  # fmt: skip
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        return self._server.stdin, self._server.stdout

    def _environment(self) -> dict[str, str]:
        usual = {"PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "1000"}
        return {**os.environ, **usual}
