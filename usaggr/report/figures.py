"""Figure of the report, before and after it is written to files."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class FigureFile:
    """Figure that was written to files."""

    name: str
    """File name without folder and extension."""
    title: str
    description: str
    """Caption, which also describes the figure to readers who cannot see it."""
    formats: tuple[str, ...]
    place: str = "answer"
    """Name of the place in a chapter that shows the figure; set by a topic's drawings, requested by its chapter."""


@dataclass(frozen=True)
class Drawing:
    """Figure that is not written yet; `figure` is None if there is nothing to show."""

    name: str
    title: str
    description: str
    place: str
    figure: "Figure | None"
