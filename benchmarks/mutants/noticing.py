"""Find the tests that can notice a mutant: those that execute a changed line, from a coverage database with contexts.

The database is written by `pytest --cov=usaggr --cov-context=test`. It does not tell which lines are executed in child
processes, nor which tests depend on what a module computes while it is imported.
"""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from coverage import CoverageData

from benchmarks.mutants.catalogue import Mutant

_PHASE = re.compile(r"\|(setup|run|teardown)$")
"""Behind the id of the test in a context of pytest-cov."""


class Noticing:
    """Tests by the lines that they execute, as a coverage database has them."""

    def __init__(self, database: Path) -> None:
        """Read a database.

        Raises:
            CoverageException: it cannot be read.
        """
        self._data = CoverageData(basename=str(database))
        self._data.read()
        self._files = list(self._data.measured_files())
        self._cost: Counter[str] | None = None

    def tests_of(self, mutant: Mutant, source: str) -> tuple[str, ...]:
        """Return the ids of the tests that can notice a mutant, those that execute the fewest lines first.

        Where the changed lines are executed only while the module is imported, these are all tests that execute a
        function of the file. Empty where no test of the database executes the file.

        Args:
            mutant: entry of the catalogue.
            source: text of its file, without the fault.
        """
        file = next((name for name in self._files if name.endswith(f"/{mutant.file}")), None)
        if file is None:
            return ()
        by_line = self._data.contexts_by_lineno(file)
        found = _tests(context for line in mutant.statement_lines(source) for context in by_line.get(line, ()))
        if not found:
            found = _tests(context for contexts in by_line.values() for context in contexts)
        costs = self._costs()
        return tuple(sorted(found, key=lambda test: (costs[test], test)))

    def _costs(self) -> Counter[str]:
        """Count the lines of the package that each test executes: about what it costs."""
        if self._cost is None:
            self._cost = Counter()
            for file in self._files:
                for contexts in self._data.contexts_by_lineno(file).values():
                    self._cost.update({_PHASE.sub("", context) for context in contexts})
        return self._cost


def _tests(contexts: Iterable[str]) -> set[str]:
    """Return the ids of the tests; what is executed outside of tests has no context."""
    return {_PHASE.sub("", context) for context in contexts if context}
