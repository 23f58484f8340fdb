"""Numbers as text for readers: significant digits only, a true minus sign, and a dash for missing values."""

import math
from datetime import timedelta

MISSING = "–"
_DECIMALS = {"hd": 1, "hd95": 1, "mre": 1, "mre_relative": 4}
"""Decimals of metrics; all others, scores in [0, 1], have three."""


def score(value: float | None, metric: str) -> str:
    """Return a score with the decimals of its metric."""
    return MISSING if _is_missing(value) else _use_minus_sign(f"{value:.{_DECIMALS.get(metric, 3)}f}")


def signed(value: float | None, metric: str) -> str:
    """Return a difference with the decimals of its metric and its sign; a difference that rounds to 0 has no sign."""
    if _is_missing(value):
        return MISSING
    digits = _DECIMALS.get(metric, 3)
    return _use_minus_sign(f"{value:+.{digits}f}") if round(value or 0.0, digits) else f"{0:.{digits}f}"


def spread(mean: float | None, low: float | None, high: float | None, metric: str) -> str:
    """Return a mean ± half the width of its interval; without an interval, the mean alone.

    Args:
        mean: The mean score.
        low: Lower bound of its interval.
        high: Upper bound of its interval.
        metric: Metric of the score, which gives the decimals.
    """
    if _is_missing(mean) or low is None or high is None or _is_missing(low) or _is_missing(high):
        return score(mean, metric)
    return f"{score(mean, metric)} ± {score((high - low) / 2, metric)}"


def difference(delta: float | None, low: float | None, high: float | None, metric: str) -> str:
    """Return a difference with the bounds of its interval, if it has one.

    Args:
        delta: The difference.
        low: Lower bound of its interval.
        high: Upper bound of its interval.
        metric: Metric of the score, which gives the decimals.
    """
    if _is_missing(delta) or _is_missing(low) or _is_missing(high):
        return signed(delta, metric)
    return f"{signed(delta, metric)} [{signed(low, metric)}, {signed(high, metric)}]"


def percent(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Return a relative change in percent, with the bounds of its interval if it has one.

    Args:
        value: The relative change; 0.1 is 10 %.
        low: Lower bound of its interval.
        high: Upper bound of its interval.
    """
    if _is_missing(value):
        return MISSING
    if _is_missing(low) or _is_missing(high):
        return f"{_format_percent(value)} %"
    return f"{_format_percent(value)} % [{_format_percent(low)}, {_format_percent(high)}]"


def count(value: float | None) -> str:
    """Return an integer with separators of thousands."""
    return MISSING if _is_missing(value) else f"{round(value or 0):,}"


def duration(seconds: float | None) -> str:
    """Return hours, minutes and seconds, as h:mm:ss."""
    return MISSING if _is_missing(seconds) else str(timedelta(seconds=round(seconds or 0.0)))


def p_value(value: float | None) -> str:
    """Return a p value with the sign that follows a p: `= .012`, `< .001`."""
    if _is_missing(value):
        return MISSING
    number = value or 0.0  # only for the type checker: missing values were handled above
    if number < 0.001:
        return "< .001"
    shown = f"{number:.3f}" if number < 0.1 else f"{number:.2f}"
    return f"= {shown.removeprefix('0')}"


def share(value: float) -> str:
    """Return a fraction in percent, with at most 6 significant digits."""
    return f"{100 * value:.6g} %"


def _format_percent(value: float | None) -> str:
    number = 100 * (value or 0.0)
    return _use_minus_sign(f"{number:+.1f}") if round(number, 1) else "0.0"


def _use_minus_sign(text: str) -> str:
    # U+2212 is as wide as a plus sign, so signed numbers stay aligned.
    return text.replace("-", "−")


def _is_missing(value: object) -> bool:
    """Return whether a value is not a finite number: None, NaN, infinity, pandas' NA."""
    return not isinstance(value, int | float) or not math.isfinite(value)
