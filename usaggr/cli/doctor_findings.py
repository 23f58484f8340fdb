"""Findings of `usaggr doctor`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One line about the installation or the machine."""

    topic: str
    text: str
    warning: str | None = None
    """Why it may prevent or endanger a sweep, and what to do; None: all is well."""
