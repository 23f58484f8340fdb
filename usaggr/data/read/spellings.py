"""Warnings about names in index and configuration: merged spellings, similar names, texts read as missing values."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from usaggr.data.read.subject_names import make_similarity_key, normalize_subject, quote_name

MAX_LISTED = 10
"""Largest number of names that a warning lists; further ones are counted."""

WrittenName = tuple[str, str]
"""Text of a name, and its source: the index file or configuration key in which it is written."""


@dataclass
class Spellings:
    """Collects the spellings of the names in one column, so that they count as one name."""

    column: str
    """Name of the column, such as organ."""
    noun: str
    """Plural noun for the names in messages, such as organs; its singular is the same without s."""
    _counts: dict[str, Counter[WrittenName]] = field(default_factory=lambda: defaultdict(Counter))
    """For each normalized name, the number of its occurrences by written name."""
    _missing: Counter[WrittenName] = field(default_factory=Counter)

    def add(self, text: str, source: str) -> str:
        """Add one occurrence of a name, and return the normalized name; empty if the text means a missing value.

        Args:
            text: Name as it is written.
            source: Index file, or key of the configuration.
        """
        name = normalize_subject(text)
        if name:
            self._counts[name][text, source] += 1
        elif text:
            self._missing[text, source] += 1
        return name

    def list_warnings(self) -> list[str]:
        """Return the warnings about missing, changed, merged and similar names."""
        sources = {name: min(source for _, source in counts) for name, counts in self._counts.items()}
        return [
            *warn_missing(self.column, self.noun, self._missing),
            *warn_control_characters(self.column, self.noun, self._counts),
            *warn_merged(self.column, self.noun, self._counts),
            *warn_similar(self.column, self.noun, sources),
        ]


def warn_missing(column: str, noun: str, missing: Mapping[WrittenName, int]) -> list[str]:
    """Return a list with one warning about texts that are read as missing values, or an empty list.

    Args:
        column: Name of the column.
        noun: Plural noun for the names in the message.
        missing: Number of occurrences by text and source.
    """
    if not missing:
        return []
    marks = [
        f"{quote_name(mark)} in {_describe_source(source, count)}" for (mark, source), count in sorted(missing.items())
    ]
    return [f"{column}: these texts are read as missing values, not as {noun}: {join_entries(marks)}"]


def warn_control_characters(column: str, noun: str, counts: Mapping[str, Mapping[WrittenName, int]]) -> list[str]:
    """Return a list with one warning about names with line feeds or escape codes inside, or an empty list.

    Args:
        column: Name of the column.
        noun: Plural noun for the names in the message.
        counts: For each normalized name, the number of its occurrences by written name.
    """
    changed = [
        f"{quote_name(text)} in {_describe_source(source, count)} is read as {quote_name(name)}"
        for name, by_source in counts.items()
        for (text, source), count in sorted(by_source.items())
        if any(unicodedata.category(character) == "Cc" for character in text.strip())
    ]
    if not changed:
        return []
    return [f"{column}: these {noun} have line feeds or control characters: {join_entries(changed)}"]


def warn_merged(column: str, noun: str, counts: Mapping[str, Mapping[WrittenName, int]]) -> list[str]:
    """Return a list with one warning about names with several spellings, or an empty list.

    Args:
        column: Name of the column.
        noun: Plural noun for the names in the message; its singular is the same without s.
        counts: For each normalized name, the number of its occurrences by written name.
    """
    merged = {name: by_source for name, by_source in counts.items() if len({text for text, _ in by_source}) > 1}
    if not merged:
        return []
    groups = [
        " and ".join(
            f"{quote_name(text)} ({_describe_source(source, count)})"
            for (text, source), count in sorted(by_source.items())
        )
        for _, by_source in sorted(merged.items())
    ]
    number = f"{len(merged)} {noun} are" if len(merged) > 1 else f"1 {noun.removesuffix('s')} is"
    return [f"{column}: {number} written in several ways, and treated as one each: {join_entries(groups)}"]


def warn_similar(column: str, noun: str, sources: Mapping[str, str]) -> list[str]:
    """Return a list with one warning about names that may be the same, or an empty list.

    These are names that differ only in letter case or leading zeros.

    Args:
        column: Name of the column.
        noun: Plural noun for the names in the message; its singular is the same without s.
        sources: A file or key in which each name is written, by name.
    """
    names_by_key: dict[str, list[str]] = defaultdict(list)
    for name in sorted(sources):
        # A subject with a single spelling keeps it, so that its name is not normalized.
        names_by_key[make_similarity_key(normalize_subject(name))].append(name)
    groups = [
        " and ".join(f"{quote_name(name)} ({sources[name]})" for name in names)
        for names in names_by_key.values()
        if len(names) > 1
    ]
    if not groups:
        return []
    singular = "patient" if noun == "subjects" else noun.removesuffix("s")
    return [
        f"{column}: names that differ only in letter case or leading zeros are different {noun}; if they are one "
        f"{singular}, write them in the same way: {join_entries(groups)}"
    ]


def join_entries(entries: Sequence[str]) -> str:
    """Join at most `MAX_LISTED` entries with semicolons, and add the number of the remaining ones."""
    more = f"; and {len(entries) - MAX_LISTED} more" if len(entries) > MAX_LISTED else ""
    return "; ".join(entries[:MAX_LISTED]) + more


def _describe_source(source: str, count: int) -> str:
    """Return an index file with its number of rows, or a key of the configuration without a number.

    Args:
        source: Index file, whose name ends in .csv, or key of the configuration.
        count: Number of occurrences.
    """
    if not source.lower().endswith(".csv"):
        return source
    return f"{count} row{'s' if count != 1 else ''} of {source}"
