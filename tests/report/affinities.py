"""Writing of planted affinities next to a fake sweep."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from usaggr.results.affinity import FOLDER, AffinityDescription, Measure, SeedAffinity, mask_diagonal, write_tables

Planted = Callable[[str, str, int], float]
"""Function of source, target and seed that returns the affinity."""


def write_affinities(
    directory: Path,
    tasks: Sequence[str],
    planted: dict[Measure, Planted],
    seeds: Sequence[int] = (0, 1),
    **head: object,
) -> None:
    """Write `<directory>/affinity/` for the data of a FakeSweep; `head` are fields of affinity.json."""
    names = tuple(sorted(tasks))
    counts = np.where(np.eye(len(names), dtype=bool), 0, 5)
    affinities = [
        SeedAffinity(
            measure, seed, "i" * 64, names,
            mask_diagonal(np.array([[value(a, b, seed) for b in names] for a in names])), counts,
        )
        for measure, value in planted.items()
        for seed in seeds
    ]  # fmt: skip
    usual: dict[str, object] = {
        "study": directory.name, "content_hash": "c" * 64, "split_hash": "d" * 64, "scale": 1.0, "variant": "base",
        "tasks": names, "seeds": tuple(seeds), "overhead": 0.4,
    }  # fmt: skip
    write_tables(directory / FOLDER, AffinityDescription(**{**usual, **head}), affinities)  # type: ignore[arg-type]
