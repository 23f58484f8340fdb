"""The scale on which a network with pretrained weights is given images, as a record and as one line. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Values = tuple[float, ...]


@dataclass(frozen=True)
class InputScale:
    """Mean and standard deviation, by channel, that images in [0, 1] are normalized with for pretrained weights."""

    encoder: str
    weights: str
    """As `model.weights` names them: a file, or the library's id."""
    mean: Values
    std: Values
    source: Literal["file", "name", "library", "network"]
    """Where mean and std come from. file: the weights file states them; name: timm lists them for the encoder's name,
    since the file states none; library: timm lists them for these weights, which are its own; network: the network
    normalizes alike for every encoder."""
    listed_mean: Values | None = None
    """What the library lists for the encoder's name or the weights, where the network does otherwise; else None."""
    listed_std: Values | None = None

    def line(self) -> str:
        """Say which scale is assumed, and why, in one line."""
        said = f"{self.encoder} with weights {self.weights} gets images of {_scale(self.mean, self.std)}"
        match self.source:
            case "file":
                return f"{said}: the file states them"
            case "library":
                return f"{said}: timm lists them for these weights, which are its own"
            case "name":
                return (
                    f"{said}: assumed from the encoder's name, for which timm lists them; the file states none, and "
                    "weights that were trained on another scale lose by it"
                )
            case "network":
                said += ": assumed, since the network mh_mtl does so for every encoder, whatever its weights"
        if self.listed_mean is None or self.listed_std is None:
            return said
        return (
            f"{said}; the library lists {_scale(self.listed_mean, self.listed_std)} for it, so these weights were "
            "probably trained on another scale"
        )


def _scale(mean: Sequence[float], std: Sequence[float]) -> str:
    return f"mean {_values(mean)} and std {_values(std)}"


def _values(values: Sequence[float]) -> str:
    """Write one number where all channels have it.

    >>> _values((0.5, 0.5, 0.5)), _values((0.485, 0.456, 0.406))
    ('0.5', '0.485, 0.456, 0.406')
    """
    shown = [f"{value:.4g}" for value in values]
    return shown[0] if len(set(shown)) == 1 else ", ".join(shown)
