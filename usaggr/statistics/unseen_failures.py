"""Failures that no test subject shows, and how they limit the verdict no loss.

If a grouping loses 3 % of the lesions completely, many test sets contain none of them. No interval shows this loss.
Without a failure among n subjects, the failure rate is at most -ln(.025) / n = 3.69 / n with a confidence of 97.5 %
(rule of three: 3 / n with 95 %; Hanley and Lippman-Hand, JAMA 1983).

A verdict needs a stricter limit than the rule of three. A study that shows one to nine failures usually gets no verdict
(`minimum_evidence`), so the judged studies show no failure or at least ten. If 6.1 failures are expected, 2.5 % of the
judged studies show none; if 3.69 are expected, 84 % do. "Usually", because the failures must also be outliers and have
most of the variance. Among subjects whose differences have a standard deviation of .2, one loss of .8 is neither, and
the study is judged. docs/too_few.md measures how often the rule errs then.

The cost of a failure is the mean loss of subjects that fail completely, from the reference's mean to the worst value.
This assumes that failures hit subjects regardless of their score. If they hit those with the best scores, the cost is
up to 1 - worst value, and the rule underestimates it.

Subjects are independent here (components), as in `minimum_evidence`.
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
"""Number of failure rates in the grid on which the largest p value is searched."""


def find_excluded_rate(subjects: int) -> int:
    """Return N such that failures more frequent than 1 in N would be seen.

    At most 2.5 % of the judged studies show none of such failures (exact binomial probabilities, from 12 test subjects
    on). With 10 or 11, ten failures hardly happen, so this holds only of all studies, judged or not. N is at least 2,
    the largest rate that can be named; with 10 subjects, one study in 1,000 shows none of such failures.

    Args:
        subjects: Number of test subjects, at least FEWEST_SUBJECTS. For scores of a complete test set, of the rarer
            class.
    """
    return max(2, math.floor(subjects / EXPECTED_FAILURES))


def count_subjects_needed(cost: float, margin: float) -> float:
    """Return the number of test subjects from which seeing no failure excludes that failures alone cost the margin.

    Args:
        cost: Mean loss of subjects that fail completely; infinite if no number of subjects is enough.
        margin: Largest loss of the mean that still counts as no loss.
    """
    return EXPECTED_FAILURES * cost / margin if margin > 0 else math.inf


def compute_p_with_failures(
    estimate: Estimate, margins: Sequence[float], costs: Sequence[float], subjects: Sequence[int]
) -> Array:
    """Return the p values of the hypothesis that the loss is at least the margin, including failures nobody shows.

    A failure rate r adds the loss r x cost, so the remaining loss is at least margin - r x cost. No test subject fails
    with probability (1 - r)^n <= exp(-n r), which is assumed to be independent of the estimate. The rate is unknown;
    the largest product of both over all rates is a valid p value whatever it is.

    Args:
        estimate: (n,) estimated differences, positive if better.
        margins: (n,) largest losses of the mean that still count as no loss.
        costs: (n,) finite and positive mean losses of subjects that fail completely.
        subjects: (n,) numbers of test subjects.
    """
    margin, cost, count = (np.asarray(values, dtype=float) for values in (margins, costs, subjects))
    # The grid ends at twice the rate at which failures alone cost the margin. There, exp(-n r) is at most
    # exp(-2 EXPECTED_FAILURES) = 5e-6 if n >= count_subjects_needed, which the caller ensures.
    rates = np.linspace(np.zeros_like(margin), 2 * margin / cost, _RATES)
    return np.asarray((np.exp(-count * rates) * estimate.compute_one_sided_p(rates * cost - margin)).max(axis=0))
