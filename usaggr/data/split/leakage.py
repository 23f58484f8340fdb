"""Proof that no image, file or subject is in two subsets, computed from what identifies images and patients.

The proof shares no code with the split. It uses neither the split's components nor its normal form of subject names, so
that it detects an error in either of them.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

KINDS = ("components", "images", "files", "subjects")
"""Kinds of things that are counted: components, distinct image bytes, distinct image files, patients or videos."""

IN_TWO_FOLDS = "_in_two_folds"
"""Suffix of the counts in data.json that should be 0; results of older versions have it too."""

_MISSING_MARKS = frozenset({"nan", "-nan", "none", "null", "(null)", "<null>", "n/a", "<na>", "\\n"}) | {
    *("#n/a", "#n/a n/a", "#na", "#nv", "#null!", "#ref!", "#value!", "#name?", "#div/0!", "#num!"),
    *("1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"),
}
"""Marks of missing values, in lower case: of programs and data bases, of spreadsheets, of older C libraries."""
_MISSING_MARKS_EXACT = ("NA", "NaT")  # in lower case these may be initials of a patient


@dataclass(frozen=True, slots=True)
class PlacedSample:
    """A sample's subset, and everything that identifies its image and its patient."""

    subset: str
    component: int
    image_hash: str
    """Hash of the file's bytes; empty if unknown."""
    file: str
    """Path of the image."""
    subject: str
    """Subject as written in the index or the file's name. Empty if unknown: the image then counts as a patient."""


@dataclass(frozen=True)
class Proof:
    """Distinct components, images, files and subjects, and those that are in more than one subset."""

    totals: dict[str, int]
    """Number of distinct things by kind; a kind without any data is left out."""
    shared: dict[str, tuple[str, ...]]
    """Things in more than one subset, by kind, each with its subsets, such as "17 (train, test)"."""

    @property
    def is_disjoint(self) -> bool:
        """True if nothing is in more than one subset."""
        return not any(self.shared.values())

    def sentence(self) -> str:
        """Return the result in one line, with the first thing that is in two subsets."""
        totals = ", ".join(_count(total, kind) for kind, total in self.totals.items())
        if self.is_disjoint:
            return f"subsets are disjoint: none of {totals} is in two subsets"
        counts = ", ".join(_count(len(shared), kind) for kind, shared in self.shared.items() if shared)
        first = next(f"{kind.removesuffix('s')} {shared[0]}" for kind, shared in self.shared.items() if shared)
        return f"subsets are not disjoint: of {totals}, these are in two subsets: {counts}, such as {first}"

    def counts(self) -> dict[str, int]:
        """Return the counts under their names in data.json: `subjects`, `subjects_in_two_folds`, ..."""
        return {
            name: count
            for kind, total in self.totals.items()
            for name, count in ((kind, total), (f"{kind}{IN_TWO_FOLDS}", len(self.shared[kind])))
        }


def prove_disjoint(samples: Iterable[PlacedSample]) -> Proof:
    """Find components, images, files and subjects that are in more than one subset, over all tasks."""
    # Kind: thing: its subsets. The innermost dictionary is a set that keeps its order.
    subsets: dict[str, dict[str, dict[str, None]]] = {kind: {} for kind in KINDS}
    for sample in samples:
        patient = _normalize_patient(sample.subject) or sample.image_hash or sample.file
        identifiers = (str(sample.component), sample.image_hash, sample.file, patient)
        for kind, identifier in zip(KINDS, identifiers, strict=True):
            if identifier:
                subsets[kind].setdefault(identifier, {})[sample.subset] = None
    totals: dict[str, int] = {}
    shared: dict[str, tuple[str, ...]] = {}
    for kind, subsets_of in subsets.items():
        if subsets_of:
            totals[kind] = len(subsets_of)
            shared[kind] = tuple(
                f"{identifier} ({', '.join(names)})" for identifier, names in subsets_of.items() if len(names) > 1
            )
    return Proof(totals, shared)


def _count(number: int, kind: str) -> str:
    return f"{number:,} {kind.removesuffix('s') if number == 1 else kind}"


def _normalize_patient(written: str) -> str:
    """Return one name for all spellings that table programs give a patient; empty for a missing value."""
    name = re.sub(r"\s", " ", written)
    # Control and format characters (Cc, Cf), such as a zero-width space, are invisible in a table.
    name = "".join(c for c in name if unicodedata.category(c) not in ("Cc", "Cf"))
    name = re.sub(" +", " ", unicodedata.normalize("NFC", name)).strip()
    if not re.search(r"[^\W_]", name) or name in _MISSING_MARKS_EXACT or name.lower() in _MISSING_MARKS:
        return ""
    return _integer_digits(name) or name


def _integer_digits(name: str) -> str:
    """Return the digits of an integer that a table program wrote as a float (17.0, 1e+05); empty for other text."""
    mantissa, plus, exponent = re.sub("[eE]", "e", name).partition("e+")
    sign = "-" if mantissa.startswith("-") else ""
    integer, _, fraction = mantissa.removeprefix("-").partition(".")
    if not _all_digits(integer) or not _all_digits(fraction or "0"):
        return ""
    if not plus:
        return "" if fraction.strip("0") else sign + integer
    # Table programs write one digit before the point and two in the exponent; other text is a name such as "12e+5".
    if len(exponent) != 2 or not _all_digits(exponent) or len(integer) != 1 or integer == "0" or mantissa[-1] == ".":
        return ""
    shift = int(exponent)  # positions by which the decimal point moves to the right
    return "" if fraction[shift:].strip("0") else sign + integer + fraction[:shift].ljust(shift, "0")


def _all_digits(text: str) -> bool:
    return text.isascii() and text.isdecimal()
