"""Find the tests that can detect a mutant: those that execute a changed line, from a coverage database with contexts.

`pytest --cov=usaggr --cov-context=test` writes the database. It does not contain lines executed in child processes, nor
which tests depend on code that a module executes while it is imported.
"""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from coverage import CoverageData

from benchmarks.mutants.catalogue import Mutant

_PHASE = re.compile(r"\|(setup|run|teardown)$")
"""Suffix of the test's id in a context of pytest-cov."""


class Noticing:
    """Index of a coverage database from source lines to the tests that execute them."""

    def __init__(self, database: Path) -> None:
        """Read a database.

        Raises:
            CoverageException: if it cannot be read.
        """
        self._data = CoverageData(basename=str(database))
        self._data.read()
        self._files = list(self._data.measured_files())
        self._cost: Counter[str] | None = None

    def tests_of(self, mutant: Mutant, source: str) -> tuple[str, ...]:
        """Return the ids of the tests that can detect a mutant, those that execute the fewest lines first.

        If the changed lines are executed only while the module is imported, these are all tests that execute a function
        of the file. The result is empty if no test of the database executes the file.

        Args:
            mutant: Entry of the catalog.
            source: Text of its file, without the fault.
        """
        file = next((name for name in self._files if name.endswith(f"/{mutant.file}")), None)
        if file is None:
            return ()
        by_line = self._data.contexts_by_lineno(file)
        tests = _tests(context for line in mutant.statement_lines(source) for context in by_line.get(line, ()))
        if not tests:
            tests = _tests(context for contexts in by_line.values() for context in contexts)
        costs = self._costs()
        return tuple(sorted(tests, key=lambda test: (costs[test], test)))

    def _costs(self) -> Counter[str]:
        """Count the lines of the package that each test executes, an estimate of its cost."""
        if self._cost is None:
            self._cost = Counter()
            for file in self._files:
                for contexts in self._data.contexts_by_lineno(file).values():
                    self._cost.update({_PHASE.sub("", context) for context in contexts})
        return self._cost


def _tests(contexts: Iterable[str]) -> set[str]:
    """Return the ids of the tests; code outside of tests has an empty context."""
    return {_PHASE.sub("", context) for context in contexts if context}
