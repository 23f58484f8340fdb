"""curve.csv: a row for each validation of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from usaggr.io.atomic_files import write_atomic


def write_curve(path: Path, validations: Sequence[Mapping[str, float]]) -> None:
    """Write the rows of a run's validations, in their order, with six significant digits."""
    # A table of dictionaries makes the step a float if a later row lacks it.
    table = pd.DataFrame(validations).astype({"step": int})
    write_atomic(path, table.to_csv(index=False, float_format="%.6g"))


def read_curve(path: Path) -> pd.DataFrame | None:
    """Return a curve with NaN for fields that are not numbers; None if the file is missing, damaged or empty."""
    try:
        curve = pd.read_csv(path)
    except (OSError, ValueError):
        return None
    if "progress" not in curve or curve.empty:
        return None
    return pd.DataFrame({name: pd.to_numeric(column, errors="coerce") for name, column in curve.items()})
