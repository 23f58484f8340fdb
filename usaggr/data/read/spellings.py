"""Spellings of the names in an index: which are merged, which are similar, and which are read as missing values."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from usaggr.data.read.subject_names import make_similarity_key, normalize_subject, quote_name

MAX_LISTED = 10
"""Largest number of names that a warning lists; further ones are counted."""

Spelling = tuple[str, str]
"""A name as it is written, and the index file or configuration key in which it is written."""


@dataclass
class Spellings:
    """Collects the spellings of the names in one column, so that different spellings of a name are one."""

    column: str
    """Name of the column, such as organ."""
    noun: str
    """Kind of the names in the plural, such as organs."""
    _counts: dict[str, Counter[Spelling]] = field(default_factory=lambda: defaultdict(Counter))
    """Number of rows by spelling, by normalized name."""
    _missing: Counter[Spelling] = field(default_factory=Counter)

    def add(self, written: str, place: str) -> str:
        """Add the name in one row, and return it normalized; empty if it is missing.

        Args:
            written: Text of the cell.
            place: Index file, or key of the configuration.
        """
        name = normalize_subject(written)
        if name:
            self._counts[name][written, place] += 1
        elif written:
            self._missing[written, place] += 1
        return name

    def list_warnings(self) -> list[str]:
        """Return the warnings about missing, merged and similar names."""
        files = {name: min(place for _, place in spellings) for name, spellings in self._counts.items()}
        return [
            *warn_missing(self.column, self.noun, self._missing),
            *warn_merged(self.column, self.noun, self._counts),
            *warn_similar(self.column, self.noun, files),
        ]


def warn_missing(column: str, noun: str, missing: Mapping[Spelling, int]) -> list[str]:
    """Return a warning about texts that are read as missing values, in a list that is empty if there are none.

    Args:
        column: Name of the column.
        noun: Kind of the names, in the plural.
        missing: Number of rows by text.
    """
    if not missing:
        return []
    marks = [f"{quote_name(mark)} in {_count_rows(count, file)}" for (mark, file), count in sorted(missing.items())]
    return [f"{column}: these texts are read as missing values, not as {noun}: {list_entries(marks)}"]


def warn_merged(column: str, noun: str, counts: Mapping[str, Mapping[Spelling, int]]) -> list[str]:
    """Return a warning about names with several spellings, in a list that is empty if there are none.

    Args:
        column: Name of the column.
        noun: Kind of the names, in the plural that ends in s.
        counts: Number of rows by spelling, by normalized name.
    """
    merged = {name: count for name, count in counts.items() if len({written for written, _ in count}) > 1}
    if not merged:
        return []
    names: list[str] = []
    for _, spellings in sorted(merged.items()):
        entries = [f"{quote_name(name)} ({_count_rows(n, file)})" for (name, file), n in sorted(spellings.items())]
        names.append(" and ".join(entries))
    number = f"{len(merged)} {noun} are" if len(merged) > 1 else f"1 {noun.removesuffix('s')} is"
    return [f"{column}: {number} written in several ways, and counted once: {list_entries(names)}"]


def warn_similar(column: str, noun: str, files: Mapping[str, str]) -> list[str]:
    """Return a warning about names that differ only in letter case or leading zeros: they may be the same.

    Args:
        column: Name of the column.
        noun: Kind of the names, in the plural that ends in s.
        files: First place of each name.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(files):
        groups[make_similarity_key(normalize_subject(name))].append(name)
    pairs = [
        " and ".join(f"{quote_name(name)} ({files[name]})" for name in names)
        for names in groups.values()
        if len(names) > 1
    ]
    if not pairs:
        return []
    singular = "patient" if noun == "subjects" else noun.removesuffix("s")
    return [
        f"{column}: names that differ only in letter case or leading zeros are different {noun}; if they are one "
        f"{singular}, write them in the same way: {list_entries(pairs)}"
    ]


def list_entries(entries: Sequence[str]) -> str:
    """Return entries as one text, at most `MAX_LISTED`, and the number of the others."""
    more = f"; and {len(entries) - MAX_LISTED} more" if len(entries) > MAX_LISTED else ""
    return "; ".join(entries[:MAX_LISTED]) + more


def _count_rows(count: int, file: str) -> str:
    if file.startswith("data."):
        return file
    return f"{count} row{'s' if count != 1 else ''} of {file}"
