"""The catalog of mutants: plausible faults in `catalogue/*.yaml`, and their insertion into a source file.

Keys of an entry:
    name: Unique name in the catalog, words joined by hyphens.
    file: Source file, relative to the root of the repository.
    round: 1 for faults that a review of the tests found undetected; 2 for faults chosen from the sources alone, before
        anybody had checked which ones the tests detect; 3 for faults added together with tests that detect them. Only
        round 2 estimates the share of faults that the tests detect.
    why: The fault in one sentence.
    old: Text that occurs once in the source file.
    new: Text that replaces it.
    equivalent: Reason why no test can distinguish the mutant from the source. Such mutants are not run, and are counted
        separately.
"""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent / "catalogue"


class CatalogueError(Exception):
    """An entry of the catalog that does not fit the sources."""


@dataclass(frozen=True)
class Mutant:
    """One entry of the catalog; the module's docstring describes the fields."""

    name: str
    file: str
    round: int
    why: str
    old: str
    new: str
    equivalent: str = ""

    @property
    def room(self) -> str:
        """Subpackage of the file, or the module's name if it is in no subpackage."""
        return Path(self.file).parts[1].removesuffix(".py")

    def apply(self, source: str) -> str:
        """Return the source with the fault.

        Raises:
            CatalogueError: if the old text does not occur exactly once, or the result is not valid or means the same.
        """
        if (count := source.count(self.old)) != 1:
            raise CatalogueError(f"{self.name}: its old text occurs {count} times in {self.file}, must occur once")
        mutated = source.replace(self.old, self.new)
        try:
            same = ast.dump(ast.parse(mutated)) == _meaning(source)
        except SyntaxError as error:
            raise CatalogueError(f"{self.name}: {self.file} would not parse ({error})") from error
        if same:
            raise CatalogueError(f"{self.name}: the new text means the same as the old one")
        return mutated

    def statement_lines(self, source: str) -> range:
        """Return the lines of the statements that the fault changes, numbered from 1.

        For a compound statement these are the lines of its head, such as an `if` without its body.
        """
        start = source.index(self.old)
        old, new = self.old.splitlines(), self.new.splitlines()
        shorter = min(len(old), len(new))
        before = next((i for i in range(shorter) if old[i] != new[i]), shorter)
        after = next((i for i in range(shorter - before) if old[-1 - i] != new[-1 - i]), shorter - before)
        first = source.count("\n", 0, start) + 1
        changed = range(first + before, max(first + len(old) - after, first + before + 1))
        touched = [lines for lines in _statements(source) if lines[-1] >= changed[0] and lines[0] < changed.stop]
        smallest = [
            lines for lines in touched
            if not any(other != lines and other[0] >= lines[0] and other[-1] <= lines[-1] for other in touched)
        ]  # fmt: skip
        if not smallest:
            raise CatalogueError(f"{self.name}: no statement of {self.file} is changed")
        return range(min(lines[0] for lines in smallest), max(lines.stop for lines in smallest))


def read_catalogue(folder: Path = FOLDER) -> list[Mutant]:
    """Return all entries, sorted by file name and then in the order of the file.

    Raises:
        CatalogueError: if an entry has missing or unknown keys, or if two entries have the same name.
    """
    mutants: list[Mutant] = []
    for path in sorted(folder.glob("*.yaml")):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8")):
            try:
                mutants.append(Mutant(**entry))
            except TypeError as error:
                raise CatalogueError(f"{path.name}: {entry.get('name', entry)}: {error}") from error
    names = [mutant.name for mutant in mutants]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise CatalogueError(f"names that occur twice: {', '.join(twice)}")
    return mutants


@cache  # a file has many mutants
def _meaning(source: str) -> str:
    """Return the syntax tree of a source as text, independent of layout and comments."""
    return ast.dump(ast.parse(source))


@cache
def _statements(source: str) -> list[range]:
    """Return the lines of each statement; for a compound statement, those of its head."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt | ast.match_case):
            body = getattr(node, "body", None)
            first = node.pattern.lineno if isinstance(node, ast.match_case) else node.lineno
            last = first if body is None else max(first, body[0].lineno - 1)
            if body is None and isinstance(node, ast.stmt):
                last = node.end_lineno or first
            lines.append(range(first, last + 1))
    return lines
