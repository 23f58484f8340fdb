"""The catalogue of mutants: plausible faults as data, in `catalogue/*.yaml`, and how one is put into a source file.

Keys of an entry:
    name: unique in the catalogue, words joined by hyphens.
    file: source file, from the root of the repository.
    round: 1 for the faults that a review of the tests found unnoticed, 2 for those chosen from the sources alone,
        before anybody looked at what tests notice; 3 for those that were added together with tests that notice them.
        Only those of round 2 tell what share the tests notice.
    why: the fault in one sentence.
    old: text of the source file, which occurs in it once.
    new: text in its place.
    equivalent: reason why no test can tell the mutant from the source; such mutants are not run, and counted apart.
"""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent / "catalogue"


class CatalogueError(Exception):
    """An entry of the catalogue that does not fit the sources."""


@dataclass(frozen=True)
class Mutant:
    """One entry of the catalogue; the fields are described in the module's docstring."""

    name: str
    file: str
    round: int
    why: str
    old: str
    new: str
    equivalent: str = ""

    @property
    def room(self) -> str:
        """Folder of the package that holds the file, or the name of a module that stands in no folder."""
        return Path(self.file).parts[1].removesuffix(".py")

    def apply(self, source: str) -> str:
        """Return the source with the fault in it.

        Raises:
            CatalogueError: the old text does not occur exactly once, or the result is no Python.
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

        Of a compound statement these are the lines of its head, as of an `if` without its body.
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
    """Return all entries, in the order of the files' names and within each file.

    Raises:
        CatalogueError: an entry lacks a key or has one too many, or two have the same name.
    """
    mutants: list[Mutant] = []
    for path in sorted(folder.glob("*.yaml")):
        for entry in yaml.safe_load(path.read_text()):
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
    """Return what a source means, whatever its layout and comments."""
    return ast.dump(ast.parse(source))


@cache
def _statements(source: str) -> list[range]:
    """Return the lines of each statement; of a compound one, those of its head."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt | ast.match_case):
            body = getattr(node, "body", None)
            first = node.pattern.lineno if isinstance(node, ast.match_case) else node.lineno
            last = first if body is None else max(first, body[0].lineno - 1)
            if body is None and isinstance(node, ast.stmt):
                last = node.end_lineno or first
            found.append(range(first, last + 1))
    return found
