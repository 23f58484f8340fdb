"""Names of masks: patterns with `{name}`, numbers of further masks, and the usual names of masks beside images."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from usaggr.data.read.readers_version import SUFFIXES
from usaggr.data.read.similar_names import compose_name
from usaggr.errors import ConfigError

_USUAL_NAME = re.compile(
    r"(?P<image>.+?)[ _.-](?:masks?|seg|segmentation|labels?|gt|ground[ _-]?truth|annotations?)"
    r"(?:[ _.-]?\(?\d{1,3}\)?)?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?:[ _.-]+\(?\d{1,3}\)?|\(\d{1,3}\)|(?<=[^\W\d_])\d{1,3})$")
"""Number of a further mask at the end of a name: `_1`, ` (1)`, or `1` after a letter."""

MASK_REASON = "is a mask, by its name beside an image"
"""Reason for which a file of `find_usual_masks` is left out."""


@dataclass(frozen=True)
class NamePattern:
    """A pattern of file names without suffix, such as `{name}_mask`."""

    before: str
    after: str

    @classmethod
    def parse(cls, option: str, text: str) -> "NamePattern":
        """Parse the value of an option.

        Raises:
            ConfigError: The text does not contain `{name}` once, or contains a separator of folders.
        """
        if text.count("{name}") != 1 or "/" in text or "\\" in text:
            raise ConfigError(
                f"{option}: '{text}' must contain {{name}} once and no folder, as in '{{name}}_mask'; the subfolders "
                "of images and masks are the same"
            )
        before, _, after = text.partition("{name}")
        return cls(before, after)

    def remove_suffix(self) -> "NamePattern":
        """Return the pattern without the suffix of an image: `{name}_mask` for `{name}_mask.png`."""
        after = next((self.after[: -len(suffix)] for suffix in SUFFIXES if self.after.lower().endswith(suffix)), None)
        return self if after is None else NamePattern(self.before, after)

    def fill(self, name: str) -> str:
        """Return the file name, without suffix, for a name."""
        return f"{self.before}{name}{self.after}"

    def find(self, stem: str) -> str | None:
        """Return the name in a file name without suffix; None if the pattern does not match."""
        inner = stem.removeprefix(self.before).removesuffix(self.after)
        return inner if inner and self.fill(inner) == stem else None


def remove_number(key: Path) -> Path | None:
    """Return the path of a mask without the number at its end; None if it has none: `a_mask_1` is of `a_mask`."""
    stem = _NUMBER.sub("", key.name)
    return key.with_name(stem) if stem and stem != key.name else None


def find_usual_masks(images: Collection[Path]) -> dict[Path, Path]:
    """Return the files that are masks by their usual names, with the image in the same folder that they belong to.

    `benign (1)_mask.png` and `benign (1)_mask_1.png` are masks if `benign (1).png` exists.
    """
    stems = {compose_name(str(path.with_suffix(""))): path for path in images}
    masks: dict[Path, Path] = {}
    for path in images:
        match = _USUAL_NAME.fullmatch(path.stem)
        image = stems.get(compose_name(str(path.with_name(match["image"])))) if match else None
        if image is not None:
            masks[path] = image
    return masks
