"""The rule by which a simulated share meets a bound, and its text in the tables of the pages.

A share is measured with a Monte-Carlo error. A cell that fails only if its bound is refuted with great confidence would
pass with almost any estimate from few repetitions. Each table therefore shows the estimate, its error and a mark.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

CONFIDENCE = 0.95
"""Confidence of the exact interval of a share."""
TOLERANCE = 1.3
"""Largest ratio of an estimate to its bound."""
Mark = Literal["", "misses", "wide"]
"""Misses: errors are more frequent than permitted. Wide: an interval covers more often than permitted."""
RULE = """
A share meets its bound if the lower end of its exact 95 % interval is not above the bound, and the estimate is not
above 1.3 times the bound. For coverage and for correct verdicts this is applied to the share that is not covered or not
found. Tables show estimates ± their largest Monte-Carlo standard error. *Misses*: does not meet the bound. *Wide*:
covers more often than permitted, by the same rule.
"""
"""The rule, for the pages."""


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
    def error(self) -> float:
        """Monte-Carlo standard error; that of one event if there is none, or no other."""
        share = min(max(self.estimate, 1 / self.total), 1 - 1 / self.total)
        return float(np.sqrt(share * (1 - share) / self.total))

    @property
    def complement(self) -> "Share":
        """Share of the other repetitions."""
        return Share(self.total - self.count, self.total)

    def compute_interval(self) -> tuple[float, float]:
        """Return the exact interval of the true share (Clopper and Pearson, Biometrika 1934)."""
        from scipy import stats

        tail = (1 - CONFIDENCE) / 2
        low = stats.beta.ppf(tail, self.count, self.total - self.count + 1) if self.count else 0.0
        high = stats.beta.ppf(1 - tail, self.count + 1, self.total - self.count) if self.count < self.total else 1.0
        return float(low), float(high)


def make_share(estimate: float, total: int) -> Share:
    """Return the share with the number of events that is nearest to an estimate."""
    return Share(round(estimate * total), total)


def is_met(share: Share, most: float) -> bool:
    """Return whether a share of errors meets its bound `most`: this is the rule of all marks."""
    return share.compute_interval()[0] <= most and share.estimate <= TOLERANCE * most


def mark_share(hits: int, draws: int, bound: float) -> Mark:
    """Return the mark of a share of errors.

    Args:
        hits: number of draws with an error.
        draws: number of all draws, above 0.
        bound: largest permitted share, in (0, 1).
    """
    return "" if is_met(Share(hits, draws), bound) else "misses"


def mark_correct(share: Share, least: float) -> Mark:
    """Return the mark of a share of correct results that must be at least `least`."""
    errors = share.complement
    return mark_share(errors.count, errors.total, 1 - least)


def mark_coverage(share: Share, lowest: float, highest: float = 1.0) -> Mark:
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


def format_share(share: Share, mark: Mark = "", unit: str = "") -> str:
    """Return a share in percent with its error and its mark, such as `92.6 ± 0.4 **misses**`.

    Args:
        share: the share.
        mark: its mark.
        unit: text after the error, such as ` %`.
    """
    return f"{100 * share.estimate:.1f} ± {100 * share.error:.1f}{unit}{_format_mark(mark)}"


def format_shares(marked: Sequence[tuple[Share, Mark]]) -> str:
    """Return shares in percent with their marks and the largest error, such as `95.1, 92.6 **misses** ± 0.4`."""
    numbers = ", ".join(f"{100 * share.estimate:.1f}{_format_mark(mark)}" for share, mark in marked)
    return f"{numbers} ± {100 * max(share.error for share, _ in marked):.1f}"


def _format_mark(mark: Mark) -> str:
    return f" **{mark}**" if mark else ""
