"""The proof that no image, file or subject is in two subsets, computed from what identifies patients.

It shares no code with the split: neither its components nor its normal form of subjects' names, so that a fault in
either of them is seen here.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

KINDS = ("components", "images", "files", "subjects")
"""What is counted: components of the split, distinct image bytes, distinct image files, patients or videos."""

IN_TWO_FOLDS = "_in_two_folds"
"""End of the names of numbers in data.json that should be 0."""

_NO_NAME = frozenset({"nan", "-nan", "none", "null", "(null)", "<null>", "n/a", "<na>", "\\n"}) | {
    *("#n/a", "#n/a n/a", "#na", "#nv", "#null!", "#ref!", "#value!", "#name?", "#div/0!", "#num!"),
    *("1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"),
}
"""Marks of missing values: of programs and data bases, of spreadsheets, of older C libraries."""
_NO_NAME_EXACT = ("NA", "NaT")


@dataclass(frozen=True, slots=True)
class Placement:
    """A sample's subset, and everything that identifies its image and its patient."""

    subset: str
    component: int
    image_hash: str
    """Of the file's bytes; empty if unknown."""
    file: str
    """Path of the image."""
    subject: str
    """As the index or the file's name has it; empty if unknown. The image stands for its patient then."""


@dataclass(frozen=True)
class Proof:
    """Distinct components, images, files and subjects, and those that are in more than one subset."""

    totals: dict[str, int]
    """By kind; a kind about which nothing is known is left out."""
    shared: dict[str, tuple[str, ...]]
    """By kind: each with its subsets, such as "17 (train, test)"."""

    @property
    def disjoint(self) -> bool:
        """Whether nothing is in more than one subset."""
        return not any(self.shared.values())

    def sentence(self) -> str:
        """Return the result in one line, with the first of those that are shared."""
        totals = ", ".join(_count(total, kind) for kind, total in self.totals.items())
        if self.disjoint:
            return f"folds are disjoint: none of {totals} is in two folds"
        counts = ", ".join(_count(len(shared), kind) for kind, shared in self.shared.items() if shared)
        first = next(f"{kind.removesuffix('s')} {shared[0]}" for kind, shared in self.shared.items() if shared)
        return f"folds are not disjoint: of {totals}, these are in two folds: {counts}, such as {first}"

    def counts(self) -> dict[str, int]:
        """Return the numbers as data.json holds them: `subjects`, `subjects_in_two_folds`, ..."""
        return {
            name: count
            for kind, total in self.totals.items()
            for name, count in ((kind, total), (f"{kind}{IN_TWO_FOLDS}", len(self.shared[kind])))
        }


def prove_disjoint(placements: Iterable[Placement]) -> Proof:
    """Find what is in more than one subset, over all tasks."""
    subsets: dict[str, dict[str, dict[str, None]]] = {kind: {} for kind in KINDS}
    for placed in placements:
        patient = _patient(placed.subject)
        marks = (str(placed.component), placed.image_hash, placed.file, patient or placed.image_hash or placed.file)
        for kind, mark in zip(KINDS, marks, strict=True):
            if mark:
                subsets[kind].setdefault(mark, {})[placed.subset] = None
    return Proof(
        {kind: len(found) for kind, found in subsets.items() if found},
        {
            kind: tuple(f"{mark} ({', '.join(names)})" for mark, names in found.items() if len(names) > 1)
            for kind, found in subsets.items()
            if found
        },
    )


def _count(number: int, kind: str) -> str:
    return f"{number:,} {kind.removesuffix('s') if number == 1 else kind}"


def _patient(written: str) -> str:
    """Return one name for all spellings that table programs give a patient; empty for a missing value."""
    name = re.sub(r"\s", " ", written)
    name = "".join(c for c in name if unicodedata.category(c) not in ("Cc", "Cf"))
    name = re.sub(" +", " ", unicodedata.normalize("NFC", name)).strip()
    if not re.search(r"[^\W_]", name) or name in _NO_NAME_EXACT or name.lower() in _NO_NAME:
        return ""
    return _as_digits(name) or name


def _as_digits(name: str) -> str:
    """Return the digits of a whole number that is written as a float; empty for anything else."""
    mantissa, plus, exponent = re.sub("[eE]", "e", name).partition("e+")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.removeprefix("-").partition(".")
    if not _all_digits(whole) or not _all_digits(fraction or "0"):
        return ""
    if not plus:
        return "" if fraction.strip("0") else sign + whole
    if len(exponent) != 2 or not _all_digits(exponent) or len(whole) != 1 or whole == "0" or mantissa[-1] == ".":
        return ""
    places = int(exponent)
    return "" if fraction[places:].strip("0") else sign + whole + fraction[:places].ljust(places, "0")


def _all_digits(text: str) -> bool:
    return text.isascii() and text.isdecimal()
