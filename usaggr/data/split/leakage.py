"""Proof that no image, file or subject is in two subsets, computed from what identifies images and patients.

The proof shares no code with the split. It uses neither the split's components nor its normal form of subject names, so
that it detects an error in either of them.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

KINDS = ("components", "images", "files", "subjects")
"""Kinds of identifiers that must not be in two subsets: component, image bytes, image file, patient or video."""

IN_TWO_FOLDS = "_in_two_folds"
"""Suffix of the counts in data.json that must be 0. It says "folds" because stored results keep their keys."""

_MISSING_MARKS = frozenset({"nan", "-nan", "none", "null", "(null)", "<null>", "n/a", "<na>", "\\n"}) | {
    *("#n/a", "#n/a n/a", "#na", "#nv", "#null!", "#ref!", "#value!", "#name?", "#div/0!", "#num!"),
    *("1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"),
}
"""Marks of missing values in lower case, from databases and pandas, spreadsheets, and older C libraries.

Repeated from `subject_names` on purpose: a wrong entry there must not also be wrong in the proof."""
_MISSING_MARKS_EXACT = ("NA", "NaT")  # in lower case these may be initials of a patient


@dataclass(frozen=True, slots=True)
class PlacedSample:
    """A sample's subset, and all identifiers of its image and its patient."""

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
    """Numbers of distinct components, images, files and subjects, and those that are in more than one subset."""

    totals: dict[str, int]
    """Number of distinct identifiers by kind; kinds without any identifier are left out."""
    shared: dict[str, tuple[str, ...]]
    """Identifiers in more than one subset, by kind, each with its subsets, such as "17 (train, test)"."""

    @property
    def is_disjoint(self) -> bool:
        """True if no identifier is in more than one subset."""
        return not any(self.shared.values())

    def describe(self) -> str:
        """Describe the result in one line; if subsets overlap, with the first shared identifier as an example."""
        totals = ", ".join(_count(total, kind) for kind, total in self.totals.items())
        if self.is_disjoint:
            return f"subsets are disjoint: none of {totals} is in two subsets"
        counts = ", ".join(_count(len(shared), kind) for kind, shared in self.shared.items() if shared)
        first = next(f"{kind.removesuffix('s')} {shared[0]}" for kind, shared in self.shared.items() if shared)
        return f"subsets are not disjoint: of {totals}, these are in two subsets: {counts}, such as {first}"

    def list_counts(self) -> dict[str, int]:
        """Return the counts by their names in data.json: `subjects`, `subjects_in_two_folds`, ..."""
        named: dict[str, int] = {}
        for kind, total in self.totals.items():
            named[kind] = total
            named[f"{kind}{IN_TWO_FOLDS}"] = len(self.shared[kind])
        return named


def prove_disjoint(samples: Iterable[PlacedSample]) -> Proof:
    """Find components, images, files and subjects that are in more than one subset, over all tasks."""
    # Subsets by kind and identifier. The innermost dictionary serves as a set that keeps its order.
    subsets: dict[str, dict[str, dict[str, None]]] = {kind: {} for kind in KINDS}
    for sample in samples:
        patient = _normalize_patient(sample.subject) or sample.image_hash or sample.file
        identifiers = (str(sample.component), sample.image_hash, sample.file, patient)
        for kind, identifier in zip(KINDS, identifiers, strict=True):
            if identifier:
                subsets[kind].setdefault(identifier, {})[sample.subset] = None
    totals: dict[str, int] = {}
    shared: dict[str, tuple[str, ...]] = {}
    for kind, by_identifier in subsets.items():
        if by_identifier:
            totals[kind] = len(by_identifier)
            shared[kind] = tuple(
                f"{identifier} ({', '.join(names)})" for identifier, names in by_identifier.items() if len(names) > 1
            )
    return Proof(totals, shared)


def _count(number: int, kind: str) -> str:
    return f"{number:,} {kind.removesuffix('s') if number == 1 else kind}"


def _normalize_patient(written: str) -> str:
    """Return one name for all spellings that table programs give a patient; empty for a missing value."""
    # Full-width characters stand 0xFEE0 places after those of ASCII.
    name = "".join(chr(ord(c) - 0xFEE0) if "\uff01" <= c <= "\uff5e" else c for c in written)
    name = re.sub(r"\s", " ", name)
    # Control and format characters (Cc, Cf), such as a zero-width space, are invisible in a table.
    name = "".join(c for c in name if unicodedata.category(c) not in ("Cc", "Cf"))
    name = re.sub(" +", " ", unicodedata.normalize("NFC", name)).strip()
    if not re.search(r"[^\W_]", name) or name in _MISSING_MARKS_EXACT or name.lower() in _MISSING_MARKS:
        return ""
    return _parse_integer_digits(name) or name


def _parse_integer_digits(name: str) -> str:
    """Return the digits of an integer that a table program wrote as a float (17.0, 17,0, 1e+05); empty for others."""
    # Independent of the expressions in `subject_names`, so that the proof does not share their errors.
    if name.endswith((",0", ",00")):  # a decimal comma; three zeros follow a separator of thousands
        name = name.replace(",", ".", 1)
    mantissa, plus, exponent = re.sub("[eE]", "e", name).partition("e+")
    sign = "-" if mantissa.startswith("-") else ""
    integer, _, fraction = mantissa.removeprefix("-").partition(".")
    if not _has_only_digits(integer) or not _has_only_digits(fraction or "0"):
        return ""
    if not plus:
        return "" if fraction.strip("0") else sign + integer
    # Table programs write one digit before the point and two in the exponent; other text is a name such as "12e+5".
    is_mantissa = len(integer) == 1 and integer != "0" and not mantissa.endswith(".")
    is_exponent = len(exponent) == 2 and _has_only_digits(exponent)
    if not is_mantissa or not is_exponent:
        return ""
    shift = int(exponent)  # positions by which the decimal point moves to the right
    return "" if fraction[shift:].strip("0") else sign + integer + fraction[:shift].ljust(shift, "0")


def _has_only_digits(text: str) -> bool:
    return text.isascii() and text.isdecimal()
