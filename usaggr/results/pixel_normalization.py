"""The normalization of input images for pretrained weights, as a record and as one line of text; without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Values = tuple[float, ...]


@dataclass(frozen=True)
class PixelNormalization:
    """Channel means and standard deviations that normalize images in [0, 1] for pretrained weights."""

    encoder: str
    weights: str
    """Weights as named in `model.weights`: a file, or an id of the library."""
    mean: Values
    std: Values
    source: Literal["file", "name", "library", "network"]
    """Source of mean and std.

    * file: the weights file states them.
    * name: timm lists them for the encoder's name, and the file states none.
    * library: timm lists them for these weights, which are its own.
    * network: the network normalizes in the same way for every encoder.
    """
    listed_mean: Values | None = None
    """Means that the library lists for the encoder or the weights, if the network uses others; else None."""
    listed_std: Values | None = None
    """Standard deviations that the library lists, likewise."""

    def describe(self) -> str:
        """Return the normalization and its source in one line."""
        text = (
            f"{self.encoder} with weights {self.weights} gets images normalized with "
            f"{_format_mean_and_std(self.mean, self.std)}"
        )
        match self.source:
            case "file":
                return f"{text}: the file states them"
            case "library":
                return f"{text}: timm lists them for these weights, which are its own"
            case "name":
                return (
                    f"{text}: assumed from the encoder's name, for which timm lists them; the file states none, and "
                    "weights that were trained with another normalization perform worse"
                )
            case "network":
                text += ": assumed, because the network mh_mtl does so for every encoder and all weights"
        if self.listed_mean is None or self.listed_std is None:
            return text
        listed = _format_mean_and_std(self.listed_mean, self.listed_std)
        return (
            f"{text}; the library lists {listed} for it, so these weights were probably trained with another "
            "normalization"
        )


def _format_mean_and_std(mean: Sequence[float], std: Sequence[float]) -> str:
    return f"mean {_format_values(mean)} and std {_format_values(std)}"


def _format_values(values: Sequence[float]) -> str:
    """Return the values of all channels, or one value if all are equal.

    >>> _format_values((0.5, 0.5, 0.5)), _format_values((0.485, 0.456, 0.406))
    ('0.5', '0.485, 0.456, 0.406')
    """
    shown = [f"{value:.4g}" for value in values]
    return shown[0] if len(set(shown)) == 1 else ", ".join(shown)
