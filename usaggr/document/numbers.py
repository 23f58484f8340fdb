"""Numbers as text for readers: significant digits only, a true minus sign, and a dash for missing values."""

import math
from datetime import timedelta

MISSING = "–"


def is_not_finite(value: object) -> bool:
    """Return whether a value is not a finite number: None, NaN, infinity, pandas' NA."""
    return not isinstance(value, int | float) or not math.isfinite(value)


def use_minus_sign(text: str) -> str:
    """Return the text of a number with a true minus sign."""
    # U+2212 is as wide as a plus sign, so signed numbers stay aligned.
    return text.replace("-", "−")


def format_percent(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Return a relative change in percent, with the bounds of its interval if it has one.

    Args:
        value: The relative change; 0.1 is 10 %.
        low: Lower bound of its interval.
        high: Upper bound of its interval.
    """
    if is_not_finite(value):
        return MISSING
    if is_not_finite(low) or is_not_finite(high):
        return f"{_format_signed_percent(value)} %"
    return f"{_format_signed_percent(value)} % [{_format_signed_percent(low)}, {_format_signed_percent(high)}]"


def format_count(value: float | None) -> str:
    """Return an integer with separators of thousands."""
    return MISSING if is_not_finite(value) else f"{round(value or 0):,}"


def format_duration(seconds: float | None) -> str:
    """Return hours, minutes and seconds, as h:mm:ss."""
    return MISSING if is_not_finite(seconds) else str(timedelta(seconds=round(seconds or 0.0)))


def format_p_value(value: float | None) -> str:
    """Return a p value with the sign that follows a p: `= .012`, `< .001`."""
    if is_not_finite(value):
        return MISSING
    number = value or 0.0  # only for the type checker: missing values were handled above
    if number < 0.001:
        return "< .001"
    shown = f"{number:.3f}" if number < 0.1 else f"{number:.2f}"
    return f"= {shown.removeprefix('0')}"


def format_share(value: float) -> str:
    """Return a fraction in percent, with at most 6 significant digits."""
    return f"{100 * value:.6g} %"


def _format_signed_percent(value: float | None) -> str:
    number = 100 * (value or 0.0)
    return use_minus_sign(f"{number:+.1f}") if round(number, 1) else "0.0"
