"""A figure of the report, before and after it is written to files."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class FigureFile:
    """A figure that was written."""

    name: str
    """Without folder and ending."""
    title: str
    description: str
    """What there is to see, for those who cannot see it."""
    formats: tuple[str, ...]
    place: str = "answer"
    """Name of the place where a chapter shows it; a topic's drawings and its chapter agree on it."""


@dataclass(frozen=True)
class Drawing:
    """A figure that is still to be written; None where there is nothing to show."""

    name: str
    title: str
    description: str
    place: str
    figure: "Figure | None"
