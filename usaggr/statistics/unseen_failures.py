"""Failures that no test subject shows, and what the verdict no loss says about them.

If a grouping loses 3 % of the lesions completely, many test sets contain none of them. No interval shows this loss.
Without a failure among n subjects, the failure rate is at most -ln(.025) / n = 3.69 / n with a confidence of 97.5 %
(rule of three: 3 / n with 95 %; Hanley and Lippman-Hand, JAMA 1983).

Verdicts need more. A study that shows one to nine failures gets no verdict (`minimum_evidence`), so that the judged
studies are those with no failure or with at least ten. If EXPECTED_FAILURES are expected, 2.5 % of the judged studies
show none; with 3.69 it would be most of them.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from usaggr.statistics.two_way_anova import Estimate

Array = NDArray[np.float64]

EXPECTED_FAILURES = 6.1
"""Expected failures from which P(0) / (P(0) + P(10 or more)) of a Poisson distribution is below .025."""
_RATES = 41
"""Failure rates at which the largest p value is searched."""


def find_excluded_rate(subjects: int) -> int:
    """Return N, so that `subjects` test subjects exclude failures more frequent than 1 in N; at least 2."""
    return max(2, math.floor(subjects / EXPECTED_FAILURES))


def count_subjects_needed(cost: float, margin: float) -> float:
    """Return the test subjects without a failure that exclude a mean loss of the margin by failures alone.

    Args:
        cost: Largest loss of a subject that fails; infinite for a metric without a worst value.
        margin: Largest loss of the mean that still counts as no loss.
    """
    return EXPECTED_FAILURES * cost / margin if margin > 0 else math.inf


def compute_p_with_failures(
    estimate: Estimate, margins: Sequence[float], costs: Sequence[float], subjects: Sequence[int]
) -> Array:
    """Return the p values of a loss of at least the margin that is partly due to failures no subject shows.

    A failure rate r adds the loss r x cost, so the remaining loss is at least margin - r x cost. All subjects escape
    the failures with probability exp(-n r), independently of the estimate. The p value is the largest product of both
    over all r, which is a valid p value, because r is unknown.

    Args:
        estimate: (n,) estimated differences, positive if better.
        margins: (n,) largest losses of the mean that still count as no loss.
        costs: (n,) finite and positive largest losses of a subject that fails.
        subjects: (n,) numbers of test subjects.
    """
    margin, cost, count = (np.asarray(values, dtype=float) for values in (margins, costs, subjects))
    # Twice the rate whose failures alone cost the margin: beyond, exp(-n r) is below exp(-2 EXPECTED_FAILURES).
    rates = np.linspace(np.zeros_like(margin), 2 * margin / cost, _RATES)
    return np.asarray((np.exp(-count * rates) * estimate.compute_one_sided_p(rates * cost - margin)).max(axis=0))
