"""Simulated families of tasks: how often prediction intervals contain the effect of a task that was left out.

python -m tests.advice.families prints the table of docs/advice.md.
"""

import numpy as np
from numpy.typing import NDArray

from usaggr.advice.meta_analysis import pool


def covers(tasks: int, tau: float, together: float, families: int) -> NDArray[np.bool_]:
    """Return (families,) whether the 95 % interval from `tasks` tasks contains the true effect of one more task.

    Tasks have a common mean and the spread `tau`. Estimates have standard errors of .008 to .03, which are themselves
    estimated with 5 degrees of freedom. `together` is the share of the errors' variance that all tasks have in common;
    in one unified model, its seeds cause it.
    """
    rng = np.random.default_rng([tasks, round(1000 * tau), round(10 * together)])
    is_covered = np.zeros(families, dtype=bool)
    for i in range(families):
        true = 0.01 + tau * rng.standard_normal(tasks + 1)
        errors = rng.uniform(0.008, 0.03, tasks)
        noise = np.sqrt(together) * rng.standard_normal() + np.sqrt(1 - together) * rng.standard_normal(tasks)
        seen = errors * np.sqrt(rng.chisquare(5, tasks) / 5)
        pooled = pool((true[:tasks] + errors * noise).tolist(), seen.tolist(), 0.95, ["one sweep"] * tasks)
        is_covered[i] = pooled.low <= true[tasks] <= pooled.high
    return is_covered


if __name__ == "__main__":
    for share in (0.0, 0.5):
        for spread in (0.0, 0.02, 0.06):
            row = [f"{100 * covers(k, spread, share, 1000).mean():.1f}" for k in (3, 5, 8, 15)]
            print(f"| {share:g} | {spread:g} | {' | '.join(row)} |", flush=True)
