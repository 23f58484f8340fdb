"""Solve for the critical values of the test of a mean whose variance has two estimated components.

    python -m benchmarks.evidence.critical_values [--solve] [--out docs/families.md]

It measures the size of the test with the stored table and writes a section of docs/families.md. With `--solve`, it
first solves the table again and writes usaggr/statistics/critical_values.csv.

The variance of the mean is the sum of two components, each estimated by a mean square with its own degrees of freedom.
No critical value is exact for every true share of the first component (the problem of Behrens and Fisher). Welch
(Biometrika 1947) makes the critical value a function of the estimated share, so that the size of the test approximately
equals its level for every true share. Trickett, Welch and James (Biometrika 1956) solved his equation numerically. This
module does so by least squares, also for small degrees of freedom and far tails, where series expansions fail.

The unknowns are the ratios of the critical value to the weighted mean of the two quantiles of Student's t (Cochran and
Cox), at `critical_values.SHARES`. Levels are solved from the largest to the smallest. The critical value at each share
must increase from level to level, so that each estimate has one p value. Sizes and Jacobians are exact up to
quadrature. With few degrees of freedom at a small level the limits of the ratios bind, and the size is not the level.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, sparse, special

from usaggr.statistics.critical_values import (
    DF_FIRST,
    DF_SECOND,
    LEVELS,
    SHARES,
    TABLE_PATH,
    UNIT,
    read_table,
    transform_share,
)

Array = NDArray[np.float64]

SHOWN_LEVELS = (0.05, 0.01, 0.002, 3e-4, 1e-4, 1e-5, 1e-6)
"""Levels of which the page shows the size."""
SHOWN_DF = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 14.0, 24.0, float("inf"))
"""Degrees of freedom of the first mean square of which the page shows the size."""
FEWEST_SECOND_DF = 9
"""Smallest degrees of freedom of the second mean square in the shown sizes: those of 10 subjects."""

_TRUE_SHARES = np.sin(np.linspace(0, 1, 31)[1:-1] * np.pi / 2) ** 2
"""(29,) true shares of the first component at which size and level are compared.

Shares 0 and 1 are left out, because the ratio is exactly 1 there."""
_POINTS = 72
"""Quadrature points for a mean square with finite degrees of freedom, when solving."""
_MEASURED_POINTS = 250
"""The same when measuring: with 72 points, sizes at levels below .001 are wrong by up to a fifth."""
_POWER = 4.0
"""Exponent that moves quadrature points toward mean squares near 0, which dominate the far tails."""
_SMOOTHNESS = 0.05
"""Weight of the second differences of the log ratios between neighboring shares.

This weight and the next are small against 1, the weight of the log size over the level: they choose among solutions
of nearly the same sizes one that can be interpolated."""
_CONTINUITY = 0.04
"""Weight of the differences of the log ratios between neighboring levels and between neighboring degrees of freedom."""
_CAUTION = 2.0
"""Sizes above the level are penalized twice as much as sizes below it."""
_SMALLEST_LOG_RATIO = float(np.log(0.05))
"""Smallest log ratio, which keeps the lower limit finite; it is reached with less than 2 df at small levels."""
_LARGEST_LOG_RATIO = float(np.log(2.0))
"""Largest log ratio. It limits the width of intervals with few degrees of freedom, which else grows without limit.

Where it is reached, the size may exceed the level. With 10 or more subjects it is reached from level .05 on with 1 df
of the first mean square (two seeds), from .01 on with 2, from .001 on with 4, and from 1e-5 on with 9."""
_LEAST_INCREASE = 1e-3
"""Least relative increase of a critical value from one level to the next smaller one."""


def make_quadrature(df: float, points: int = _POINTS) -> tuple[Array, Array]:
    """Return possible mean squares over their expectation, and their probabilities, by Gauss-Legendre quadrature.

    Args:
        df: degrees of freedom; infinite for a component that is known.
        points: number of quadrature points.
    """
    if np.isinf(df):
        return np.ones(1), np.ones(1)
    nodes, weights = np.polynomial.legendre.leggauss(points)
    position, weight = (nodes + 1) / 2, weights / 2
    probability, density = position**_POWER, _POWER * position ** (_POWER - 1)
    return np.asarray(2 * special.gammaincinv(df / 2, probability) / df), weight * density


class _SizeEquations:
    """Size of the test as a function of the log ratios at the shares, for one pair of degrees of freedom."""

    def __init__(self, df_first: float, df_second: float, quadrature_points: int = _POINTS) -> None:
        first, first_weights = make_quadrature(df_first, quadrature_points)
        second, second_weights = make_quadrature(df_second, quadrature_points)
        a = _TRUE_SHARES[:, None, None] * first[:, None]
        b = (1 - _TRUE_SHARES[:, None, None]) * second
        self._se = np.sqrt(a + b).reshape(_TRUE_SHARES.size, -1)
        self._share = (a / (a + b)).reshape(_TRUE_SHARES.size, -1)
        self._weights = (first_weights[:, None] * second_weights).reshape(-1)
        self._df = df_first, df_second
        # Linear interpolation between neighboring shares, on the transformed scale.
        position = transform_share(self._share.reshape(-1)) * (SHARES.size - 1)
        left = np.clip(np.floor(position).astype(int), 0, SHARES.size - 2)
        right_weight = position - left
        points = np.arange(position.size)
        self._interpolation = sparse.csr_matrix(
            (
                np.concatenate([1 - right_weight, right_weight]),
                (np.concatenate([points, points]), np.concatenate([left, left + 1])),
            ),
            shape=(position.size, SHARES.size),
        )

    def compute_sizes(self, log_ratios: Array, level: float) -> Array:
        """Return the (T,) sizes at the true shares, divided by the level."""
        distance, _ = self._compute_distances(log_ratios, level)
        return np.asarray(2 * special.ndtr(-distance) @ self._weights / level)

    def compute_derivatives(self, log_ratios: Array, level: float) -> tuple[Array, Array]:
        """Return (T,) log(size / level) at the true shares, and their (T, S) derivatives with respect to log ratios."""
        distance, base_distance = self._compute_distances(log_ratios, level)
        size = 2 * special.ndtr(-distance) @ self._weights
        density = -2 * np.exp(-(distance**2) / 2) / np.sqrt(2 * np.pi) * base_distance * self._weights
        gradient = np.zeros((distance.shape[0], SHARES.size))
        points = distance.shape[1]
        for i in range(distance.shape[0]):
            gradient[i] = self._interpolation[i * points : (i + 1) * points].T @ density[i]
        return np.log(size / level), gradient * np.exp(log_ratios) / size[:, None]

    def _compute_distances(self, log_ratios: Array, level: float) -> tuple[Array, Array]:
        """Return the (T, Q) half widths of the interval, and those with ratios of 1."""
        first, second = (_compute_quantile(df, level / 2) for df in self._df)
        base_distance = (self._share * first + (1 - self._share) * second) * self._se
        return (self._interpolation @ np.exp(log_ratios)).reshape(base_distance.shape) * base_distance, base_distance


def _compute_quantile(df: float, tail: float) -> float:
    return float(-special.ndtri(tail)) if np.isinf(df) else float(-special.stdtrit(df, tail))


def solve(df_first: float, df_second: float, neighbors: Sequence[Array]) -> Array:
    """Return the (L, S) log ratios by level and share.

    Args:
        df_first: degrees of freedom of the first mean square; may be infinite.
        df_second: degrees of freedom of the second one; may be infinite.
        neighbors: (L, S) log ratios at the next larger degrees of freedom of each mean square. The search starts at
            their mean and is penalized for departing from them, because distant solutions cannot be interpolated.
    """
    equations = _SizeEquations(df_first, df_second)
    shares, inner = SHARES.size, SHARES.size - 2
    smoothness = _SMOOTHNESS * np.diff(np.eye(shares), n=2, axis=0)
    previous, previous_critical = np.zeros(shares), np.zeros(shares)
    log_ratios = []
    for number, level in enumerate(LEVELS):
        first, second = (_compute_quantile(df, level / 2) for df in (df_first, df_second))
        quantiles = SHARES * first + (1 - SHARES) * second
        smallest = previous_critical * (1 + _LEAST_INCREASE) / quantiles
        lower = np.log(np.maximum(smallest, np.exp(_SMALLEST_LOG_RATIO)))[1:-1]
        start = np.maximum(np.mean([near[number, 1:-1] for near in neighbors], axis=0), lower + 1e-6)
        # The neighbors: by level, and by the degrees of freedom of each mean square.
        anchors = (previous, *(near[number] for near in neighbors))

        def compute_residuals(inside: Array, level: float = level, anchors: tuple[Array, ...] = anchors) -> Array:
            logs = np.pad(inside, 1)
            errors, _ = equations.compute_derivatives(logs, level)
            errors = np.where(errors > 0, _CAUTION, 1.0) * errors
            return np.concatenate([errors, smoothness @ logs, *(_CONTINUITY * (logs - anchor) for anchor in anchors)])

        def compute_jacobian(inside: Array, level: float = level, anchors: tuple[Array, ...] = anchors) -> Array:
            errors, gradient = equations.compute_derivatives(np.pad(inside, 1), level)
            gradient = np.where(errors > 0, _CAUTION, 1.0)[:, None] * gradient
            full = np.concatenate([gradient, smoothness, *[_CONTINUITY * np.eye(shares)] * len(anchors)])
            return np.asarray(full[:, 1:-1])

        upper = np.full(inner, _LARGEST_LOG_RATIO)
        result = optimize.least_squares(
            compute_residuals,
            np.minimum(start, upper - 1e-6),
            jac=compute_jacobian,
            bounds=(lower, upper),
            max_nfev=300,
        )
        logs = np.pad(result.x, 1)
        log_ratios.append(logs)
        previous, previous_critical = logs, np.exp(logs) * quantiles
    return np.array(log_ratios)


def solve_all() -> Array:
    """Return the (D, E, L, S) log ratios for DF_FIRST and DF_SECOND.

    Solved from infinite to small degrees of freedom, because each solution uses those at the next larger ones.
    """
    log_ratios = np.zeros((DF_FIRST.size, DF_SECOND.size, LEVELS.size, SHARES.size))
    for j in reversed(range(DF_SECOND.size)):
        for i in reversed(range(DF_FIRST.size)):
            neighbors = log_ratios[min(i + 1, DF_FIRST.size - 1), j], log_ratios[i, min(j + 1, DF_SECOND.size - 1)]
            log_ratios[i, j] = solve(float(DF_FIRST[i]), float(DF_SECOND[j]), neighbors)
            print(f"df {DF_FIRST[i]:g} and {DF_SECOND[j]:g} solved", flush=True)
    return log_ratios


def measure_sizes(df_first: float, levels: Sequence[float] = SHOWN_LEVELS) -> list[tuple[float, float]]:
    """Return the smallest and largest size, divided by the level, of the stored critical values at each level.

    They are over all true shares and over DF_SECOND from FEWEST_SECOND_DF on.

    Args:
        df_first: degrees of freedom of the first mean square, one of DF_FIRST.
        levels: some of LEVELS.
    """
    i = int(np.flatnonzero(df_first == DF_FIRST)[0])
    sizes = []
    for j in np.flatnonzero(DF_SECOND >= FEWEST_SECOND_DF):
        equations = _SizeEquations(df_first, float(DF_SECOND[j]), _MEASURED_POINTS)
        log_ratios = np.log(read_table()[i, j])
        sizes.append([equations.compute_sizes(log_ratios[level == LEVELS][0], level) for level in levels])
    by_level = np.array(sizes).swapaxes(0, 1).reshape(len(levels), -1)
    return [(float(values.min()), float(values.max())) for values in by_level]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the section about the sizes of the stored table, which is solved again if requested."""
    from benchmarks.evidence.families_page import write_critical_values

    parser = argparse.ArgumentParser(description="Measure the size of the test with the stored critical values.")
    parser.add_argument("--solve", action="store_true", help=f"first solve for the critical values: {TABLE_PATH.name}")
    parser.add_argument("--out", type=Path, default=Path("docs/families.md"))
    options = parser.parse_args(arguments)
    if options.solve:
        # Rows: degrees of freedom of the first and of the second mean square, and levels. Columns: shares.
        table = np.exp(solve_all()).reshape(-1, SHARES.size)
        np.savetxt(TABLE_PATH, np.round(table / UNIT), fmt="%d", delimiter=",")
    write_critical_values(options.out, {df: measure_sizes(df) for df in SHOWN_DF}, SHOWN_LEVELS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
