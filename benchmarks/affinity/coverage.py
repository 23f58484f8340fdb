"""Measure the coverage of the report's interval of "did affinity predict?" in simulated studies.

    python -m benchmarks.affinity.coverage [--repetitions 1000] [--jobs 2] [--page docs/affinity.md]

Predicted and measured values are normal. They are correlated both between tasks and between the points of one task.
Ranks do not change under monotone maps, so skewed values give the same coverage. The interval generalizes to other
tasks of the same kind; therefore, each study draws new tasks.
"""

import argparse
import hashlib
import itertools
import multiprocessing
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.generated import prose, table, write_part
from usaggr.report.affinity.tables import rank_correlation

CONFIDENCE = 0.95
POINTS = ((6, 1), (6, 3), (12, 1), (12, 3), (27, 1), (27, 3))
"""Number of tasks, and points per task (blocks in which it was trained)."""
RHOS = (0.0, 0.5, 0.9)
"""True rank correlations."""
BY_TASK = 0.5
"""Share of the variance that is common to the points of one task."""

Cell = tuple[tuple[int, int], float]
"""An element of POINTS and one of RHOS."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Coverage of the interval of the rank correlation.")
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--page", type=Path, default=Path("docs/affinity.md"))
    options = parser.parse_args(arguments)
    cells: list[Cell] = list(itertools.product(POINTS, RHOS))
    with multiprocessing.get_context("fork").Pool(options.jobs) as processes:
        covered = processes.map(partial(coverage, repetitions=options.repetitions), cells, chunksize=1)
    write_part(options.page, "coverage", section(dict(zip(cells, covered, strict=True)), options.repetitions))
    return 0


def coverage(cell: Cell, repetitions: int) -> float:
    """Return the share of studies whose interval contains the true rank correlation."""
    (tasks, points), rho = cell
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(repr(cell).encode()).digest()[:8], "big"))
    covered = 0
    for _ in range(repetitions):
        drawn = study(rng, tasks, points, rho)
        _, low, high = rank_correlation(drawn["task"], drawn["predicted"], drawn["relative"], CONFIDENCE)
        covered += low <= rho <= high
    return covered / repetitions


def study(rng: np.random.Generator, tasks: int, points: int, rho: float) -> pd.DataFrame:
    """Draw points of tasks whose predicted and measured values have a given rank correlation.

    Args:
        rng: Random generator.
        tasks: Number of tasks.
        points: Number of points per task.
        rho: Spearman's correlation of the population: 6 / pi asin(r / 2) for normal values with Pearson's r.
    """
    r = 2 * np.sin(np.pi * rho / 6)
    root = np.linalg.cholesky(np.array([[1.0, r], [r, 1.0]]))
    common, specific = rng.standard_normal((tasks, 1, 2)), rng.standard_normal((tasks, points, 2))
    values = ((np.sqrt(BY_TASK) * common + np.sqrt(1 - BY_TASK) * specific) @ root.T).reshape(-1, 2)
    names = np.repeat([f"task {i}" for i in range(tasks)], points)
    return pd.DataFrame({"task": names, "predicted": values[:, 0], "relative": values[:, 1]})


def section(covered: dict[Cell, float], repetitions: int) -> str:
    """Return the section of the page."""
    error = 100 * np.sqrt(CONFIDENCE * (1 - CONFIDENCE) / repetitions)
    text = f"""Percentage of {CONFIDENCE:.0%} intervals that contain the true rank correlation, in {repetitions:,}
        simulated studies per cell (Monte-Carlo standard error: {error:.1f} points). Half of the variance is common to
        the points of a task."""
    lines = [
        [str(tasks), str(points), *(f"{100 * covered[(tasks, points), rho]:.1f}" for rho in RHOS)]
        for tasks, points in POINTS
    ]
    columns = ["tasks", "points per task", *(f"rho {rho:.1f}" for rho in RHOS)]
    return f"{prose(text)}\n\n{table(columns, lines)}"


if __name__ == "__main__":
    sys.exit(main())
