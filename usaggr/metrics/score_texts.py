"""Scores and differences as text for readers, with the decimals of their metric.

A metric is given by its name. Other names, such as `skill`, stand for numbers in [0, 1].
"""

from usaggr.document.numbers import MISSING, is_not_finite, use_minus_sign
from usaggr.metrics.names import get_metric_decimals


def format_score(value: float | None, metric: str) -> str:
    """Return a score with the decimals of its metric."""
    return MISSING if is_not_finite(value) else use_minus_sign(f"{value:.{get_metric_decimals(metric)}f}")


def format_signed(value: float | None, metric: str) -> str:
    """Return a difference with the decimals of its metric and its sign; a difference that rounds to 0 has no sign."""
    if is_not_finite(value):
        return MISSING
    decimals = get_metric_decimals(metric)
    return use_minus_sign(f"{value:+.{decimals}f}") if round(value or 0.0, decimals) else f"{0:.{decimals}f}"


def format_mean(mean: float | None, low: float | None, high: float | None, metric: str) -> str:
    """Return a mean ± half the width of its interval; without an interval, the mean alone.

    Args:
        mean: The mean score.
        low: Lower bound of its interval.
        high: Upper bound of its interval.
        metric: Metric of the score, which gives the decimals.
    """
    if is_not_finite(mean) or low is None or high is None or is_not_finite(low) or is_not_finite(high):
        return format_score(mean, metric)
    return f"{format_score(mean, metric)} ± {format_score((high - low) / 2, metric)}"


def format_difference(delta: float | None, low: float | None, high: float | None, metric: str) -> str:
    """Return a difference with the bounds of its interval, if it has one.

    Args:
        delta: The difference.
        low: Lower bound of its interval.
        high: Upper bound of its interval.
        metric: Metric of the score, which gives the decimals.
    """
    if is_not_finite(delta) or is_not_finite(low) or is_not_finite(high):
        return format_signed(delta, metric)
    return f"{format_signed(delta, metric)} [{format_signed(low, metric)}, {format_signed(high, metric)}]"
