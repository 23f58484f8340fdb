"""Columns of an index that are not read although their names look like those that are."""

import re
from collections import defaultdict
from collections.abc import Iterable

from usaggr.data.read.index import REQUIRED, IndexRow

_OPTIONAL = ("subject_id", "split", "organ", "clinical_group")
_READ = (*REQUIRED, *_OPTIONAL, "mask_path", "mask", "x_min", "y_min", "x_max", "y_max")
"""Columns that are read."""
_SUBJECT_WORDS = frozenset({"subject", "patient", "patientid", "patientnumber", "patientname", "pid", "caseid"})
"""Names of columns, without signs, that usually hold patients."""


def warn_unread_columns(index_rows: Iterable[IndexRow]) -> list[str]:
    """Return a warning for each column whose name differs from that of a read column only in signs or letter case.

    A column of patients that is not read is the most important one: patients would then be in several subsets.
    """
    columns: dict[str, set[str]] = defaultdict(set)
    for row in index_rows:
        columns[row.csv_file].update(row.cells)
    similar = {_make_key(name): name for name in _READ}
    warnings: list[str] = []
    for file, names in sorted(columns.items()):
        for name in sorted(names.difference(_READ)):
            key = _make_key(name)
            column = "subject_id" if key in _SUBJECT_WORDS else similar.get(key)
            if column is not None and column not in names:
                warnings.append(f"{file}: the column {name} is not read; if it is meant as {column}, rename it")
    return warnings


def _make_key(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())
