"""routing.csv: how the scored weights of a run route the tokens of the test set to experts."""

import csv
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usaggr.errors import RunError
from usaggr.io.atomic_files import write_atomic
from usaggr.io.bounded_content import parse_csv_table
from usaggr.io.bounded_files import MEBIBYTE, read_bounded_text

COLUMNS = ("task", "block", "expert", "share", "chosen", "probability", "entropy", "tokens")
"""Columns of routing.csv; transformer blocks and experts are numbered from 1."""
_MEASURES = ("share", "chosen", "probability", "entropy")
_MAX_BYTES = 16 * MEBIBYTE
"""Largest routing.csv that is read: a hundred tasks, blocks of transformers and experts take half of it."""
_ROUNDING = 2e-3
"""Largest difference of a sum of shares from 1: shares are written with six digits."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Routing:
    """Routing of the tokens of T tasks in B transformer blocks with E experts each."""

    tasks: tuple[str, ...]
    """T task ids."""
    blocks: tuple[int, ...]
    """Numbers, from 1, of the B transformer blocks with experts."""
    share: Array
    """(T, B, E) mean combination weight over the task's tokens; the sum over experts is 1."""
    chosen: Array
    """(T, B, E) fraction of tokens with the expert among their top k; the sum over experts is k."""
    probability: Array
    """(T, B, E) mean router probability (softmax)."""
    entropy: Array
    """(T, B) entropy of the router probabilities over log E, mean over tokens, in [0, 1]."""


def write_routing(path: Path, table: pd.DataFrame) -> None:
    """Write a table with COLUMNS; an empty table is not written."""
    if not table.empty:
        write_atomic(path, table.to_csv(index=False, float_format="%.6g"))


def read_routing(path: Path, tasks: tuple[str, ...]) -> Routing:
    """Read the routing of a run's tasks, in the given order.

    Raises:
        FileNotFoundError: there is no such file.
        RunError: the file cannot be read, is truncated, or has a value out of range.
    """
    try:
        return _parse_routing(list(parse_csv_table(read_bounded_text(path, _MAX_BYTES))), tasks)
    # FileNotFoundError is an OSError, but a run without experts has no such file, which is no damage.
    except FileNotFoundError:
        raise
    except KeyError as error:
        raise RunError(f"no {error}") from error
    except (OSError, ValueError, TypeError, OverflowError, csv.Error) as error:
        raise RunError(" ".join(str(error).split()).rstrip(".") or type(error).__name__) from error


def _parse_routing(records: list[dict[str, str]], tasks: tuple[str, ...]) -> Routing:
    if not records:
        raise ValueError("it is empty")
    cells = {(row["task"], int(row["block"]), int(row["expert"])): row for row in records}
    blocks, experts = sorted({block for _, block, _ in cells}), sorted({expert for *_, expert in cells})
    # The number first: a few thousand wrong rows could name millions of combinations.
    is_full = len(records) == len(cells) == len(tasks) * len(blocks) * len(experts)
    keys = list(product(tasks, blocks, experts)) if is_full else []
    if not keys or set(cells) != set(keys) or experts != list(range(1, len(experts) + 1)):
        raise ValueError("not one row for each task of the run, block and expert")
    shape = (len(tasks), len(blocks), len(experts))
    values = {name: np.array([float(cells[key][name]) for key in keys]).reshape(shape) for name in _MEASURES}
    for name, array in values.items():
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1 + _ROUNDING:
            raise ValueError(f"{name} is not between 0 and 1")
    if np.abs(values["share"].sum(axis=-1) - 1).max() > _ROUNDING:
        raise ValueError("shares do not sum to 1 over the experts of a task and block")
    # All experts of a task and block have the same entropy in their rows.
    entropy = values.pop("entropy")[..., 0]
    return Routing(tasks, tuple(blocks), entropy=np.minimum(entropy, 1.0), **values)
