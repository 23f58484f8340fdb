"""Solve for the critical values of a mean whose variance has two estimated components; writes critical_values.csv.

    python -m benchmarks.evidence.critical_values [--out usaggr/statistics/critical_values.csv]

The variance of the mean is the sum of two components, each estimated by a mean square with its own degrees of freedom.
No critical value is exact for every true share of the first component (the problem of Behrens and Fisher). Welch
(Biometrika 1947) makes the critical value a function of the estimated share, so that the size of the test equals its
level for every true share. Trickett, Welch and James (Biometrika 1956) solved his equation numerically. This module
does so for small degrees of freedom and far tails, where series expansions fail, by least squares.

The unknowns are the ratios of the critical value to the weighted mean of the two quantiles of Student's t (Cochran and
Cox), at `critical_values.SHARES`. Levels are solved from the largest to the smallest. The critical value at each share
must increase from level to level, so that p values exist. Sizes and Jacobians are exact up to quadrature.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, sparse, special

from usaggr.statistics.critical_values import DF_FIRST, DF_SECOND, LEVELS, SHARES, TABLE_PATH, UNIT, transform_share

Array = NDArray[np.float64]

_TRUE_SHARES = np.sin(np.linspace(0, 1, 31)[1:-1] * np.pi / 2) ** 2
"""(29,) true shares of the first component at which size and level are compared; both ends are exact."""
_POINTS = 72
"""Quadrature points for a mean square with finite degrees of freedom."""
_POWER = 4.0
"""Exponent that moves quadrature points toward mean squares near 0, which make far tails."""
_SMOOTHNESS = 0.05
"""Weight of the second differences of the log ratios between neighboring shares."""
_CONTINUITY = 0.04
"""Weight of the differences of the log ratios between neighboring levels and between neighboring degrees of freedom."""
_CAUTION = 2.0
"""Weight of sizes above the level, relative to those below it; where an exact solution exists it changes nothing."""
_MOST_RATIO = 2.0
"""Largest ratio; without a bound, two degrees of freedom give critical values that decide nothing at far tails."""
_LEAST_INCREASE = 1e-3
"""Least relative increase of a critical value from one level to the next smaller one."""


def make_mean_squares(df: float) -> tuple[Array, Array]:
    """Return possible mean squares over their expectation, and their probabilities, by Gauss-Legendre quadrature.

    Args:
        df: degrees of freedom; infinite for a component that is known.
    """
    if np.isinf(df):
        return np.ones(1), np.ones(1)
    nodes, weights = np.polynomial.legendre.leggauss(_POINTS)
    position, weight = (nodes + 1) / 2, weights / 2
    probability, density = position**_POWER, _POWER * position ** (_POWER - 1)
    return np.asarray(2 * special.gammaincinv(df / 2, probability) / df), weight * density


class _SizeEquations:
    """Size of the test as a function of the log ratios at the shares, for one pair of degrees of freedom."""

    def __init__(self, df_first: float, df_second: float) -> None:
        first, first_weights = make_mean_squares(df_first)
        second, second_weights = make_mean_squares(df_second)
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

    def compute(self, log_ratios: Array, level: float) -> tuple[Array, Array]:
        """Return (T,) log sizes over the level at the true shares, and their (T, S) derivatives by the log ratios."""
        first, second = (_compute_quantile(df, level / 2) for df in self._df)
        ratios = np.exp(log_ratios)
        base = (self._share * first + (1 - self._share) * second) * self._se
        bound = (self._interpolation @ ratios).reshape(base.shape) * base
        size = 2 * special.ndtr(-bound) @ self._weights
        density = -2 * np.exp(-(bound**2) / 2) / np.sqrt(2 * np.pi) * base * self._weights
        gradient = np.zeros((base.shape[0], SHARES.size))
        points = base.shape[1]
        for i in range(base.shape[0]):
            gradient[i] = self._interpolation[i * points : (i + 1) * points].T @ density[i]
        return np.log(size / level), gradient * ratios / size[:, None]


def _compute_quantile(df: float, tail: float) -> float:
    return float(-special.ndtri(tail)) if np.isinf(df) else float(-special.stdtrit(df, tail))


def solve(df_first: float, df_second: float, neighbors: Sequence[Array]) -> tuple[Array, Array]:
    """Return the (L, S) log ratios by level and share, and the (L, T) sizes over their levels that they reach.

    Args:
        df_first: degrees of freedom of the first mean square; may be infinite.
        df_second: degrees of freedom of the second one; may be infinite.
        neighbors: (L, S) log ratios at the next larger degrees of freedom of each mean square. The search begins at
            their mean and stays near them, because solutions far from each other cannot be interpolated.
    """
    equations = _SizeEquations(df_first, df_second)
    shares, inner = SHARES.size, SHARES.size - 2
    smoothness = _SMOOTHNESS * np.diff(np.eye(shares), n=2, axis=0)
    previous, previous_critical = np.zeros(shares), np.zeros(shares)
    log_ratios, sizes = [], []
    for number, level in enumerate(LEVELS):
        base = SHARES * _compute_quantile(df_first, level / 2) + (1 - SHARES) * _compute_quantile(df_second, level / 2)
        lower = np.log(np.maximum(previous_critical * (1 + _LEAST_INCREASE) / base, 0.05))[1:-1]
        start = np.maximum(np.mean([near[number, 1:-1] for near in neighbors], axis=0), lower + 1e-6)
        # The three neighbors: by level, and by the degrees of freedom of each mean square.
        anchors = (previous, *(near[number] for near in neighbors))

        def compute_residuals(inside: Array, level: float = level, anchors: tuple[Array, ...] = anchors) -> Array:
            logs = np.pad(inside, 1)
            errors, _ = equations.compute(logs, level)
            errors = np.where(errors > 0, _CAUTION, 1.0) * errors
            return np.concatenate([errors, smoothness @ logs, *(_CONTINUITY * (logs - anchor) for anchor in anchors)])

        def compute_jacobian(inside: Array, level: float = level) -> Array:
            errors, gradient = equations.compute(np.pad(inside, 1), level)
            gradient = np.where(errors > 0, _CAUTION, 1.0)[:, None] * gradient
            full = np.concatenate([gradient, smoothness, *[_CONTINUITY * np.eye(shares)] * 3])
            return np.asarray(full[:, 1:-1])

        upper = np.full(inner, np.log(_MOST_RATIO))
        result = optimize.least_squares(
            compute_residuals,
            np.minimum(start, upper - 1e-6),
            jac=compute_jacobian,
            bounds=(lower, upper),
            max_nfev=300,
        )
        logs = np.pad(result.x, 1)
        log_ratios.append(logs)
        sizes.append(np.exp(equations.compute(logs, level)[0]))
        previous, previous_critical = logs, np.exp(logs) * base
    return np.array(log_ratios), np.array(sizes)


def solve_all() -> tuple[Array, Array]:
    """Return the (D, E, L, S) log ratios for DF_FIRST and DF_SECOND, and the (D, E, L, T) sizes that they reach.

    The degrees of freedom fall from infinite ones, where the solution is known, so that neighbors are solved before.
    """
    shape = (DF_FIRST.size, DF_SECOND.size, LEVELS.size)
    log_ratios, sizes = np.zeros((*shape, SHARES.size)), np.zeros((*shape, _TRUE_SHARES.size))
    for j in reversed(range(DF_SECOND.size)):
        for i in reversed(range(DF_FIRST.size)):
            neighbors = log_ratios[min(i + 1, DF_FIRST.size - 1), j], log_ratios[i, min(j + 1, DF_SECOND.size - 1)]
            log_ratios[i, j], sizes[i, j] = solve(float(DF_FIRST[i]), float(DF_SECOND[j]), neighbors)
            usual, far = (sizes[i, j, level == LEVELS] for level in (0.05, 0.002))
            ranges = " and ".join(f"{sizes_at.min():.2f} to {sizes_at.max():.2f}" for sizes_at in (usual, far))
            print(f"df {DF_FIRST[i]:g} and {DF_SECOND[j]:g}: size over level {ranges} at .05 and .002", flush=True)
    return log_ratios, sizes


def main() -> None:
    """Solve all pairs of degrees of freedom and write the table."""
    parser = argparse.ArgumentParser(description="Solve for critical values; writes critical_values.csv.")
    parser.add_argument("--out", type=Path, default=TABLE_PATH)
    arguments = parser.parse_args()
    log_ratios, _ = solve_all()
    # Rows: degrees of freedom of the first and of the second mean square, and levels. Columns: shares.
    table = np.exp(log_ratios).reshape(-1, SHARES.size)
    np.savetxt(arguments.out, np.round(table / UNIT), fmt="%d", delimiter=",")


if __name__ == "__main__":
    main()
