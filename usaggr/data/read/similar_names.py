"""Search for a listed file whose name is written in another way on the disk.

Macs write accents as separate characters (Unicode NFD), spreadsheets as composed ones (NFC); both look the same.
Windows and macOS ignore letter case, and old ZIP files hold names that are not UTF-8.
"""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_OLD_ENCODINGS = ("cp1252", "cp437", "latin-1")
"""Encodings of file names that are not UTF-8, in ZIP files and on old disks."""


@dataclass(frozen=True)
class SimilarNames:
    """Names of files by folder, and the ways to write them; each folder is listed once."""

    _listings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _keyed: dict[tuple[str, str], dict[str, list[str]]] = field(default_factory=dict)
    """Names in a folder by key, by folder and name of the kind of key."""

    def find_same(self, path: str) -> str | None:
        """Return the path of an existing file with the same name in another Unicode form; None if there is none."""
        return self._search(path, compose_name)

    def find_other_case(self, path: str) -> str | None:
        """Return the path of the only existing file with the same name in other letter case; None if there is none."""
        return self._search(path, fold_name)

    def describe_similar(self, path: str) -> str:
        """Return a hint about an existing file with a similar name; empty if there is none."""
        other_case = self.find_other_case(path)
        if other_case is not None:
            return f"but {Path(other_case).name!a} is there, whose path has other upper and lower case"
        folder, name = str(Path(path).parent), Path(path).name
        for other in self._list(folder):
            if not other.isprintable() and compose_name(name) in _decode_otherwise(other):
                return f"but {os.fsencode(other)!r} is there, a name that is not UTF-8; rename this file"
        same_stem = self._find_keyed(folder, _cut_suffix).get(_cut_suffix(name), [])
        return f"but {same_stem[0]!a} is there" if len(same_stem) == 1 else ""

    def _search(self, path: str, make_key: Callable[[str], str]) -> str | None:
        """Return the only existing path whose folders and name have the same keys as those of `path`."""
        missing: list[str] = []
        existing = Path(path)
        while not existing.is_dir():
            if existing == existing.parent:
                return None
            missing.append(existing.name)
            existing = existing.parent
        for name in reversed(missing):
            same = self._find_keyed(str(existing), make_key).get(make_key(name), [])
            if len(same) != 1:
                return None
            existing = existing / same[0]
        return str(existing)

    def _find_keyed(self, folder: str, make_key: Callable[[str], str]) -> dict[str, list[str]]:
        entry = (folder, make_key.__name__)
        if entry not in self._keyed:
            names: dict[str, list[str]] = defaultdict(list)
            for name in self._list(folder):
                names[make_key(name)].append(name)
            self._keyed[entry] = dict(names)
        return self._keyed[entry]

    def _list(self, folder: str) -> tuple[str, ...]:
        if folder not in self._listings:
            names: list[str] = []
            with suppress(OSError):
                names = sorted(path.name for path in Path(folder).iterdir())
            self._listings[folder] = tuple(names)
        return self._listings[folder]


def compose_name(name: str) -> str:
    """Return a name with composed characters (Unicode NFC)."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def fold_name(name: str) -> str:
    """Return a name without its letter case, superfluous blanks and Unicode form."""
    return " ".join(compose_name(compose_name(name).casefold()).split())


def _cut_suffix(name: str) -> str:
    return name.rpartition(".")[0] or name


def _decode_otherwise(name: str) -> set[str]:
    """Return how the bytes of a name read in older encodings."""
    texts: set[str] = set()
    for encoding in _OLD_ENCODINGS:
        with suppress(UnicodeDecodeError):
            texts.add(compose_name(os.fsencode(name).decode(encoding)))
    return texts


def find_name_clash(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the first two names that differ only in letter case, blanks or Unicode form; None if there are none."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(fold_name(name), name)
        if other != name:
            return other, name
    return None
