"""Normalization of names, so that a patient, an organ, a clinical group or a task has one name in all index files.

Programs that write tables change names that look like numbers. Pandas writes integers as 17.0 if their column has empty
cells, and R writes 100000 as 1e+05. Such programs also write marks such as NA and #N/A into empty cells.
"""

import re
import unicodedata
from decimal import Decimal
from functools import lru_cache

_MISSING = frozenset({"nan", "-nan", "none", "null", "(null)", "<null>", "n/a", "<na>", "\\n"})
"""Marks of missing values in any letter case: pandas, NumPy, SQL, JSON."""
_MISSING_EXACT = frozenset({"NA", "NaT"})
"""Marks of R and pandas that are missing values only in this letter case: `na` may be a patient's initials."""
_CELL_ERROR = re.compile(r"#(N/A N/A|N/A|NA|NV|NULL!|REF!|VALUE!|NAME\?|DIV/0!|NUM!)|-?1\.#(IND|QNAN)", re.IGNORECASE)
"""Errors of spreadsheets (#NV is the German #N/A), and NaN as older C libraries print it."""

_WHOLE_FLOAT = re.compile(r"(-?[0-9]+)(?:\.0*|,0{1,2})")
"""Integer that was written as a float, with the decimal comma of some spreadsheets; the group is the integer.

1,000 has a separator of thousands, so a comma has at most two zeros after it.
"""
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""ASCII character of each full-width one, as Japanese and Chinese keyboards write them."""
_SCIENTIFIC = re.compile(r"-?[1-9](\.[0-9]+)?[eE]\+[0-9]{2}")
"""Scientific notation with a plus sign and two digits in the exponent: programs write it, names do not have it."""
_INVISIBLE = ("Cc", "Cf")
"""Unicode categories of control and format characters, such as the zero-width space and the byte order mark."""


@lru_cache(maxsize=2**16)  # an index repeats its names
def normalize_subject(text: str) -> str:
    """Return the normalized name of a subject, organ, clinical group or task; empty if the text is a missing value.

    - White space at the ends is removed, and white space inside becomes one space.
    - Characters are composed (Unicode NFC).
    - Full-width letters, digits and signs become those of ASCII.
    - An integer written as a float becomes an integer again: 17.0, 17.00, 17,0 and 1.7e+01 are 17.
    - Marks of missing values, and text without a letter or digit, are missing values.

    Leading zeros and letter case stay: 017 and 17, P1 and p1 are different subjects.
    """
    name = clean_text(text if text.isascii() else text.translate(_FULL_WIDTH))
    if is_missing(name):
        return ""
    if match := _WHOLE_FLOAT.fullmatch(name):
        return match[1]
    if _SCIENTIFIC.fullmatch(name):
        number = Decimal(name)
        if number == number.to_integral_value():
            return str(int(number))
    return name


def make_similarity_key(name: str) -> str:
    """Return a key that is the same for names that differ only in letter case or in leading zeros of numbers."""
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", name.casefold())  # zeros at the start of a number, but not the only one


def quote_name(text: str) -> str:
    """Return a text in quotes, with escapes if it has characters that are invisible or look like others."""
    visible = text.isprintable() and unicodedata.is_normalized("NFC", text) and text.translate(_FULL_WIDTH) == text
    return f"'{text}'" if visible else ascii(text)


def clean_text(text: str) -> str:
    """Remove invisible characters and superfluous white space, and compose characters (Unicode NFC)."""
    if text.isascii() and text.isprintable():  # faster, for nearly all names
        return " ".join(text.split())
    visible = (c for c in text if c.isspace() or unicodedata.category(c) not in _INVISIBLE)
    return " ".join(unicodedata.normalize("NFC", "".join(visible)).split())


def is_missing(name: str) -> bool:
    """Return whether a cleaned text is a mark of a missing value, or has no letter or digit."""
    return is_missing_mark(name) or not any(map(str.isalnum, name))


def is_missing_mark(name: str) -> bool:
    """Return whether a text is a mark that programs write for a missing value, such as NA, NaN or #N/A."""
    return name in _MISSING_EXACT or name.lower() in _MISSING or _CELL_ERROR.fullmatch(name) is not None
