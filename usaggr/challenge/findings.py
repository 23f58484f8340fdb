"""What is wrong with predictions: one entry each, named and counted, never mended without a word."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

NAMES = {
    "missing": "no prediction",
    "unusable": "a prediction that cannot be scored",
    "extra": "a prediction of something that the data do not have",
    "twice": "predicted more than once; the last one counts",
    "size": "a mask of another size than its image; resized by nearest neighbour",
    "values": "a mask with values that are no class of the task",
    "probabilities": "probabilities that are not in [0, 1] or do not sum to 1",
    "class": "a predicted class that is not the most probable one",
    "swapped": "a box whose smaller edge lies beyond its larger one; it meets nothing",
    "outside": "a box or point outside of the image",
    "disagree": "coordinates in pixels and as fractions that are not the same place; pixels count",
}
"""Kind: what it means. What is missing or unusable has no score; all others are scored as they are."""

NOT_SCORED = ("missing", "unusable")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with one prediction."""

    kind: str
    """One of NAMES."""
    task_id: str
    image_path: str
    """As the index, or the prediction, names it."""
    file: str
    """Of predictions, in their folder."""
    message: str
    """What was found."""

    def __str__(self) -> str:
        return f"{self.file}: {self.task_id}, {self.image_path}: {self.message}"


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """How many there are of each kind, in the order of NAMES; kinds that there are none of are left out."""
    found = Counter(finding.kind for finding in findings)
    return {kind: found[kind] for kind in NAMES if found[kind]}
