"""Numbers as text for people: as many digits as they deserve, a true minus sign, and a dash for what is missing."""

import math
from datetime import timedelta

MISSING = "–"
_DIGITS = {"hd": 1, "hd95": 1, "mre": 1, "mre_relative": 4}
"""Decimals of a metric; scores in [0, 1] have three."""


def score(value: float | None, metric: str) -> str:
    """A score with its metric's decimals."""
    return MISSING if _absent(value) else _minus(f"{value:.{_DIGITS.get(metric, 3)}f}")


def signed(value: float | None, metric: str) -> str:
    """A difference with its metric's decimals and its sign; what rounds to zero has none."""
    if _absent(value):
        return MISSING
    digits = _DIGITS.get(metric, 3)
    return _minus(f"{value:+.{digits}f}") if round(value or 0.0, digits) else f"{0:.{digits}f}"


def spread(mean: float | None, low: float | None, high: float | None, metric: str) -> str:
    """Mean ± half the width of its interval; the mean alone where there is no interval."""
    if _absent(mean) or low is None or high is None or _absent(low) or _absent(high):
        return score(mean, metric)
    return f"{score(mean, metric)} ± {score((high - low) / 2, metric)}"


def difference(delta: float | None, low: float | None, high: float | None, metric: str) -> str:
    """A difference with its interval's bounds, where it has an interval."""
    if _absent(delta) or _absent(low) or _absent(high):
        return signed(delta, metric)
    return f"{signed(delta, metric)} [{signed(low, metric)}, {signed(high, metric)}]"


def percent(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """A relative change in percent, with its interval's bounds where it has one."""
    if _absent(value):
        return MISSING
    if _absent(low) or _absent(high):
        return f"{_percent(value)} %"
    return f"{_percent(value)} % [{_percent(low)}, {_percent(high)}]"


def count(value: float | None) -> str:
    """A whole number with thousands apart."""
    return MISSING if _absent(value) else f"{round(value or 0):,}"


def duration(seconds: float | None) -> str:
    """Hours, minutes and seconds."""
    return MISSING if _absent(seconds) else str(timedelta(seconds=round(seconds or 0.0)))


def p_value(value: float | None) -> str:
    """A p value as it follows a p: `= .012`, `< .001`."""
    if _absent(value):
        return MISSING
    number = value or 0.0
    if number < 0.001:
        return "< .001"
    shown = f"{number:.3f}" if number < 0.1 else f"{number:.2f}"
    return f"= {shown.removeprefix('0')}"


def share(value: float) -> str:
    """A part of a whole in percent, with the decimals that it has."""
    return f"{100 * value:.6g} %"


def _percent(value: float | None) -> str:
    number = 100 * (value or 0.0)
    return _minus(f"{number:+.1f}") if round(number, 1) else "0.0"


def _minus(text: str) -> str:
    return text.replace("-", "−")


def _absent(value: object) -> bool:
    """Whether there is no number: None, NaN, pandas' NA."""
    return not isinstance(value, int | float) or not math.isfinite(value)
