"""How often the report's interval of "did affinity predict?" holds the true rank correlation, in simulated studies.

    python -m benchmarks.affinity.coverage [--repetitions 1000] [--jobs 2] [--page docs/affinity.md]

Predicted and measured values of a task's points are normal and correlated, by task as among the points of one task.
Ranks do not change under monotone maps: skewed values come to the same. The interval is for other tasks of the same
kind, so that new tasks are drawn in each study.
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
"""Tasks, and points a task (blocks that it was trained in)."""
RHOS = (0.0, 0.5, 0.9)
"""True rank correlations."""
BY_TASK = 0.5
"""Share of the variance that the points of one task have in common."""

Cell = tuple[tuple[int, int], float]
"""One of POINTS, one of RHOS."""


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
    """Share of studies whose interval holds the truth."""
    (tasks, points), rho = cell
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(repr(cell).encode()).digest()[:8], "big"))
    held = 0
    for _ in range(repetitions):
        drawn = study(rng, tasks, points, rho)
        _, low, high = rank_correlation(drawn["task"], drawn["predicted"], drawn["relative"], CONFIDENCE)
        held += low <= rho <= high
    return held / repetitions


def study(rng: np.random.Generator, tasks: int, points: int, rho: float) -> pd.DataFrame:
    """Points of tasks whose predicted and measured values have this rank correlation.

    Args:
        rng: of the draw.
        tasks: how many.
        points: of each task.
        rho: Spearman's, of the population; for normal values 6 / pi asin(r / 2), with r of Pearson.
    """
    r = 2 * np.sin(np.pi * rho / 6)
    root = np.linalg.cholesky(np.array([[1.0, r], [r, 1.0]]))
    common, own = rng.standard_normal((tasks, 1, 2)), rng.standard_normal((tasks, points, 2))
    values = ((np.sqrt(BY_TASK) * common + np.sqrt(1 - BY_TASK) * own) @ root.T).reshape(-1, 2)
    names = np.repeat([f"task {i}" for i in range(tasks)], points)
    return pd.DataFrame({"task": names, "predicted": values[:, 0], "relative": values[:, 1]})


def section(covered: dict[Cell, float], repetitions: int) -> str:
    """The part of the page."""
    error = 100 * np.sqrt(CONFIDENCE * (1 - CONFIDENCE) / repetitions)
    text = f"""How often the interval of {CONFIDENCE:.0%} holds the true rank correlation, in {repetitions:,} simulated
        studies a cell, %; a coverage near {CONFIDENCE:.0%} has a Monte-Carlo standard error of {error:.1f} points. Half
        of the variance is common to the points of a task. Least: {100 * min(covered.values()):.1f}, most:
        {100 * max(covered.values()):.1f}."""
    rows = [
        [str(tasks), str(points), *(f"{100 * covered[(tasks, points), rho]:.1f}" for rho in RHOS)]
        for tasks, points in POINTS
    ]
    columns = ["tasks", "points a task", *(f"rho {rho:.1f}" for rho in RHOS)]
    return f"{prose(text)}\n\n{table(columns, rows)}"


if __name__ == "__main__":
    sys.exit(main())
