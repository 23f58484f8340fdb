"""curve.csv: a row for each validation of a run."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from usaggr.io.atomic_files import write_atomic
from usaggr.io.bounded_files import MEBIBYTE, read_bounded_text

_MAX_BYTES = 16 * MEBIBYTE
"""Largest curve.csv that is read: a thousand validations of a thousand tasks."""
_MAX_COLUMNS = 10_000
"""Most columns of a curve: several for each task."""


def write_curve(path: Path, validations: Sequence[Mapping[str, float]]) -> None:
    """Write the rows of a run's validations, in their order, with six significant digits."""
    # A table of dictionaries makes the step a float if a later row lacks it.
    table = pd.DataFrame(validations).astype({"step": int})
    write_atomic(path, table.to_csv(index=False, float_format="%.6g"))


def read_curve(path: Path) -> pd.DataFrame | None:
    """Return a curve with NaN for fields that are not numbers; None if the file is missing, damaged or empty."""
    try:
        text = read_bounded_text(path, _MAX_BYTES)
        if text.partition("\n")[0].count(",") >= _MAX_COLUMNS:
            return None
        curve = pd.read_csv(io.StringIO(text))
        # An integer of hundreds of digits is an error of `to_numeric` even where it is to give NaN.
        numbers = pd.DataFrame({name: pd.to_numeric(column, errors="coerce") for name, column in curve.items()})
    except (OSError, ValueError, OverflowError):
        return None
    return None if "progress" not in numbers or numbers.empty else numbers
