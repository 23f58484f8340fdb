"""The rule by which a simulated share meets a bound, and its text in the tables of the pages.

With few repetitions, a rule that marks only significant violations would pass almost any estimate. The estimate itself
must therefore also be near the bound. The price is marks by chance: `compute_mark_probability` gives their frequency.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
"""Confidence of the simulated intervals, and of the intervals of shares."""
TOLERANCE = 1.3
"""Largest ratio of an estimate to its bound.

A share exactly at a bound of 5 % exceeds it by chance with a probability of 0.1 % with 2,000 repetitions, and of 7 %
with 500. A test at 1.3 times its level (6.5 % instead of 5 %) is hardly misleading."""
Mark = Literal["", "misses", "wide"]
"""Misses: errors are more frequent than permitted, perhaps by chance. Wide: an interval covers more than permitted."""
BOUND_RULE = """
A share meets its bound if the lower end of its exact 95 % interval is not above the bound, and the estimate is not
above 1.3 times the bound. For coverage and for correct verdicts this is applied to the complement (not covered; correct
verdict not given). *Misses*: does not meet the bound, which may be by chance. *Wide*: covers more often than permitted,
by the same rule.
"""
"""The rule, for the pages."""
RULE = BOUND_RULE.rstrip() + "\nTables show estimates ± their largest Monte-Carlo standard error.\n"
"""The rule, for pages whose tables show `format_share`."""


@dataclass(frozen=True)
class Share:
    """A number of events among independent repetitions."""

    count: int
    total: int

    @property
    def estimate(self) -> float:
        """Share of the repetitions."""
        return self.count / self.total

    @property
    def standard_error(self) -> float:
        """Monte-Carlo standard error. A count of 0 is treated as 1, and a count of all as all but 1."""
        share = min(max(self.estimate, 1 / self.total), 1 - 1 / self.total)
        return float(np.sqrt(share * (1 - share) / self.total))

    @property
    def complement(self) -> "Share":
        """Share of the other repetitions."""
        return Share(self.total - self.count, self.total)

    def compute_interval(self) -> tuple[float, float]:
        """Return the exact interval of the true share (Clopper and Pearson, Biometrika 1934)."""
        return _compute_binomial_interval(self.count, self.total)


@dataclass(frozen=True)
class ClusteredShare:
    """A share of cells, several of which are from one study: they share runs and are not independent."""

    estimate: float
    standard_error: float
    """Monte-Carlo standard error, from the variance between studies."""
    studies: int

    @property
    def complement(self) -> "ClusteredShare":
        """Share of the other cells."""
        return ClusteredShare(1 - self.estimate, self.standard_error, self.studies)

    def compute_interval(self) -> tuple[float, float]:
        """Return an approximate interval: that of as many independent cells as have the same standard error.

        This is the interval of Korn and Graubard (Surv Methodol 1998) for clustered data. If all studies are equal, a
        study counts as one cell.
        """
        variance = self.standard_error**2
        total = self.estimate * (1 - self.estimate) / variance if variance > 0 else float(self.studies)
        return _compute_binomial_interval(self.estimate * total, total)


def measure_clustered_share(counts: Sequence[int] | NDArray[np.int64], cells: int) -> ClusteredShare:
    """Return the share of cells with an event, with its error from the variance between studies.

    Args:
        counts: (studies,) number of cells with the event in each study, of at least two studies.
        cells: number of cells of each study.
    """
    shares = np.asarray(counts) / cells
    return ClusteredShare(float(shares.mean()), float(shares.std(ddof=1) / np.sqrt(shares.size)), shares.size)


def _compute_binomial_interval(count: float, total: float) -> tuple[float, float]:
    """Return the exact interval of a binomial share; numbers that are not whole are permitted.

    Args:
        count: number of events, from 0 to `total`.
        total: number of repetitions, above 0.
    """
    from scipy import stats

    tail = (1 - CONFIDENCE) / 2
    low = stats.beta.ppf(tail, count, total - count + 1) if count > 0 else 0.0
    high = stats.beta.ppf(1 - tail, count + 1, total - count) if count < total else 1.0
    return float(low), float(high)


def make_share(estimate: float, total: int) -> Share:
    """Return the share whose count is nearest to estimate x total."""
    return Share(round(estimate * total), total)


def is_met(errors: Share | ClusteredShare, bound: float) -> bool:
    """Return whether a share of errors meets its bound, by the rule that all marks use."""
    return errors.compute_interval()[0] <= bound and errors.estimate <= TOLERANCE * bound


def mark_share(errors: int, total: int, bound: float) -> Mark:
    """Return the mark of a share of errors.

    Args:
        errors: number of repetitions with an error.
        total: number of all repetitions, above 0.
        bound: largest permitted share, in (0, 1).
    """
    return "" if is_met(Share(errors, total), bound) else "misses"


def mark_correct(share: Share, least: float) -> Mark:
    """Return the mark of a share of correct results that must be at least `least`."""
    return "" if is_met(share.complement, 1 - least) else "misses"


def mark_coverage(share: Share | ClusteredShare, lowest: float, highest: float = 1.0) -> Mark:
    """Return the mark of a coverage that must lie between two bounds.

    Args:
        share: Repetitions whose interval contains the truth.
        lowest: Lowest permitted coverage.
        highest: Highest permitted coverage; 1 if intervals may be too wide.
    """
    errors = share.complement
    if not is_met(errors, 1 - lowest):
        return "misses"
    is_wide = errors.compute_interval()[1] < 1 - highest or errors.estimate * TOLERANCE < 1 - highest
    return "wide" if is_wide else ""


def compute_mark_probability(true_share: float, total: int, bound: float, shares: int = 1) -> float:
    """Return the probability that the highest of some independent shares of errors misses its bound by chance.

    For shares that depend positively on each other, such as those of families with a common reference, it is at most
    this.

    Args:
        true_share: true share of errors, in (0, 1); that of a perfect test is the bound.
        total: number of repetitions of each share.
        bound: largest permitted share.
        shares: number of shares.
    """
    from scipy import stats

    # `is_met` is true up to a count, and false from the next one on.
    first_missed = bisect_left(range(total + 1), True, key=lambda count: not is_met(Share(count, total), bound))
    return float(1 - (1 - stats.binom.sf(first_missed - 1, total, true_share)) ** shares)


def format_share(share: Share, mark: Mark = "", unit: str = "") -> str:
    """Return a share in percent with its error and its mark, such as `92.6 ± 0.4 **misses**`.

    Args:
        share: the share.
        mark: its mark.
        unit: text after the error, such as ` %`.
    """
    return f"{100 * share.estimate:.1f} ± {100 * share.standard_error:.1f}{unit}{_format_mark(mark)}"


def format_shares(marked: Sequence[tuple[Share, Mark]]) -> str:
    """Return shares in percent with their marks and the largest error, such as `95.1, 92.6 **misses** ± 0.4`."""
    numbers = ", ".join(f"{100 * share.estimate:.1f}{_format_mark(mark)}" for share, mark in marked)
    return f"{numbers} ± {100 * max(share.standard_error for share, _ in marked):.1f}"


def _format_mark(mark: Mark) -> str:
    return f" **{mark}**" if mark else ""
